"""Proofs that need nobody's trust: two signatures of one key that exclude each other. Found, published, checked.

    a job's second result for one assignment ─▶ journal 'equivocation' ─▶ PROOF entry ─▶ everybody checks both signatures
    two entries of one author for one place  ─▶ journal 'fork'         ─▶   and remembers whom they convict
    a leaf that this node ran again itself   ─────────────────────────▶   testimony: it weighs as its author is trusted

A pair too large for an entry is named there by its digest, and shown to whoever asks for that name. A proof that does not
hold says nothing about the accused and much about its author, who signed it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from ctorrent.canon import encode
from ctorrent.errors import CTorrentError, Malformed, PeerError
from ctorrent.ledger import evidence_words
from ctorrent.ledger.tally import Observation
from ctorrent.model.entry import EntryKind, Proof, ProofKind, SignedEntry
from ctorrent.model.evidence import Ask, AskPair, Pair, Told
from ctorrent.model.ids import Digest, JobId, NodeId, OwnerId, Ring, node_id, node_public
from ctorrent.model.result import Result, Verdict
from ctorrent.node import dossier, records
from ctorrent.node.exhibits import differing, open_proof
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.scribe import Scribe
from ctorrent.node.turns import Turns
from ctorrent.node.verdicts import Verdicts
from ctorrent.node.world import World
from ctorrent.ports import Put, Write
from ctorrent.seal import Sealed
from ctorrent.wire import codec

log = logging.getLogger(__name__)

EQUIVOCATION_POINTS = 100  # a proof: refused at once, and for a while
FALSE_POINTS = 100  # whoever signs a proof that does not hold
ENTRY_ROOM = 512  # of an entry, for its header

Place = tuple[int, NodeId, bytes]  # what a proof is about: two proofs of one thing say no more than one


class Proofs:
    """Second results, of one job."""

    def __init__(self, world: World, verdicts: Verdicts, job: JobId) -> None:
        self.puts: list[Write] = []  # for the next durable commit
        self._world, self._verdicts, self._job = world, verdicts, job
        self._taken: dict[Digest, Sealed] = {}
        self._caught: set[NodeId] = set()

    def took(self, result: Result, sealed: Sealed) -> None:
        """This is the worker's result for its assignment."""
        self._taken.setdefault(result.assignment, sealed)

    def look(self, peer: NodeId, owner: OwnerId, result: Result, sealed: Sealed) -> None:
        """Raises Malformed when `peer` signed another result for this assignment before; keeps both, and counts it."""
        first = self._taken.get(result.assignment) or dossier.signed(self._world.journal, self._job, result.assignment)
        if first is None or first.body == sealed.body or result.worker != peer:
            return
        both = (first, sealed)
        before = codec.open_result(first)
        apart = set(differing(before, result, Proof(ProofKind.EQUIVOCATION, peer, both)))
        # A pair that says the same of every block proves nothing to others: published, it would convict this node.
        if apart and peer not in self._caught:  # one pair says all: each may be half a megabyte
            pair = encode([*map(records.pack_sealed, both), bytes(self._job)])
            self.puts.append(Put("equivocation", node_public(peer) + result.assignment, pair))
            self._caught.add(peer)
        self._world.directory.charge(peer, EQUIVOCATION_POINTS, "signed two results for one assignment")
        lines = [line for line in before.blocks if line.block in apart]
        seen = [Observation(self._job, peer, one.block, result.assignment, one.commitment, Verdict.INVALID) for one in lines]
        if seen:
            self.puts.append(self._verdicts.add(peer, owner, result.hardware_class, seen))
        raise Malformed("two results for one assignment")


@dataclass(frozen=True, slots=True)
class NotaryRules:
    """When proofs are published, and how many are remembered."""

    delay_s: float = 60.0  # everybody finds a fork at once: the first to publish spares the others the entry
    look_s: float = 5.0
    pairs_look_s: float = 60.0  # at pairs that jobs of this node wrote down: each may be half a megabyte
    due_max: int = 1024  # that wait to be published or looked into; an author that forks a thousand logs is known by then
    held_max: int = 65536  # things proven, remembered so that nobody proves them again; 200 bytes each
    pairs_max: int = 256  # too large for an entry, served: 600 KB at worst, 150 MB in all
    wanted_share: int = 32  # of due_max, of one author that names pairs: who finds more is not believed sooner for it
    asks_max: int = 8  # authors asked for a pair at once: half a megabyte each
    tries: int = 4  # to get a pair from who named it


@dataclass(frozen=True, slots=True)
class Convicted:
    """A proof that holds. `entry`: where it was published."""

    entry: Digest
    author: NodeId
    proof: Proof


@dataclass(slots=True)
class _Due:
    ring: Ring
    proof: Proof
    at: float


@dataclass(slots=True)
class _Wanted:
    signed: SignedEntry
    proof: Proof
    at: float
    tries: int = 0


