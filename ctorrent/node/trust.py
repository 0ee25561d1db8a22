"""What this node thinks of others, kept over restarts: friends and owners in, entries in, standings out.

    quarantine   owner, as text              a case (ledger/quarantine.py): durable with the entry that changed it
    against      job ‖ entry                 [owner, term, at, wrong, proof]: what an own entry about an open job counts
                                             against whom; [] for a vote that counts for nothing, against one who is held
    void         entry                       an own vote that was taken back; the entry itself stays in the log

Figures come from entries, which are all read again at a start; cases are journalled, because a rest that is counted in
this node's own entries must not begin anew, nor end, when it restarts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ctorrent.canon import encode
from ctorrent.ledger.eigentrust import Step
from ctorrent.ledger.quarantine import Blame, Case, Cause, Quarantine, describe, from_words, to_words
from ctorrent.ledger.reputation import Reputation, Snapshot
from ctorrent.ledger.tally import Counts
from ctorrent.ledger.trust_rules import TrustRules
from ctorrent.ledger.weighing import Record, Testimony
from ctorrent.model.entry import EntryKind, Proof, ProofKind, SignedEntry, Tally
from ctorrent.model.identity import PeerIdentity
from ctorrent.model.ids import Digest, JobId, NodeId, OwnerId
from ctorrent.node import records
from ctorrent.node.admission import network_of
from ctorrent.node.ledgerbook import Ledgerbook
from ctorrent.node.people import People
from ctorrent.node.world import World
from ctorrent.ports import Delete, Put, Write
from ctorrent.seal import digest
from ctorrent.wire import codec

_CAUSES = {ProofKind.FORK: Cause.FORK, ProofKind.EQUIVOCATION: Cause.EQUIVOCATION, ProofKind.RERUN: Cause.RERUN}


@dataclass(frozen=True, slots=True)
class Standing:
    """All that is to be said of one node, for a person."""

    record: Record
    why: list[Testimony]
    trust: float  # how much its own word about others weighs here
    paths: Mapping[str, list[Step]]  # by owner of an author in `why`: how trust comes to it
    held: str  # why it is refused, since when and its way back; "" when it is not
    past: str  # what was held against its owner, once
    established: int  # right blocks in a row
    dues: float  # right blocks that end its time as a newcomer


class Trust:
    """One per node. `reputation` decides; here is what it is told, and what of it is kept."""

    def __init__(self, world: World, people: People, book: Ledgerbook) -> None:
        self._world, self._people, self._book = world, people, book
        cases = [from_words(records.load(value)) for _, value in world.journal.scan("quarantine")]
        self.reputation = Reputation(world.node, quarantine=Quarantine(cases=cases))
        self.pending: Callable[[], Mapping[NodeId, Counts]] = dict  # own verdicts that no tally holds …
        self.pending_of: Callable[[NodeId], Counts | None] = lambda node: None  # … and those on one worker
        self._rules = TrustRules()
        self._seen: dict[NodeId, PeerIdentity] = {}
        self._due: list[Put] = []
        self.reputation.belongs(world.node, people.owner)
        book.on_fork(self._forked)
        book.on(EntryKind.ROTATION, self._rotated)
        for entry, _ in world.journal.scan("void"):
            self.reputation.void(Digest(entry))
        self.look()
        self.reputation.signer(world.node)  # whose words are worth keeping is known before any are read

    # -- what comes in ------------------------------------------------------------------------------------------------

    def learn(self, signed: SignedEntry) -> None:
        """A TALLY. Raises PeerError when it says nothing. Whose the worker is, only one's own tallies are believed on."""
        tally = codec.decode_tally(signed.entry.body)
        if signed.entry.author == self._world.node and tally.worker_owner:
            self.reputation.belongs(tally.worker, tally.worker_owner)
        self.reputation.learn(signed, tally)

    def voted(self, job: JobId, entry: Digest, tally: Tally) -> list[Put]:
        """This node's own tally is about to be written: what is to be kept in the same commit."""
        self._count()
        found: list[Put] = []
        if tally.disputed or tally.invalid:
            blame = self.reputation.blame(tally)
            found.append(_against(job, entry, blame))
        case = self.reputation.judge(tally)
        return [*found, _put(case)] if case is not None else found

    def accuses(self, job: JobId, entry: Digest, proof: Proof) -> Put:
        """This node's own RERUN of a block of an open job is about to be written: likewise."""
        self._count()
        return _against(job, entry, self.reputation.blame_proven(proof.accused, _name(proof.kind.value, proof.accused, proof.leaf)))

    async def withdraw(self, job: JobId, beside: Sequence[Put]) -> None:
        """Own votes about an open job that say anything bad count no longer, nor is anybody held for them or its proofs."""
        self._count()
        rows = [(key, records.load(value)) for key, value in self._world.journal.scan("against", job)]
        blames = [_blame(*words) for _, words in rows if words]
        votes = [Digest(key[len(job) :]) for key, words in rows if not words or not words[4]]
        cases = self.reputation.withdrawn(votes, blames)
        writes: list[Write] = [*beside, *self.due(), *(Delete("against", key) for key, _ in rows)]
        writes += [*(Put("void", entry, b"") for entry in votes), *map(_put, cases)]
        if writes:
            await self._world.journal.commit(writes)

    def proven(self, kind: int, accused: NodeId, place: bytes, author: NodeId) -> None:
        """A proof that was checked: see Reputation.proven. place: what it is about. Kept with the next commit."""
        self._count()
        case = self.reputation.proven(accused, _CAUSES[ProofKind(kind)], _name(kind, accused, place), author)
        if case is not None:
            self._due.append(_put(case))

    def _forked(self, author: NodeId, incarnation: int, seq: int) -> None:
        self.reputation.forked(author, incarnation, seq)
        place = incarnation.to_bytes(4, "big") + seq.to_bytes(8, "big")  # as node/proofs.py names it
        self.proven(ProofKind.FORK.value, author, place, author)

    def _rotated(self, signed: SignedEntry) -> None:
        rotation = codec.open_rotation(signed.entry.body)
        self._due += [_put(case) for case in self.reputation.rotated(rotation.old, rotation.new)]

    def due(self) -> list[Put]:
        """Cases to be committed; each is handed out once."""
        found, self._due = self._due, []
        return found

    def look(self) -> None:
        """Take notice of friends, of who turned out to be whose, and of where this node's own log stands."""
        self.reputation.trust(dict.fromkeys(self._people.friends(), self._rules.friend))
        for node, identity in self._people.known.items():
            if self._seen.get(node) is not identity:
                self.reputation.belongs(node, identity.owner or "", self._network(node))
        self._seen = dict(self._people.known)
        for owner, person in self._people.persons.items():
            for node in person.nodes:
                self.reputation.belongs(NodeId(node), owner)
        self._count()

    def certified(self, node: NodeId, owner: OwnerId) -> None:
        """A certificate that was checked, wherever it came from."""
        self.reputation.belongs(node, owner)

    def _network(self, node: NodeId) -> str:
        network = network_of(self._world, node)
        return "" if network == "unknown" else f"net_{network}"

    def _count(self) -> None:
        self.reputation.position = self._book.written()  # what a checkpoint forgot was written, too: a rest never begins anew

    # -- what comes out -----------------------------------------------------------------------------------------------

    def snapshot(self, nodes: Iterable[NodeId] | None = None) -> Snapshot:
        """Records, frozen: everyone's, or those of `nodes`."""
        self.look()
        return self.reputation.snapshot(self.pending(), nodes)

    def held(self, node: NodeId) -> str:
        """Why a node's bids are refused, since when, and its way back; "" when they are not."""
        return self.reputation.held(node)

    def established(self, node: NodeId) -> int:
        """Right blocks in a row by own verdicts, for audit rates at a job's start: see Reputation.established."""
        return self.reputation.established(node, self.pending_of(node))

    def gossip_score(self, node: NodeId) -> float:
        return self.reputation.gossip_score(node)

    def standing(self, node: NodeId, whole: bool) -> Standing:
        """All that is thought of a node; the entries behind it when `whole`."""
        self.look()
        said, pending = self.reputation, self.pending_of(node)
        record, why = said.record(node, pending), said.why(node, pending) if whole else []
        first = {line.owner: line.author for line in why if line.trust and line.author != self._world.node}
        case = said.quarantine.case(said.blamed(node))
        held = said.held(node)
        past = "" if held or case is None or not case.offences else describe(case, said.position)
        paths = {owner: said.path(author) for owner, author in first.items()}
        return Standing(record, why, said.signer(node), paths, held, past, self.established(node), said.dues(node))


def _name(kind: int, accused: NodeId, place: bytes) -> Digest:
    return Digest(digest("ctorrent/proven/1", kind.to_bytes(1, "big"), accused.encode(), place))


def _against(job: JobId, entry: Digest, blame: Blame | None) -> Put:
    return Put("against", job + entry, encode([blame.owner, blame.term, blame.at, blame.wrong, blame.proof or b""] if blame else []))


def _blame(owner: str, term: int, at: int, wrong: float, proof: bytes) -> Blame:
    return Blame(owner, term, at, wrong, Digest(proof) if proof else None)


def _put(case: Case) -> Put:
    return Put("quarantine", case.owner.encode(), encode(to_words(case)))
