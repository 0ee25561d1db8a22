"""The ledger as it lies in the journal: entries and fork proofs go in here, are chained, and are handed to who learns.

    accepted entry ─▶ journal ─▶ every learner of its kind (reputation, credit, evidence …)
    complete checkpoint ─▶ checked against what it stands for ─┬▶ right: what lies behind the one before it is deleted
                                                               └▶ a lie: kept, and told to who learns of forks
    no room left ─▶ the newest entries of whoever has most of it, among those that matter least (ledger/shares.py), are deleted
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import trio

from ctorrent.canon import encode
from ctorrent.errors import PeerError
from ctorrent.ledger.chain import (
    INCARNATION_MAX,
    SEQ_MAX,
    Accept,
    Chain,
    Cut,
    Effect,
    ForkProof,
    Ignored,
    Refuse,
    Request,
    Whole,
)
from ctorrent.ledger.checkpoint import Summed
from ctorrent.ledger.rules import CheckpointRules, RoomRules
from ctorrent.ledger.shares import Rank, Shares
from ctorrent.ledger.sync import Want
from ctorrent.model.entry import SignedEntry
from ctorrent.model.ids import Digest, NodeId, OwnerId, node_id, node_public
from ctorrent.node import records, summing
from ctorrent.node.people import People
from ctorrent.node.reading import AT_ONCE, Reading
from ctorrent.node.world import World
from ctorrent.ports import Delete, Put
from ctorrent.seal import Sealed
from ctorrent.wire import codec

log = logging.getLogger(__name__)

SCAN_ROWS = 1024  # read at once: 1 MiB of entries
DELETE_ROWS = 4096  # in one commit
RETIRED = b"entries retired"  # under "self": of this node's own logs that are gone

Learner = Callable[[SignedEntry], None]  # may raise PeerError: then the entry says nothing, and stays


class Ledgerbook:
    """Every log that this node holds. `chain` says how they stand; the bytes are in the journal."""

    def __init__(
        self, world: World, people: People, rules: CheckpointRules | None = None, room: RoomRules | None = None, at_once: int = AT_ONCE
    ) -> None:
        self._world, self._people = world, people
        self.rules = rules or CheckpointRules()
        self.owner_of: Callable[[NodeId], str] = str  # by certificate; the node itself where none is known
        self.heeds: Callable[[NodeId], bool] = lambda node: False  # does a node's word weigh anything here?
        self.shares = Shares(self._counted_as, self._rank, room or RoomRules())
        self._reading = Reading(world.journal, world.node, self._read, at_once)
        self._whole = trio.Event()
        self.chain = Chain(read=summing.said)
        self._forks: dict[tuple[NodeId, int], int] = {}  # a log -> the first place at which it is known to fork
        self._proof_bytes = 0
        self.lies: dict[tuple[NodeId, int, int], str] = {}  # of checkpoints: where they stand, and what is wrong
        self.missing: Callable[[NodeId], None] = lambda peer: None  # told whom to meet soon: it holds what is missing
        self._learners: dict[int, list[Learner]] = {}
        self._fork_learners: list[Callable[[NodeId, int, int], None]] = []
        self._sum_learners: list[Callable[[Summed, Digest], None]] = []
        self._cuts: list[Cut] = []  # found at load, to be done
        retired = world.journal.get("self", RETIRED)
        self._retired = 0 if retired is None else int(records.load(retired))

    def on(self, kind: int, learn: Learner) -> None:
        """Call `learn` with each accepted entry of a kind, own or another's, in each log's order. Before load()."""
        self._learners.setdefault(kind, []).append(learn)

    def on_fork(self, learn: Callable[[NodeId, int, int], None]) -> None:
        """Call `learn` with author, incarnation and seq of each proven fork, and of each lying checkpoint. Before load()."""
        self._fork_learners.append(learn)

    def on_sums(self, learn: Callable[[Summed, Digest], None]) -> None:
        """Call `learn` with the sums, and their entry's id, that stand for entries never seen here. Before load()."""
        self._sum_learners.append(learn)

    # -- a start ------------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Chain what the journal holds, or, where that is much, what cannot wait: the rest is for `read_on`.

        Entries were checked before they were stored; only decoding is repeated.
        """
        for key, value in self._world.journal.scan("lie"):
            self.lies[node_id(key[:32]), int.from_bytes(key[32:36], "big"), int.from_bytes(key[36:], "big")] = records.load(value)
        self._reading.begin()
        if self._reading.whole:
            self._is_whole()

    async def read_on(self) -> None:
        """What `load` left for later. Raises JournalError for a record that is not as it was written."""
        if not self.whole:
            log.info("the rest of the ledger is read beside the node's work")
            await self._reading.go_on()
            self._is_whole()
            log.info("all of the ledger is read")

    def _is_whole(self) -> None:
        for author, incarnation, seq in self.lies:
            self._tell_fork(author, incarnation, seq)
        self._load_forks()
        self._whole.set()

    @property
    def whole(self) -> bool:
        """Is everything chained that lies in the journal?"""
        return self._whole.is_set()

    @property
    def share_read(self) -> float:
        return self._reading.share

    async def wait_whole(self) -> None:
        await self._whole.wait()

    def _read(self, key: bytes, value: bytes) -> None:
        self.shares.add(node_id(key[:32]), len(value))
        self.chained(codec.read_entry(records.unpack_sealed(records.load(value))))

    def _load_forks(self) -> None:
        """The two of each proof go in together: the chain no longer holds what lies behind a cut."""
        places: dict[tuple[NodeId, int, int], list[SignedEntry]] = {}
        for _, value in self._world.journal.scan("fork"):
            self._proof_bytes += len(value)
            signed = codec.read_entry(records.unpack_sealed(records.load(value)))
            entry = signed.entry
            places.setdefault((entry.author, entry.incarnation, entry.seq), []).append(signed)
        for place, entries in places.items():
            proofs = [effect for one in entries for effect in self.chain.add(one) if isinstance(effect, ForkProof)]
            if proofs or len(entries) > 1:
                self._forked(*place)

    def chained(self, signed: SignedEntry) -> None:
        """Chain and learn an entry that is stored, or is about to be."""
        for effect in self.chain.add(signed, begins=True):
            match effect:
                case Accept(entry=accepted):
                    self._learn(accepted)
                case Whole(head=head) if (head.author, head.incarnation, head.seq) not in self.lies:
                    for cut in self.chain.settle(effect):
                        if isinstance(cut, Cut):
                            self._sum(cut)
                            self._cuts.append(cut)
                case _:
                    pass

    async def tidy(self) -> None:
        """Delete what lies behind cuts that were found while entries were chained, and what there is no room for."""
        while self._cuts:
            await self._forget(self._cuts.pop())
        if self.whole:
            await self._make_room()

    def _learn(self, signed: SignedEntry) -> None:
        for learn in self._learners.get(signed.entry.kind, ()):
            try:
                learn(signed)
            except PeerError as error:
                log.info("an entry of %s says nothing: %s", signed.entry.author, error.message)

    @property
    def forks(self) -> list[tuple[NodeId, int, int]]:
        """(author, incarnation, seq) of each log that is known to fork, and the first place where."""
        return [(*log, seq) for log, seq in self._forks.items()]

    def _forked(self, author: NodeId, incarnation: int, seq: int) -> None:
        self._forks[author, incarnation] = min(seq, self._forks.get((author, incarnation), seq))
        self._tell_fork(author, incarnation, seq)

    def _tell_fork(self, author: NodeId, incarnation: int, seq: int) -> None:
        for learn in self._fork_learners:
            learn(author, incarnation, seq)

    # -- into the journal ---------------------------------------------------------------------------------------------

    async def store(self, fresh: list[SignedEntry], durable: bool, beside: Sequence[Put] = ()) -> None:
        """Write entries that are chained, and what must be written with them."""
        puts = [
            Put("entry", records.entry_key(s.entry.author, s.entry.incarnation, s.entry.seq), encode(records.pack_sealed(s.sealed)))
            for s in fresh
        ]  # fmt: skip
        if puts:
            for signed, put in zip(fresh, puts, strict=True):
                self.shares.add(signed.entry.author, len(put.value))
            await self._world.journal.commit([*puts, *beside], durable)

    def welcome(self, signed: SignedEntry) -> bool:
        """Is there room for this entry? While the stored ledger is read, for none but own ones."""
        return (self.whole and self.has_room(signed.entry.author)) or signed.entry.author == self._world.node

    def has_room(self, author: NodeId) -> bool:
        return not self.shares.refuses(author)

    def _counted_as(self, author: NodeId) -> str:
        return self.owner_of(author)  # who tells it is known after this book

    def _rank(self, author: NodeId) -> Rank:
        known = self._people.known.get(author)
        owner = OwnerId(self.owner_of(author)) if known is None or known.owner is None else known.owner
        if author == self._world.node or owner == self._world.owner:
            return Rank.SELF
        if self._people.is_friend(owner):
            return Rank.CONTACT
        return Rank.TRUSTED if self.heeds(author) else Rank.STRANGER

    async def _make_room(self) -> None:
        """Delete the newest entries of whoever gives way, until all fit."""
        while self.shares.over and (most := self.shares.largest()) is not None:
            gone = self._newest(most.author, self.shares.portion(most))
            if not gone:
                log.error("the entries of %s are not where they were counted", most.author)
                return
            for (incarnation, seq), _ in gone:
                self.chain.trim(most.author, incarnation, seq - 1)
            self.shares.add(most.author, -sum(size for _, size in gone))
            deletes = [Delete("entry", records.entry_key(most.author, *place)) for place, _ in gone]
            await self._world.journal.commit(deletes, durable=False)
            log.info("no room: %d entries of %s are forgotten", len(gone), most.author)

    def _newest(self, author: NodeId, size: int) -> list[tuple[tuple[int, int], int]]:
        """((incarnation, seq), bytes) of an author's last entries, so many bytes of them or a little more, newest first."""
        rows = ((place, self._world.journal.get("entry", records.entry_key(author, *place))) for place in self._places(author))
        found: list[tuple[tuple[int, int], int]] = []
        for place, value in rows:
            if value is not None:
                found.append((place, len(value)))
                size -= len(value)
            if size <= 0:
                break
        return found

    def _places(self, author: NodeId) -> Iterator[tuple[int, int]]:
        """Where an author's entries lie, newest first. What came after a fork is no part of the chain, but of the journal."""
        for incarnation in reversed(self.chain.incarnations(author)):
            line = self.chain.line(author, incarnation)
            if line is None or line.fork:
                rows = self._world.journal.scan("entry", node_public(author) + records.u32(incarnation))
                yield from ((incarnation, int.from_bytes(key[36:], "big")) for key, _ in reversed(rows))
            else:
                yield from ((incarnation, seq) for seq in range(line.seq, max(0, line.low - 1), -1))

    async def take(self, effects: Sequence[Effect]) -> None:
        """Do what the chain made of entries that came from a peer; all of it, though that peer may hang up any moment.

        The chain holds them already, and says so to everybody: none would be asked for again.
        """
        with trio.CancelScope(shield=True):
            fresh: list[SignedEntry] = []
            for effect in effects:
                if isinstance(effect, Accept):
                    self._learn(effect.entry)
                    fresh.append(effect.entry)
                    continue
                await self.store(fresh, durable=False)  # in order: what follows may read them
                fresh = []
                await self._one(effect)
            await self.store(fresh, durable=False)
            await self._make_room()

    async def _one(self, effect: Effect) -> None:
        match effect:
            case Request(peer=peer):
                if peer is not None:
                    self.missing(peer)
            case ForkProof():
                self._forked(effect.author, effect.incarnation, effect.seq)
                await self._keep_proof(effect)
            case Whole():
                await self._judge(effect)
            case Refuse(peer=peer, why=why):
                if peer is not None:
                    self._world.directory.charge(peer, 10, why)
            case Ignored(why=why):
                log.debug("an entry was ignored: %s", why)
            case _:
                pass

    async def _keep_proof(self, proof: ForkProof) -> None:
        """Both entries, so that whoever asks gets the whole proof."""
        both = [encode(records.pack_sealed(s.sealed)) for s in (proof.held_entry, proof.other) if s is not None]
        names = [s.id for s in (proof.held_entry, proof.other) if s is not None]
        if proof.held_entry is None:
            held = self._world.journal.get("entry", records.entry_key(proof.author, proof.incarnation, proof.seq))
            if held is not None:
                both.append(held)
                names.append(proof.held)
        puts = [Put("fork", node_public(proof.author) + name, sealed) for name, sealed in zip(names, both, strict=True)]
        rows = [(key, value, _place(value)) for key, value in self._world.journal.scan("fork", node_public(proof.author))]
        gone = [(key, value) for key, value, (incarnation, seq) in rows if incarnation == proof.incarnation and seq > proof.seq]
        size = sum(len(put.value) for put in puts) - sum(len(value) for _, value in gone)
        if len({incarnation for _, _, (incarnation, _) in rows} | {proof.incarnation}) > self.shares.rules.proven_logs or not self._keeps(proof.author, size):
            log.info("a fork of %s is known until this node's next start: there is no more room for such proofs", proof.author)
            return
        self._proof_bytes += size
        await self._world.journal.commit([*puts, *(Delete("fork", key) for key, _ in gone)])

    def _keeps(self, author: NodeId, size: int) -> bool:
        """Is there room for so many bytes of proof? A flood of keys that fork crowds out nobody who matters here."""
        room, rank = self.shares.rules.proofs_bytes, self._rank(author)
        return rank >= Rank.CONTACT or self._proof_bytes + size <= (room if rank is Rank.TRUSTED else room // 2)

    def written(self) -> int:
        """Entries that this node ever wrote, those that are gone among them: a clock that runs with its experience."""
        return self._retired + sum(head.seq for head in self.chain.heads(self._world.node))

    # -- checkpoints --------------------------------------------------------------------------------------------------

    async def _judge(self, whole: Whole) -> None:
        """A complete checkpoint: what it stands for is deleted, but one behind, or it is kept as a lie."""
        head = whole.head
        why = await summing.wrong(self._world.journal, whole, self.rules)
        if why:
            log.warning("a checkpoint of %s lies: %s", head.author, why)
            self.lies[head.author, head.incarnation, head.seq] = why
            await self._world.journal.commit([Put("lie", records.entry_key(head.author, head.incarnation, head.seq), encode(why))])
            self._tell_fork(head.author, head.incarnation, head.seq + 1)
            return
        for cut in self.chain.settle(whole):
            if isinstance(cut, Cut):
                self._sum(cut)
                await self._forget(cut)

    def _sum(self, cut: Cut) -> None:
        """Where a log begins at its cut, the sums are all that is known of what lies behind."""
        if not cut.unheard:
            return
        said = summing.parts(self._world.journal, cut.head, cut.parts)
        first = self.chain.id_at(cut.head.author, cut.head.incarnation, cut.head.seq + 1)
        if said and first is not None:
            sums = tuple(one for part in said for one in part.sums)
            for learn in self._sum_learners:
                learn(Summed(cut.head.author, cut.ring, cut.head, sums, said[0].credits), first)

    async def _forget(self, cut: Cut) -> None:
        """Delete the entries behind a cut."""
        author, head = node_public(cut.head.author), cut.head
        if head.author == self._world.node and cut.entries:
            self._retired += cut.entries
            await self._world.journal.commit([Put("self", RETIRED, encode(self._retired))], durable=False)
        for incarnation in (*cut.logs, head.incarnation):
            last = records.entry_key(head.author, incarnation, head.seq) if incarnation == head.incarnation else b"\xff"
            stem, key = author + records.u32(incarnation), b""
            while rows := self._world.journal.scan("entry", stem, DELETE_ROWS, key):
                gone = [(key, value) for key, value in rows if key <= last or last == b"\xff"]
                if gone:
                    self.shares.add(head.author, -sum(len(value) for _, value in gone))
                    await self._world.journal.commit([Delete("entry", key) for key, _ in gone], durable=False)
                if len(gone) < len(rows):
                    break
                key = rows[-1][0]

    # -- out of the journal -------------------------------------------------------------------------------------------

    def held(self, want: Want) -> list[Sealed]:
        """Entries of a want that are here, in order; with the two of a fork where asked."""
        found = []
        for seq in range(want.from_seq, want.to_seq + 1):
            record = self._world.journal.get("entry", records.entry_key(want.author, want.incarnation, seq))
            if record is None:
                break
            found.append(records.unpack_sealed(records.load(record)))
        return found + self._proof(want) if want.proof else found

    def holds(self, sealed: Sealed) -> bool:
        """Are these very bytes stored here, signature and all? Raises Malformed for what is no entry."""
        entry = codec.read_entry(sealed).entry
        if entry.incarnation > INCARNATION_MAX or entry.seq > SEQ_MAX:
            return False
        record = self._world.journal.get("entry", records.entry_key(entry.author, entry.incarnation, entry.seq))
        return record is not None and record == encode(records.pack_sealed(sealed))

    def _proof(self, want: Want) -> list[Sealed]:
        """The two entries of a log's earliest known fork, one after the other."""
        rows = self._world.journal.scan("fork", node_public(want.author))
        signed = [codec.read_entry(records.unpack_sealed(records.load(value))) for _, value in rows]
        seq = self.chain.forked_at(want.author, want.incarnation)
        return [s.sealed for s in signed if (s.entry.incarnation, s.entry.seq) == (want.incarnation, seq)]


def _place(value: bytes) -> tuple[int, int]:
    """(incarnation, seq) of a stored entry."""
    entry = codec.read_entry(records.unpack_sealed(records.load(value))).entry
    return entry.incarnation, entry.seq
