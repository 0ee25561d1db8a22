"""Votes are asked for their evidence: leaves that the reader draws; and those who ask get this node's own.

    negative tally ─▶ waits ─▶ its author shows the leaves drawn        ─▶ proven      it weighs as its author is trusted
                        │                                                  testimony   the worker's signature, no more
                        │                                                  refuted     what was shown does not carry it
                        └────▶ connected, asked again and again, and shows nothing:    withheld

A channel of the evidence protocol carries introductions, then one question and one answer at a time. The ring is checked as
in meetings; an assignment's id and a pair's name are 256 bits that only those know who were shown them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import trio

from ctorrent.canon import encode
from ctorrent.errors import CTorrentError, LimitExceeded, PeerError, Unavailable, Unsupported
from ctorrent.ledger import evidence_words as words
from ctorrent.ledger.evidence import OpenCase, OpenEvidence, Proven, Unproven, Vote, check
from ctorrent.ledger.tally import Observation, evidence_leaf
from ctorrent.model.entry import SignedEntry
from ctorrent.model.evidence import Ask, AskCase, AskDefence, AskLeaf, AskPair, Case, Evidence, Pair, Refused, Told, Why
from ctorrent.model.identity import PeerIdentity
from ctorrent.model.ids import Digest, NodeId, node_id, node_public
from ctorrent.node import records
from ctorrent.node.evidence import EvidenceStore
from ctorrent.node.exhibits import digests_decide, open_case, open_evidence
from ctorrent.node.patience import Patience
from ctorrent.node.people import People
from ctorrent.node.session import called, hang_up, introduce
from ctorrent.node.signed import Signed
from ctorrent.node.turns import Turns
from ctorrent.node.world import World
from ctorrent.ports import Channel, Delete, Put
from ctorrent.verify.compare import SUPPORTED, Different, same
from ctorrent.wire import codec, names

log = logging.getLogger(__name__)

SPACE = "witnessed"
DAY_S = 86400


@dataclass(frozen=True, slots=True)
class WitnessRules:
    """Limits on asking and on being asked."""

    ask_burst: float = 64  # questions of one peer at once: it may have been away while many votes were cast
    ask_per_s: float = 0.5  # then so many: an answer may be a megabyte
    told_busy_max: int = 64  # refusals on one channel before it is a flood
    channels_max: int = 16  # served at once: each may hold an answer in memory
    serve_s: float = 120.0  # of one channel: a peer that trickles holds it no longer
    answer_s: float = 30.0  # to wait for one answer
    weighs_from: float = 0.5  # trust × negative verdicts below which a vote is not worth a question: one of a friend's is
    asks_max: int = 8  # authors asked at once, each about one vote: four answers, a megabyte each
    pending_max: int = 4096  # votes that wait for their evidence; above that, an eighth gives way: what weighs least, and of equals the oldest
    delay_s: float = 60.0  # everybody hears of a vote at once: each asks at a moment of its own within so long
    retry_s: float = 120.0  # between two questions about one vote, doubled each time
    tries: int = 4  # asked so often while it was connected, and nothing shown: withheld
    leaves: int = 3  # of one vote: where all say the same wrong answer over again, two show it
    names_kept: int = 65536  # of leaves seen, so that none is counted twice: 150 bytes each
    cases_kept: int = 64  # opened jobs in memory: a manifest and a few links each
    kept: int = 16384  # findings in the journal, 150 bytes each; the oldest go
    asked_days: int = 60  # of a vote's own date: evidence is kept for 90, and clocks differ
    look_s: float = 5.0


class Standing(Enum):
    """Of a negative vote, in this reader's eyes."""

    WAITS = 0  # nothing was shown yet: weigh it as an unproven word
    PROVEN = 1  # the drawn leaf carries it
    TESTIMONY = 2  # the accused signed an answer; that it was wrong is the author's word
    REFUTED = 3  # what the author showed does not carry it: it signed what it cannot stand for
    WITHHELD = 4  # the author was there and showed nothing
    RIGHT = 5  # this node ran the block: the accused was wrong
    FALSE = 6  # this node ran the block: the accused was right


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What became of one vote."""

    entry: Digest
    author: NodeId
    standing: Standing
    words: str = ""


@dataclass(slots=True)
class _Waits:
    signed: SignedEntry
    vote: Vote
    due: float
    places: tuple[int, ...]
    tries: int = 0
    names: list[list[Any]] = field(default_factory=list)  # of leaves shown: [name, root, place]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf that carries its vote, with all that was shown."""

    signed: SignedEntry
    vote: Vote
    proven: Proven
    evidence: OpenEvidence
    case: OpenCase


