"""What this node's own negative votes stand on, in the journal: written with the vote, served by leaf, forgotten with age.

    evidence    'j' ‖ job                    [unix, tag, bytes, case]: manifest, amendments, secret
                'p' ‖ job ‖ digest           a sealed assignment or result, once, however many leaves name it
                'l' ‖ root ‖ place u32       [job, leaf …] with what it names by digest
                't' ‖ root                   [job, unix, bytes, negatives]
                'c' ‖ tag                    job

A leaf without the accused's signed result is left out of its vote, and one for which its job has no room left: a vote is as
large as what stands behind it. Nothing of it is in memory but the sum of each job's bytes.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import trio

from ctorrent.canon import encode
from ctorrent.ledger import evidence_words as words
from ctorrent.ledger.paths import Tree
from ctorrent.ledger.tally import DueTally, Observation, without
from ctorrent.model.block import Block
from ctorrent.model.evidence import Case, Evidence, Shown, Why
from ctorrent.model.ids import Digest, JobId, NodeId, node_public
from ctorrent.model.job import Amendment, AmendmentKind
from ctorrent.model.result import Verdict, output_digest
from ctorrent.node import dossier, records
from ctorrent.node.dossier import Kept
from ctorrent.node.jobbook import JobRecord, load_blocks, load_end
from ctorrent.node.records import u32
from ctorrent.node.world import World
from ctorrent.ports import Delete, Put
from ctorrent.seal import Sealed, digest

log = logging.getLogger(__name__)

SPACE = "evidence"
Replica = Callable[[JobId, int, NodeId], Digest | None]
DAY_S = 86400
TIDY_S = 600.0  # between two looks: each job adds no more meanwhile than a job may hold
SIBLING_BYTES = 34  # of a path, in canonical bytes
ROW_BYTES = 64  # of a leaf's place and the heads of its paths; of the record that names a job by its tag


@dataclass(frozen=True, slots=True)
class EvidenceRules:
    """Limits of what own votes may leave on the disk."""

    bytes_max: int = 256 << 20  # a small leaf is 2 KB: 100,000 of them
    job_bytes_max: int = 32 << 20  # of one job: whoever floods it with lies must not push out what others stand on
    tallies_max: int = 16384  # negative ones: read in one go to find the oldest, 100 bytes each
    leaves_max: int = 1024  # of one tally: who was wrong a thousand times within 30 s needs no more votes
    keep_days: int = 90  # later tallies of the same two have made it fade by then
    winners: int = 3  # shown with a leaf: two others and the coordinator
    data_bytes: int = 16 << 10  # of an output shown in full; a larger one is named by its digest
    content_bytes: int = 256 << 10  # of a block's parameters; a block of more is not run again by others


@dataclass(frozen=True, slots=True)
class Backed:
    """A vote with what stands behind it. vote: None when nothing of it is left to say."""

    vote: DueTally | None
    writes: Sequence[Put] = ()
    dropped: int = 0  # negative verdicts that nobody could check


async def backless(vote: DueTally) -> Backed:
    """Of a node without evidence: it says nothing bad about anybody."""
    await trio.lowlevel.checkpoint()
    return Backed(without(vote, range(len(vote.negative))), (), len(vote.negative))


class EvidenceStore:
    """One per node. record_of: this node's own jobs. replica: who answered what, of open jobs."""

    def __init__(
        self, world: World, record_of: Callable[[JobId], JobRecord | None], rules: EvidenceRules = EvidenceRules(),
        replica: Replica = lambda job, index, worker: None,
    ) -> None:  # fmt: skip
        self._world, self._journal, self._record_of, self._rules, self._replica = world, world.journal, record_of, rules, replica
        self._tree: tuple[JobId, int, Tree] | None = None  # of the job and the link voted about last: 64 bytes a block
        self._held = {JobId(key[1:]): int(records.load(value)[2]) for key, value in self._journal.scan(SPACE, b"j")}

    # -- writing ------------------------------------------------------------------------------------------------------

    async def back(self, vote: DueTally) -> Backed:
        """What of a vote can be checked, and the records to be committed with its entry."""
        await trio.lowlevel.checkpoint()
        if not vote.negative:
            return Backed(vote)
        record = self._record_of(vote.job)
        if record is None or len(record.amendments) > words.LIMITS.amendments:
            return await backless(vote)
        paths = SIBLING_BYTES * (len(vote.leaves).bit_length() + len(record.digests).bit_length())
        room = self._rules.job_bytes_max - self._held.get(vote.job, 0) - ROW_BYTES
        gathered = _Gathered(self._world, record, self._rules, self._replica, room, ROW_BYTES + paths)
        found = [gathered.leaf(seen) if place < self._rules.leaves_max else None for place, seen in enumerate(vote.negative)]
        dropped = [place for place, leaf in enumerate(found) if leaf is None]
        if dropped:
            why = "what it signed is not here" if gathered.room else "their job has no room for more evidence"
            log.warning("%d of %d verdicts against %s are not voted: %s", len(dropped), len(found), vote.tally.worker, why)
        left = without(vote, dropped)
        if left is None or not left.negative:
            return Backed(left, (), len(dropped))
        leaves = [leaf for leaf in found if leaf is not None]
        above = await self._above(record, [leaf.position for leaf in leaves])
        return Backed(left, self._writes(left, record, leaves, gathered, above), len(dropped))

    def _writes(
        self, vote: DueTally, record: JobRecord, leaves: list[Evidence], gathered: _Gathered, above: dict[int, tuple[bytes, ...]]
    ) -> list[Put]:
        tree, root = Tree(vote.leaves), vote.tally.evidence_root
        writes: list[Put] = [Put(SPACE, b"c" + vote.tally.job_tag, encode(bytes(vote.job)))]
        for place, leaf in enumerate(leaves):
            placed = replace(leaf, place=place, siblings=tree.siblings(place), block_siblings=above[leaf.position])
            writes.append(Put(SPACE, b"l" + root + u32(place), gathered.row(placed)))
        writes += [Put(SPACE, b"p" + vote.job + name, packed) for name, packed in gathered.parts.items()]
        size = sum(len(put.value) for put in writes)
        unix = self._world.clock.unix()
        writes.append(Put(SPACE, b"t" + root, encode([bytes(vote.job), unix, size, len(leaves)])))
        case = Case(record.job.sealed, tuple(record.amendments), record.job_secret)
        held = self._held[vote.job] = self._held.get(vote.job, 0) + size  # before the commit: other votes of the job may be in it
        writes.append(Put(SPACE, b"j" + vote.job, encode([unix, bytes(vote.tally.job_tag), held, words.encode_told(case)])))
        return writes

    async def _above(self, record: JobRecord, positions: Sequence[int]) -> dict[int, tuple[bytes, ...]]:
        """For each of these blocks, what leads from it to the root of the amendment that added it."""
        found: dict[int, tuple[bytes, ...]] = {}
        for link in record.links_of(AmendmentKind.BLOCKS):
            inside = [at for at in positions if 0 <= at - link.first_index < link.count]
            if inside:
                tree = await self._tree_of(record, link)
                found |= {at: tree.siblings(at - link.first_index) for at in inside}
        return found

    async def _tree_of(self, record: JobRecord, link: Amendment) -> Tree:
        if self._tree is None or self._tree[:2] != (record.id, link.first_index):
            tree, growing = Tree.planted(record.digests[link.first_index : link.first_index + link.count])
            for _ in growing:
                await trio.lowlevel.checkpoint()
            self._tree = record.id, link.first_index, tree
        return self._tree[2]

    # -- reading ------------------------------------------------------------------------------------------------------

    def leaf(self, root: bytes, place: int) -> Evidence | Why:
        """Evidence as it is shown to others."""
        value = self._journal.get(SPACE, b"l" + root + u32(place)) if place < 1 << 32 else None
        if value is None:
            return Why.UNKNOWN
        job, *rest = records.load(value)
        try:
            return _unfolded(rest, lambda name: self._part(JobId(job), name))
        except LookupError:  # its job was forgotten while a vote of it was being written
            return Why.UNKNOWN

    def case(self, tag: bytes) -> Case | Why:
        """The job behind a tag, for as long as a vote about it is kept."""
        named = self._journal.get(SPACE, b"c" + tag)
        return Why.UNKNOWN if named is None else self.of_job(JobId(records.load(named)))

    def of_job(self, job: JobId) -> Case | Why:
        value = self._journal.get(SPACE, b"j" + job)
        if value is None:
            return Why.UNKNOWN
        case = words.decode_told(records.load(value)[3])
        assert isinstance(case, Case)
        return case

    def job_of(self, root: bytes) -> JobId | None:
        """Whose evidence a root stands for."""
        value = self._journal.get(SPACE, b"t" + root)
        return None if value is None else JobId(records.load(value)[0])

    def _part(self, job: JobId, name: bytes) -> Sealed:
        value = self._journal.get(SPACE, b"p" + job + name)
        if value is None:
            raise LookupError("parts go with their job")
        return records.unpack_sealed(records.load(value))

    # -- forgetting ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look after the limits, seldom."""
        while True:
            await trio.sleep(TIDY_S)
            await self.tidy()

    async def tidy(self) -> int:
        """Forget whole jobs, those voted about longest ago first, until all is within the rules. -> jobs forgotten."""
        now, rules = self._world.clock.unix(), self._rules
        jobs = sorted((records.load(value)[0], key[1:]) for key, value in self._journal.scan(SPACE, b"j"))
        tallies = len(self._journal.scan(SPACE, b"t"))
        gone, size = 0, sum(self._held.values())
        for unix, job in jobs:
            if now - unix <= rules.keep_days * DAY_S and size <= rules.bytes_max and tallies <= rules.tallies_max:
                break
            size -= self._held.get(JobId(job), 0)
            tallies -= await self._forget(JobId(job))
            gone += 1
        return gone

    async def _forget(self, job: JobId) -> int:
        """-> how many tallies it had."""
        roots = [key[1:] for key, value in self._journal.scan(SPACE, b"t") if records.load(value)[0] == job]
        held = self._journal.get(SPACE, b"j" + job)
        deletes = [Delete(SPACE, key) for key, _ in self._journal.scan(SPACE, b"p" + job)]
        for root in roots:
            deletes += [Delete(SPACE, key) for key, _ in self._journal.scan(SPACE, b"l" + root)] + [Delete(SPACE, b"t" + root)]
        if held is not None:
            _, tag, *_ = records.load(held)
            self._held.pop(job, None)
            deletes += [Delete(SPACE, b"c" + tag), Delete(SPACE, b"j" + job)]
        await self._journal.commit(deletes, durable=False)
        return len(roots)