class Notary:
    """One per node: publishes what is found here, checks what others publish. record_of: this node's own jobs."""

    def __init__(
        self, world: World, scribe: Scribe, record_of: Callable[[JobId], JobRecord | None], rules: NotaryRules = NotaryRules()
    ) -> None:  # fmt: skip
        self._world, self._scribe, self._record_of, self._rules = world, scribe, record_of, rules
        self.ask: Callable[[NodeId, Sequence[Ask]], Awaitable[list[Told]]] | None = None  # set by who has the protocol
        self.held: dict[Place, Digest] = {}
        self._due: dict[Place, _Due] = {}
        self._wanted: dict[Digest, _Wanted] = {}
        self._turns: Turns[_Wanted] = Turns(rules.asks_max)
        self._forks: dict[tuple[NodeId, int, int], None] = {}
        self._told: dict[tuple[NodeId, int], None] = {}  # logs whose fork was found here: an earlier place in one is not news to publish
        self._entries: list[SignedEntry] = []  # of proven forks, on their way into the book
        self._running = False
        self._convicts: list[Callable[[Convicted], None]] = []
        self._liars: list[Callable[[NodeId, Digest], None]] = []
        scribe.book.on(EntryKind.PROOF, self._learn)
        scribe.book.on_fork(self._forked)

    def on(self, convicted: Callable[[Convicted], None], lied: Callable[[NodeId, Digest], None]) -> None:
        """Tell of proofs that hold (reruns too: testimony), and of authors of proofs that do not. Before the book loads."""
        self._convicts.append(convicted)
        self._liars.append(lied)

    # -- what is found here -------------------------------------------------------------------------------------------

    def found(self, ring: Ring, proof: Proof, now: bool = False) -> None:
        """Publish a proof soon, unless somebody else does before. now: nobody else can know it."""
        place = place_of(proof)
        if place in self.held or place in self._due or len(self._due) >= self._rules.due_max:
            return
        part = int.from_bytes(self._world.clock.random_bytes(8), "big") / (1 << 64)
        self._due[place] = _Due(ring, proof, self._world.clock.now() + (0.0 if now else part * self._rules.delay_s))

    def _forked(self, author: NodeId, incarnation: int, seq: int) -> None:
        """The book is writing the pair down just now: it is read when the next look comes."""
        if author != self._world.node and len(self._forks) < self._rules.due_max:  # who forked itself leaves it to others to say
            self._forks[author, incarnation, seq] = None

    def _read_forks(self) -> None:
        forks, self._forks = self._forks, {}
        for author, incarnation, seq in forks:
            ring = self._scribe.book.chain.ring(author, incarnation)
            if ring is None or (ProofKind.FORK.value, author, _at(incarnation, seq)) in self.held:
                continue
            both = [one for one in self._kept_forks(author) if _stands_at(one, incarnation, seq)]
            if len(both) >= 2 and (author, incarnation) not in self._told:
                self._told[author, incarnation] = None
                while len(self._told) > self._rules.held_max:
                    del self._told[next(iter(self._told))]
                self.found(ring, Proof(ProofKind.FORK, author, (both[0], both[1])))

    def _kept_forks(self, author: NodeId) -> list[Sealed]:
        return [records.unpack_sealed(records.load(value)) for _, value in self._world.journal.scan("fork", node_public(author))]

    def _read_equivocations(self) -> None:
        for key, value in self._world.journal.scan("equivocation", limit=self._rules.due_max):
            accused, assignment = node_id(key[:32]), key[32:]
            if (ProofKind.EQUIVOCATION.value, accused, assignment) in self.held:
                continue
            one, other, job = records.load(value)
            record = self._record_of(JobId(job))
            if record is not None:
                both = records.unpack_sealed(one), records.unpack_sealed(other)
                self.found(record.job.manifest.ring, Proof(ProofKind.EQUIVOCATION, accused, both), now=True)

    async def run(self) -> None:
        """Publish what is due, get pairs that are too large for an entry, and put proven forks into the book."""
        await self._scribe.book.wait_whole()  # what is read of the journal was published, and charged, in an earlier life
        self._running = True
        looked = self._world.clock.now() - self._rules.delay_s
        async with trio.open_nursery() as nursery:
            while True:
                now = self._world.clock.now()
                self._read_forks()
                if now - looked >= self._rules.pairs_look_s:
                    self._read_equivocations()
                    looked = now
                for place in [place for place, due in self._due.items() if due.at <= now]:
                    due = self._due.pop(place)
                    if place not in self.held:
                        await self._publish(due.ring, due.proof)
                for wanted in self._turns.take(self._wanted_by(now)):
                    nursery.start_soon(self._turns.put, wanted.signed.entry.author, self._fetch, wanted)
                entries, self._entries = self._entries, []
                for signed in entries:
                    await self._scribe.book.take(self._scribe.book.chain.add(signed))
                await trio.sleep(self._rules.look_s)

    def _wanted_by(self, now: float) -> list[tuple[NodeId, float, _Wanted]]:
        heeds = self._scribe.trust.reputation.heeds
        return [(one.signed.entry.author, heeds(one.signed.entry.author), one) for one in self._wanted.values() if one.at <= now]

    async def _publish(self, ring: Ring, proof: Proof) -> None:
        body = codec.encode_proof(proof)
        if len(body) + ENTRY_ROOM > codec.BOUNDS.entry_bytes:
            if len(self._world.journal.scan("pair", limit=self._rules.pairs_max)) >= self._rules.pairs_max:
                return
            name = evidence_words.pair_digest(*proof.both)
            parts = [records.pack_sealed(sealed) for sealed in proof.both]
            await self._world.journal.commit([Put("pair", name, encode(parts))])
            self._keep(place_of(proof), name)
            body = codec.encode_proof(Proof(proof.kind, proof.accused, (), name))
        await self._scribe.write(ring, EntryKind.PROOF, body)

    def pair(self, name: bytes) -> Pair | None:
        """A pair that an entry of this node only names."""
        value = self._world.journal.get("pair", name)
        if value is None:
            return None
        one, other = records.load(value)
        return Pair((records.unpack_sealed(one), records.unpack_sealed(other)))

    # -- what others publish ------------------------------------------------------------------------------------------

    def _learn(self, signed: SignedEntry) -> None:
        """Learner of PROOF entries. Raises a PeerError for one that does not hold."""
        proof = codec.decode_proof(signed.entry.body)
        if proof.kind is ProofKind.RERUN:
            self._convict(signed, proof)
        elif proof.both:
            self._check(signed, proof)
        elif signed.entry.author != self._world.node and self._room_for(signed.entry.author):
            self._wanted[signed.id] = _Wanted(signed, proof, self._world.clock.now())

    def _room_for(self, author: NodeId) -> bool:
        theirs = sum(one.signed.entry.author == author for one in self._wanted.values())
        return len(self._wanted) < self._rules.due_max and theirs < self._rules.wanted_share

    def _check(self, signed: SignedEntry, proof: Proof) -> None:
        try:
            open_proof(proof)
            entries = [codec.open_entry(one) for one in proof.both] if proof.kind is ProofKind.FORK else []
            if any(one.entry.ring != signed.entry.ring for one in entries):
                raise Malformed("a proof that carries another ring's entries out of it")
        except PeerError as error:
            self._lied(signed, error.message)
            raise
        place = place_of(proof)
        if place in self.held:
            return
        self._keep(place, signed.id)
        self._entries += entries[: self._rules.due_max - len(self._entries)]
        self._convict(signed, proof)

    def _convict(self, signed: SignedEntry, proof: Proof) -> None:
        for learn in self._convicts:
            learn(Convicted(signed.id, signed.entry.author, proof))

    def _lied(self, signed: SignedEntry, why: str) -> None:
        author = signed.entry.author
        log.warning("%s published a proof that does not hold: %s", author, why)
        if self._running:  # not for what an earlier life of this node charged already
            self._world.directory.charge(author, FALSE_POINTS, why)
        for learn in self._liars:
            learn(author, signed.id)

    def _keep(self, place: Place, entry: Digest) -> None:
        self.held[place] = entry
        while len(self.held) > self._rules.held_max:
            del self.held[next(iter(self.held))]

    async def _fetch(self, wanted: _Wanted) -> None:
        """Ask who named a pair for it; who cannot show it said nothing."""
        author = wanted.signed.entry.author
        wanted.tries += 1
        wanted.at = self._world.clock.now() + self._rules.delay_s * 2**wanted.tries
        if wanted.tries >= self._rules.tries:
            self._wanted.pop(wanted.signed.id, None)
        if self.ask is None:
            return
        try:
            told = (await self.ask(author, [AskPair(wanted.proof.leaf)]))[0]
        except CTorrentError as error:
            log.info("the proof of %s against %s: %s", author, wanted.proof.accused, error.message)
            return
        if not isinstance(told, Pair) or evidence_words.pair_digest(*told.both) != wanted.proof.leaf:
            return
        self._wanted.pop(wanted.signed.id, None)
        with contextlib.suppress(PeerError):  # charged already
            self._check(wanted.signed, Proof(wanted.proof.kind, wanted.proof.accused, told.both))


def place_of(proof: Proof) -> Place:
    """What a proof that holds is about. Raises a PeerError for one whose parts do not decode."""
    if not proof.both:
        return proof.kind.value, proof.accused, proof.leaf
    if proof.kind is ProofKind.FORK:
        entry = codec.open_entry(proof.both[0]).entry
        return proof.kind.value, proof.accused, _at(entry.incarnation, entry.seq)
    return proof.kind.value, proof.accused, bytes(codec.open_result(proof.both[0]).assignment)


def _at(incarnation: int, seq: int) -> bytes:
    return incarnation.to_bytes(4, "big") + seq.to_bytes(8, "big")


def _stands_at(sealed: Sealed, incarnation: int, seq: int) -> bool:
    entry = codec.open_entry(sealed).entry
    return (entry.incarnation, entry.seq) == (incarnation, seq)