Heard = Callable[[Leaf], None]
Trusts = Callable[[], Callable[[NodeId], float]]


@dataclass(slots=True)
class _Told:
    """Who learns from what is found."""

    standings: list[Callable[[Witnessed], None]] = field(default_factory=list)
    proven: list[Heard] = field(default_factory=list)


class Witness:
    """One per node. trusts: gives how much this node believes a signer by now, 0..1. pair_of: proofs too large for an entry, by name."""

    def __init__(
        self, world: World, people: People, store: EvidenceStore, signed: Signed, trusts: Trusts,
        pair_of: Callable[[bytes], Pair | None], rules: WitnessRules = WitnessRules(),
    ) -> None:  # fmt: skip
        self._world, self._people, self._store, self._signed = world, people, store, signed
        self._trusts, self._pair_of, self._rules = trusts, pair_of, rules
        self._asked = Patience(rules.ask_burst, rules.ask_per_s)
        self._serving = 0
        self._waiting: dict[Digest, _Waits] = {}
        self._turns: Turns[_Waits] = Turns(rules.asks_max)
        self._cases: dict[bytes, OpenCase] = {}
        self._names: dict[Digest, tuple[bytes, int]] = {}  # of leaves seen: where
        self._told = _Told()
        self.found: dict[Digest, Witnessed] = {}
        self._tried: dict[Digest, tuple[int, float]] = {}  # in lives before a restart: how often, and when last
        self._stale: list[Delete] = []
        self._load()

    def _load(self) -> None:
        """What lives before a restart found, and how often they asked where nothing was shown yet."""
        before = self._world.clock.unix() - self._rules.asked_days * DAY_S
        for key, value in self._world.journal.scan(SPACE):
            standing, unix, author, said, *more = records.load(value)  # more: not in a row of an older version
            entry = Digest(key)
            if Standing(standing) is not Standing.WAITS:
                self.found[entry] = Witnessed(entry, node_id(author), Standing(standing), said)
                for name, root, place in more[0] if more else ():
                    self._names[Digest(name)] = root, place
            elif unix < before:  # nobody asks about it any more
                self._stale.append(Delete(SPACE, key))
            else:
                self._tried[entry] = int(more[0]), unix

    def on(self, learn: Callable[[Witnessed], None]) -> None:
        """Tell `learn` what becomes of votes, at once about those that were looked into before."""
        self._told.standings.append(learn)
        for one in self.found.values():
            learn(one)

    def on_proven(self, learn: Heard) -> None:
        """Tell `learn` of every leaf that carries its vote."""
        self._told.proven.append(learn)

    def standing(self, entry: Digest) -> Standing:
        found = self.found.get(entry)
        return Standing.WAITS if found is None else found.standing

    # -- being asked --------------------------------------------------------------------------------------------------

    async def serve(self, channel: Channel) -> None:
        """Handler of the evidence protocol."""
        if self._serving >= self._rules.channels_max:
            await hang_up(channel)
            return
        self._serving += 1
        try:
            session = await introduce(channel, self._people)
            with trio.move_on_after(self._rules.serve_s):
                await self._answers(channel, session.identity)
        except Unavailable:
            pass
        finally:
            self._serving -= 1
            await hang_up(channel)

    async def _answers(self, channel: Channel, asker: PeerIdentity) -> None:
        busy = 0
        while True:
            ask = words.decode_ask(await channel.receive())
            if not self._asked.take(asker.node, self._world.clock.now()):
                busy += 1
                if busy > self._rules.told_busy_max:
                    raise LimitExceeded(f"{asker.node} asks for evidence again and again")
                await channel.send(words.encode_told(Refused(Why.BUSY, "ask again later")))
                continue
            told = Refused(Why.UNKNOWN, "a question of a newer version") if ask is None else self.answer(asker, ask)
            await channel.send(words.encode_told(told))

    def answer(self, asker: PeerIdentity, ask: Ask) -> Told:
        """What this node shows to a peer."""
        match ask:
            case AskLeaf(root, place):
                leaf = self._store.leaf(root, place)
                if isinstance(leaf, Why):
                    return Refused(leaf)
                accused = leaf.accused.result.public == node_public(asker.node)
                job = self._store.job_of(root)
                return leaf if accused or (job is not None and self._may(asker, self._store.of_job(job))) else Refused(Why.RING)
            case AskCase(tag):
                case = self._store.case(tag)
                return Refused(case) if isinstance(case, Why) else case if self._may(asker, case) else Refused(Why.RING)
            case AskDefence(assignment, block):
                return self._signed.answer(assignment, block) or Refused(Why.UNKNOWN)
            case AskPair(name):
                return self._pair_of(name) or Refused(Why.UNKNOWN)

    def _may(self, asker: PeerIdentity, case: Case | Why) -> bool:
        return isinstance(case, Case) and self._people.both_in(asker, codec.open_manifest(case.manifest).manifest.ring)

    # -- asking -------------------------------------------------------------------------------------------------------

    async def ask(self, peer: NodeId, asks: Sequence[Ask]) -> list[Told]:
        """Put questions to a peer. Raises Unavailable, or a PeerError for what is no answer."""
        async with called(self._world.streams, peer, names.EVIDENCE, self._people) as channel:
            told = []
            for ask in asks:
                with trio.move_on_after(self._rules.answer_s) as scope:
                    await channel.send(words.encode_ask(ask))
                    told.append(words.decode_told(await channel.receive()))
                if scope.cancelled_caught:
                    raise Unavailable(f"{peer} did not answer within {self._rules.answer_s:g} s")
            return told

    def learn(self, signed: SignedEntry) -> None:
        """Take note of a tally, as the book's learner of them."""
        author, tally = signed.entry.author, codec.decode_tally(signed.entry.body)
        vote = Vote(author, signed.entry.ring, tally)
        if author == self._world.node or not vote.negatives or signed.id in self.found or tally.worker == author:
            return
        if self._world.clock.unix() - signed.entry.issued_unix_s > self._rules.asked_days * DAY_S:
            return  # what it stood on may be forgotten: it stays an unproven word
        draw = [int.from_bytes(self._world.clock.random_bytes(8), "big") for _ in range(1 + self._rules.leaves)]
        later = draw[0] / (1 << 64) * self._rules.delay_s
        places = tuple(dict.fromkeys(one % vote.negatives for one in draw[1:]))
        tries, last = self._tried.pop(signed.id, (0, 0.0))
        if tries:  # in a life before a restart, which makes nobody ask sooner
            later = max(later, last + self._pause_s(tries) - self._world.clock.unix())
        self._waiting[signed.id] = _Waits(signed, vote, self._world.clock.now() + later, places, tries)
        if len(self._waiting) > self._rules.pending_max:
            self._give_way()

    def _give_way(self) -> None:
        """Forget an eighth of what waits, so that trust is asked seldom: no number of votes pushes out one that weighs more."""
        trust = self._trusts()

        def weight(one: _Waits) -> tuple[bool, float]:
            trusted = trust(one.vote.author)
            return self._worth(one, trusted), trusted

        least = sorted(self._waiting.values(), key=weight)  # among equals the oldest is first
        for one in least[: 1 + self._rules.pending_max // 8]:
            del self._waiting[one.signed.id]
            if one.tries:
                self._stale.append(Delete(SPACE, one.signed.id))

    async def run(self) -> None:
        """Ask for what is due: whom this node trusts first, and none waits for another's answer."""
        async with trio.open_nursery() as nursery:
            while True:
                stale, self._stale = [one for one in self._stale if one.key not in self.found], []
                if stale:
                    await self._world.journal.commit(stale, durable=False)
                for waits in self._due():
                    nursery.start_soon(self._turns.put, waits.vote.author, self._look_into, waits)
                await trio.sleep(self._rules.look_s)

    def _due(self) -> list[_Waits]:
        now = self._world.clock.now()
        due = [one for one in self._waiting.values() if one.due <= now and self._reachable(one)]
        if not due:
            return []
        trust = self._trusts()
        weighed = [(one.vote.author, trust(one.vote.author), one) for one in due]
        return self._turns.take((author, trusted, one) for author, trusted, one in weighed if self._worth(one, trusted))

    def _worth(self, one: _Waits, trust: float) -> bool:
        about_me = one.vote.tally.worker == self._world.node
        return about_me or trust * one.vote.negatives >= self._rules.weighs_from

    def _pause_s(self, tries: int) -> float:
        """Until the next question about a vote, after so many."""
        return self._rules.retry_s * (1 << max(0, tries - 1))

    def _reachable(self, one: _Waits) -> bool:
        contact = self._world.directory.contact(one.vote.author)
        return contact is not None and contact.connected

    async def _look_into(self, waits: _Waits) -> None:
        author, tally = waits.vote.author, waits.vote.tally
        waits.tries += 1
        waits.due = self._world.clock.now() + self._pause_s(waits.tries)
        try:
            finding = await self._finding(waits)
        except PeerError as error:  # it speaks, but not of evidence; a version that knows none of it is not to blame
            if not isinstance(error, Unsupported):
                self._world.directory.charge(author, 20, error.message)
            await self._nothing(waits, error.message)
        except CTorrentError as error:
            await self._nothing(waits, error.message)
        else:
            if not isinstance(finding, Unproven):
                for learn in self._told.proven:
                    learn(finding[0])
                await self._conclude(waits, *min(map(_weight, finding), key=lambda one: _WEAKEST.index(one[0])))
            else:
                log.warning("the vote of %s against %s does not hold: %s", author, tally.worker, finding.why)
                await self._conclude(waits, Standing.REFUTED, finding.why)

    async def _nothing(self, waits: _Waits, why: str) -> None:
        if waits.tries >= self._rules.tries:
            await self._conclude(waits, Standing.WITHHELD, why)
        elif self._waiting.get(waits.signed.id) is waits:  # a node that lives for one command finds out, too
            await self._write(Witnessed(waits.signed.id, waits.vote.author, Standing.WAITS, why), waits.tries)

    async def _finding(self, waits: _Waits) -> list[Leaf] | Unproven:
        """Raises Unavailable when nothing is shown now, a PeerError for what is no answer."""
        vote, tag = waits.vote, waits.vote.tally.job_tag
        asks: list[Ask] = [AskLeaf(vote.tally.evidence_root, place) for place in waits.places]
        known = tag in self._cases and waits.tries == 1
        if not known:  # or the job may have more amendments by now
            asks.insert(0, AskCase(tag))
        told = await self.ask(vote.author, asks)
        for one in told:
            if isinstance(one, Refused):
                raise Unavailable(f"{vote.author} refuses ({one.why.name.lower()})")
        try:
            if not known:
                shown, *told = told
                if isinstance(shown, Case):
                    self._keep_case(tag, open_case(shown))
            found = [self._opened(waits, place, one) for place, one in zip(waits.places, told, strict=False)]
        except PeerError as error:
            return Unproven(error.message)
        wrong = next((one for one in found if isinstance(one, Unproven)), None)
        if wrong is not None and known:
            raise Unavailable(f"{wrong.why}: asked once more, with what the job is by now")
        return wrong or [one for one in found if isinstance(one, Leaf)]

    def _opened(self, waits: _Waits, place: int, told: Told) -> Leaf | Unproven:
        """Raises a PeerError for a signature that does not hold."""
        vote, case = waits.vote, self._cases.get(waits.vote.tally.job_tag)
        if not isinstance(told, Evidence) or case is None:
            return Unproven("it answers with something else than was asked for")
        evidence = open_evidence(told)
        finding = check(vote, place, evidence, case)
        if isinstance(finding, Unproven):
            return finding
        name, here = leaf_name(finding), (bytes(vote.tally.evidence_root), place)
        if self._names.setdefault(name, here) != here:
            return Unproven("one wrong answer is counted twice")
        waits.names.append([name, *here])
        while len(self._names) > self._rules.names_kept:
            del self._names[next(iter(self._names))]
        return Leaf(waits.signed, vote, finding, evidence, case)

    def _keep_case(self, tag: bytes, case: OpenCase) -> None:
        self._cases.pop(tag, None)
        self._cases[tag] = case
        while len(self._cases) > self._rules.cases_kept:
            del self._cases[next(iter(self._cases))]

    async def _conclude(self, waits: _Waits, standing: Standing, why: str) -> None:
        self._waiting.pop(waits.signed.id, None)
        await self.conclude(Witnessed(waits.signed.id, waits.vote.author, standing, why), waits.names)

    async def conclude(self, found: Witnessed, names: Sequence[Any] = ()) -> None:
        """Write a finding down and tell who learns from it. A later one about the same vote takes its place.

        names: of the leaves that were seen, so that none counts for another vote, after a restart either.
        """
        log.info("a vote of %s: %s %s", found.author, found.standing.name.lower(), found.words)
        self.found.pop(found.entry, None)
        self.found[found.entry] = found
        while len(self.found) > self._rules.kept:
            oldest = next(iter(self.found))
            del self.found[oldest]
            self._stale.append(Delete(SPACE, oldest))
        await self._write(found, list(names))
        for learn in self._told.standings:
            learn(found)

    async def _write(self, found: Witnessed, more: Any) -> None:
        """more: names of leaves; of a vote that waits, how often its author was asked."""
        row = [found.standing.value, self._world.clock.unix(), node_public(found.author), found.words[:200], more]
        await self._world.journal.commit([Put(SPACE, found.entry, encode(row))], durable=False)


_WEAKEST = (Standing.REFUTED, Standing.TESTIMONY, Standing.PROVEN)


def leaf_name(proven: Proven) -> Digest:
    """What a vote's root stands over, and a rerun names."""
    return evidence_leaf(
        Observation(proven.job, proven.worker, proven.block, proven.assignment, proven.commitment, proven.verdict)
    )


def _weight(leaf: Leaf) -> tuple[Standing, str]:
    """What a leaf carries: digests that differ are answers that differ only where nothing is rounded."""
    proven, policy = leaf.proven, leaf.case.manifest.verify
    if proven.equivocated:
        return Standing.PROVEN, ""
    if proven.testimony:
        return Standing.TESTIMONY, "nothing but the coordinator's word says what the answer lost to"
    for one in proven.against:
        if digests_decide(policy, one.data):
            return Standing.PROVEN, ""
        if proven.data and one.data and policy.equal in SUPPORTED:
            try:
                apart = isinstance(same(proven.data, one.data, policy), Different)
            except PeerError as error:  # no honest coordinator takes such an output, or votes over it
                return Standing.REFUTED, error.message
            if apart:
                return Standing.PROVEN, ""
            return Standing.REFUTED, "by the job's own measure the two answers are the same"
    return Standing.TESTIMONY, "the answers differ, but whether by more than rounding is not shown"