class _Gathered:
    """Evidence of one vote, put together from what the job's journal holds.

    room: bytes that are left for it; 0 from the first leaf on that does not fit. head: of each leaf, what is added to it later.
    `parts`: sealed things that its leaves name and the journal does not hold yet, as they are written.
    """

    def __init__(self, world: World, record: JobRecord, rules: EvidenceRules, replica: Replica, room: int, head: int) -> None:
        self._replica, self.room, self._head = replica, max(0, room), head
        self.parts: dict[Digest, bytes] = {}
        self._name = functools.cache(_name)
        self._journal, self._node, self._record, self._rules = world.journal, world.node, record, rules
        self._replicas: dict[int, list[Digest]] | None = None
        self._kept: dict[Digest, Kept | None] = {}

    def leaf(self, seen: Observation) -> Evidence | None:
        """None: what the worker signed is not here, or nothing that it lost to; or there is no room left."""
        found = self._leaf(seen) if self.room else None
        return found if found is not None and self._takes(found) else None

    def _takes(self, leaf: Evidence) -> bool:
        fresh: dict[Digest, bytes] = {}
        for sealed in _parts(leaf):
            name = self._name(sealed)
            if name not in self.parts and self._journal.get(SPACE, b"p" + self._record.id + name) is None:
                fresh[name] = encode(records.pack_sealed(sealed))
        size = self._head + len(self.row(leaf)) + sum(map(len, fresh.values()))
        if size > self.room:
            self.room = 0  # what comes later is not looked up in vain
            return False
        self.room -= size
        self.parts |= fresh
        return True

    def row(self, leaf: Evidence) -> bytes:
        """As it lies in the journal."""
        return encode([bytes(self._record.id), *_folded(leaf, self._name)])

    def _leaf(self, seen: Observation) -> Evidence | None:
        kept = self._of(seen.assignment)
        if seen.verdict is Verdict.INVALID:
            return self._invalid(seen, kept)
        if kept is None or kept.assignment is None:
            return None
        result = kept.opened()
        line = next((n for n, one in enumerate(result.blocks) if (one.block, one.commitment) == (seen.block, seen.commitment)), None)
        if result.worker != seen.worker or line is None:
            return None
        position, opening = kept.indices[line], kept.openings[line]
        data = kept.outputs[line] if kept.outputs else b""
        accused = Shown(kept.result, opening.nonce, bytes(opening.output), data)
        winners, own = self._winners(seen, position, opening.output)
        if not winners and not own:
            return None
        return self._fitting(Evidence(
            0, (), seen.block, seen.assignment, seen.commitment, seen.verdict, position, (), kept.assignment, accused,
            None, winners, own, self._content(position),
        ))  # fmt: skip

    def _invalid(self, seen: Observation, kept: Kept | None) -> Evidence | None:
        """Two answers for one assignment: the pair itself is the evidence. Else the job's check refused the answer: it is shown
        as its worker signed it, and that it is wrong is the requester's word, since only the check knows. Nobody runs it again."""
        if kept is None or kept.assignment is None:
            return None
        line = next((n for n, one in enumerate(kept.opened().blocks) if (one.block, one.commitment) == (seen.block, seen.commitment)), None)
        if line is None:
            return None
        value = self._journal.get("equivocation", node_public(seen.worker) + seen.assignment)
        pair = [records.unpack_sealed(parts) for parts in records.load(value)[:2]] if value is not None else []
        other = [sealed for sealed in pair if sealed.body != kept.result.body]
        if value is not None and not other:
            return None
        opening = kept.openings[line]
        shown = Shown(kept.result) if other else Shown(kept.result, opening.nonce, bytes(opening.output))
        return self._fitting(Evidence(
            0, (), seen.block, seen.assignment, seen.commitment, seen.verdict, kept.indices[line], (), kept.assignment,
            shown, other[0] if other else None,
        ))  # fmt: skip

    def _winners(self, seen: Observation, position: int, lost: Digest) -> tuple[tuple[Shown, ...], bytes]:
        """Others' answers for the block that its end was made of, smallest results first; and the own one."""
        end = load_end(self._journal, self._record.id, position)
        agreed = set(end.workers) if end is not None else set()
        others = agreed - {seen.worker, self._node}
        named = seen.against or (self._named(position, others) if others or not agreed else ())
        shown: dict[str, tuple[int, Shown]] = {}
        for kept in filter(None, map(self._of, named)):
            result, at = kept.opened(), kept.indices.index(position) if position in kept.indices else -1
            if at < 0 or result.worker == seen.worker or (agreed and result.worker not in agreed):
                continue
            opening = kept.openings[at]
            data = kept.outputs[at] if kept.outputs else b""
            if not data and end is not None and len(end.output) <= self._rules.data_bytes and output_digest(end.output) == opening.output:
                data = end.output
            size = len(kept.result.body)
            if opening.output != lost and (result.worker not in shown or size < shown[result.worker][0]):
                shown[result.worker] = size, Shown(kept.result, opening.nonce, bytes(opening.output), data)
        best = [shown[worker][1] for worker in sorted(shown, key=lambda worker: (shown[worker][0], worker))][: self._rules.winners]
        own = bytes(output_digest(end.output)) if end is not None and end.output and self._node in agreed and self._node not in shown else b""
        return tuple(best), own if own != bytes(lost) else b""

    def _named(self, position: int, workers: set[str]) -> tuple[Digest, ...]:
        """Assignments of these about a block. Of a life before a restart only the whole dossier tells."""
        found = [self._replica(self._record.id, position, NodeId(worker)) for worker in sorted(workers)]
        known = tuple(one for one in found if one is not None)
        return known or tuple(self._by_index().get(position, ()))

    def _content(self, position: int) -> Block | None:
        """What others need to run the block again."""
        if not self._record.blocks:
            load_blocks(self._journal, self._record)
        block = self._record.blocks[position] if position < len(self._record.blocks) else None
        return block if block is not None and len(block.params) <= self._rules.content_bytes else None

    def _fitting(self, leaf: Evidence) -> Evidence | None:
        """Within one answer: first what is only convenient goes, then all winners but one."""
        for smaller in _smaller(leaf):
            if len(words.encode_told(smaller)) <= words.LIMITS.told_bytes - 2 * 32 * words.LIMITS.siblings:
                return smaller
        return None

    def _of(self, assignment: Digest) -> Kept | None:
        if assignment not in self._kept:
            found = dossier.by_assignment(self._journal, self._record.id, assignment, self._record.job.manifest.requester)
            self._kept[assignment] = found
        return self._kept[assignment]

    def _by_index(self) -> dict[int, list[Digest]]:
        if self._replicas is None:
            self._replicas = dossier.by_index(self._journal, self._record.id)
        return self._replicas


def _parts(leaf: Evidence) -> list[Sealed]:
    """The sealed things that it names."""
    return [leaf.assigned, leaf.accused.result, *([leaf.other] if leaf.other is not None else []), *(shown.result for shown in leaf.winners)]


def _smaller(leaf: Evidence) -> Iterator[Evidence]:
    yield leaf
    bare = replace(leaf, winners=tuple(replace(shown, data=b"") for shown in leaf.winners), content=None)
    for count in range(len(leaf.winners), 0, -1):
        yield replace(bare, winners=bare.winners[:count])


def _name(sealed: Sealed) -> Digest:
    return Digest(digest("ctorrent/part/1", sealed.body, sealed.public, sealed.signature))


def _folded(leaf: Evidence, name: Callable[[Sealed], Digest]) -> list[Any]:
    """evidence_words with every sealed thing by its name."""

    def folded(shown: Shown) -> list[bytes]:
        return [name(shown.result), shown.nonce, shown.output, shown.data]

    flat = words.evidence_words(leaf)
    flat[9] = name(leaf.assigned)
    flat[10] = folded(leaf.accused)
    flat[11] = b"" if leaf.other is None else name(leaf.other)
    flat[12] = [folded(shown) for shown in leaf.winners]
    return flat


def _unfolded(flat: list[Any], part: Callable[[bytes], Sealed]) -> Evidence:
    def sealed(name: bytes) -> list[Any]:
        return words.sealed_words(part(name)) if name else []

    full = [*flat]
    full[9], full[11] = sealed(flat[9]), sealed(flat[11])
    full[10] = [sealed(flat[10][0]), *flat[10][1:]]
    full[12] = [[sealed(name), *rest] for name, *rest in flat[12]]
    told = words.decode_told(encode(full))
    assert isinstance(told, Evidence)
    return told
