"""The scribe: writes this node's entries, hears everyone's, and says what it thinks of whom.

Own entries are journalled durably, then gossiped in batches on their ring's topic (ledgerbook.py holds them, and calls
who learns from which kind). What gossip lost is found when two nodes meet (meetings.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import trio

from ctorrent.canon import encode
from ctorrent.errors import PeerError
from ctorrent.ledger.checkpoint import Summed, due, parts_of
from ctorrent.ledger.own import OwnLogs
from ctorrent.ledger.reputation import Snapshot
from ctorrent.ledger.tally import DueTally, Observation, Tallies
from ctorrent.model.entry import Entry, EntryKind, Proof, SignedEntry
from ctorrent.model.ids import Digest, JobId, NodeId, OwnerId, Ring, node_id, node_public
from ctorrent.node import records, summing
from ctorrent.node.evidence import Backed, backless
from ctorrent.node.ledgerbook import Ledgerbook
from ctorrent.node.patience import Patience
from ctorrent.node.people import People
from ctorrent.node.trust import Trust
from ctorrent.node.world import World
from ctorrent.ports import Delete, Put
from ctorrent.seal import Sealed
from ctorrent.wire import codec, names

AUTHOR_BURST, AUTHOR_PER_S = 1024, 8.0  # gossiped entries: a requester with 200 workers writes that many in 30 s
GOSSIP_BURST, GOSSIP_PER_S = 8192, 400.0  # of all authors together: 3 % of a core; what is not heard is synced later
CHECKED_MAX = 64  # messages between their check and their hearing
TICK_S = 1.0  # tallies are due by the half minute; a second late is nothing


class Scribe:
    """One per node. Who learns from entries says so by `book.on(kind, …)` before `load()`."""

    def __init__(self, world: World, people: People, rings: tuple[Ring, ...]) -> None:
        self._world, self._people = world, people
        self.rings = rings
        self.book = Ledgerbook(world, people)
        self._own = OwnLogs(world.node, self.book.chain)
        self._tallies = Tallies()
        self.trust = Trust(world, people, self.book)
        self.book.owner_of = self.trust.reputation.owner_of
        self.book.heeds = self.trust.reputation.heeds
        self.trust.pending, self.trust.pending_of = self._tallies.pending, self._tallies.pending_of
        self.back: Callable[[DueTally], Awaitable[Backed]] = backless  # nothing bad is said of anybody without what it stands on
        self.preface: tuple[tuple[EntryKind, bytes], ...] = ()  # entries that follow the opening of each log, and each checkpoint
        self._in_vain: dict[Ring, tuple[int, int]] = {}  # at which no checkpoint could be made: not again before more is written
        self._voting = trio.Lock()
        self.written: dict[JobId, int] = {}
        self._tallied: dict[JobId, dict[NodeId, int]] = {}  # verdicts of open jobs that are in tallies
        self._wavering: set[JobId] = set()  # open jobs about which nothing bad is said of anybody
        self._authors = Patience(AUTHOR_BURST, AUTHOR_PER_S)
        self._gossiped = Patience(GOSSIP_BURST, GOSSIP_PER_S, kept=1)
        self._checked: dict[bytes, list[SignedEntry]] = {}
        self.book.on(EntryKind.TALLY, self.trust.learn)
        self.book.on_sums(self._learn_sums)

    def load(self) -> None:
        """Take in what the journal holds: once, when all who learn from it are told. See Ledgerbook.load."""
        self.book.load()

    def _learn_sums(self, summed: Summed, entry: Digest) -> None:
        self.trust.reputation.learn_sums(summed.head, entry, summed.sums)

    # -- own entries --------------------------------------------------------------------------------------------------

    async def write(self, ring: Ring, kind: EntryKind, body: bytes) -> SignedEntry:
        """Publish an entry of this node: signed, chained, durable before it is gossiped. Raises JournalError."""
        fresh = self._entries(ring, kind, body)
        await self._publish(fresh)
        return fresh[-1]

    async def open_log(self, ring: Ring) -> None:
        """Begin this run's log of a ring, if it has not: its opening says whose node this is."""
        fresh = self._opening(ring)
        if fresh:
            await self._publish(fresh)

    async def _publish(self, fresh: list[SignedEntry], beside: list[Put] | None = None) -> None:
        with trio.CancelScope(shield=True):  # they are chained: what is written next follows them, whoever waits for this
            await self.book.store(fresh, durable=True, beside=beside or ())
        for ring in sorted({signed.entry.ring for signed in fresh}, key=str):
            await self._gossip(ring, [signed.sealed for signed in fresh if signed.entry.ring == ring])

    def _entries(self, ring: Ring, kind: EntryKind, body: bytes) -> list[SignedEntry]:
        """Sign and chain the next entry of a ring, after the opening of a log where a new one begins."""
        return [*self._opening(ring), self._next(ring, kind, body)]

    def _opening(self, ring: Ring) -> list[SignedEntry]:
        """The first entries of this run's log of a ring; none where it is open."""
        place = self._own.next(ring, self._world.clock.random_bytes(8))
        if not place.opens:
            return []
        opening = Entry(
            self._world.node, place.incarnation, place.seq, place.prev, EntryKind.INCARNATION, ring,
            codec.encode_incarnation(place.names), self._world.clock.unix(),
        )  # fmt: skip
        return [self._sign(opening), *(self._next(ring, kind, body) for kind, body in self.preface)]

    def _next(self, ring: Ring, kind: EntryKind, body: bytes) -> SignedEntry:
        place = self._own.next(ring, self._world.clock.random_bytes(8))
        return self._sign(Entry(self._world.node, place.incarnation, place.seq, place.prev, kind, ring, body, self._world.clock.unix()))

    def _sign(self, entry: Entry) -> SignedEntry:
        signed = codec.seal_entry(entry, self._world.keys.node)
        self.book.chained(signed)
        return signed

    async def _sum_up(self) -> None:
        """A checkpoint in each ring in which enough was written since the last."""
        for ring in self._own.rings():
            behind = self.book.chain.unsummed(self._world.node, ring)
            if due(*behind, self.book.rules) and behind != self._in_vain.get(ring) and not await self.checkpoint(ring):
                self._in_vain[ring] = behind

    async def checkpoint(self, ring: Ring) -> list[SignedEntry]:
        """Sum up this node's logs of a ring. -> the entries; none where something that they stand for is missing here."""
        place = self._own.next(ring, self._world.clock.random_bytes(8))
        head = None if place.opens else self.book.chain.head(self._world.node, place.incarnation)
        found = None if head is None else await summing.history(self._world.journal, head)
        if head is None or found is None or not found.whole:
            return []
        now = self.book.chain.head(self._world.node, place.incarnation) or head  # more may have been written meanwhile
        later = [summing.entry_at(self._world.journal, now.author, now.incarnation, seq) for seq in range(head.seq + 1, now.seq + 1)]
        if None in later:
            return []  # not in the journal yet: at the next look
        summing.count(found.totals, [one for one in later if one is not None])
        bodies = [(EntryKind.CHECKPOINT, codec.encode_checkpoint(part)) for part in parts_of(now, found.totals, self.book.rules)]
        fresh = [one for kind, body in (*bodies, *self.preface) for one in self._entries(ring, kind, body)]
        await self._publish(fresh)
        return fresh

    async def _gossip(self, ring: Ring, entries: list[Sealed]) -> None:
        batch: list[Sealed] = []
        size = 0
        for sealed in entries:
            cost = len(sealed.body) + 128
            if batch and size + cost > names.GOSSIP_BYTES_MAX:
                await self._world.gossip.publish(names.ledger_topic(ring), codec.encode_entries(batch))
                batch, size = [], 0
            batch.append(sealed)
            size += cost
        await self._world.gossip.publish(names.ledger_topic(ring), codec.encode_entries(batch))

    # -- own votes ----------------------------------------------------------------------------------------------------

    def open_job(self, job: JobId, tag: Digest, ring: Ring) -> None:
        self._tallies.open(job, tag, ring)
        self.written.setdefault(job, 0)
        held = self._world.journal.scan("tallied", job)
        self._tallied[job] = {node_id(key[len(job) :]): int(records.load(value)) for key, value in held}

    def record(self, seen: Observation, owner: OwnerId, hardware_class: str) -> None:
        """Count a verdict; it becomes part of a tally soon, or at the job's end."""
        self._tallies.record(seen, owner, hardware_class, self._world.clock.now())

    async def close_job(self, job: JobId) -> int:
        """Write what is left. -> entries written for this job in all."""
        await self._vote(self._tallies.close(job, self._world.clock.now()))
        gone = [Delete(space, key) for space in ("verdict", "tallied", "against") for key, _ in self._world.journal.scan(space, job)]
        if gone:
            await self._world.journal.commit(gone, durable=False)
        self._tallied.pop(job, None)
        self._wavering.discard(job)
        return self.written.pop(job, 0)

    async def prove(self, job: JobId, ring: Ring, proof: Proof) -> None:
        """Publish a RERUN of a block of an open job. Raises JournalError."""
        fresh = self._entries(ring, EntryKind.PROOF, codec.encode_proof(proof))
        await self._publish(fresh, [self.trust.accuses(job, fresh[-1].id, proof)])

    async def withdraw(self, job: JobId) -> None:
        """What an open job found bad in anybody was its program's fault: the rest is not said, and what was counts no longer.

        The votes stay in the log, which nobody can change; others who look at what they stand on see what this node saw.
        """
        async with self._voting:
            rest = self._tallies.flush(job, self._world.clock.now())
            self._wavering.add(job)
            counts = await self._cast(rest, [await backless(vote) for vote in rest])
            await self.trust.withdraw(job, counts)

    def tallied(self, job: JobId, worker: NodeId) -> int:
        """How many verdicts on a worker this job's tallies hold."""
        return self._tallied.get(job, {}).get(worker, 0)

    async def run(self) -> None:
        """Write tallies and checkpoints when they are due; delete what is summed up."""
        while True:
            await trio.sleep(TICK_S)
            await self._sum_up()
            await self.book.tidy()
            wake = self._tallies.wake_at
            if wake is not None and wake <= self._world.clock.now():
                await self._vote(self._tallies.due(self._world.clock.now()))
            if cases := self.trust.due():
                await self._world.journal.commit(cases)

    async def _vote(self, due: list[DueTally]) -> None:
        async with self._voting:  # one after the other: what stands behind a vote may take a moment to write
            backed = [await (backless if vote.job in self._wavering else self.back)(vote) for vote in due]
            await self._cast(due, backed)

    async def _cast(self, due: list[DueTally], standing: list[Backed]) -> list[Put]:
        """-> what is to be kept, where no entry is written that it could go with."""
        fresh: list[SignedEntry] = []
        counts: list[Put] = []
        for vote, backed in zip(due, standing, strict=True):
            tallied, worker = self._tallied.setdefault(vote.job, {}), vote.tally.worker
            tallied[worker] = tallied.get(worker, 0) + len(vote.leaves)
            counts.append(Put("tallied", vote.job + node_public(worker), encode(tallied[worker])))
            counts += backed.writes
            if backed.vote is None:
                continue
            fresh += self._entries(vote.ring, EntryKind.TALLY, codec.encode_tally(backed.vote.tally))
            counts += self.trust.voted(vote.job, fresh[-1].id, backed.vote.tally)
            self.written[vote.job] = self.written.get(vote.job, 0) + 1
        if fresh:
            await self._publish(fresh, counts)
            return []
        return counts

    # -- others' entries ----------------------------------------------------------------------------------------------

    def check(self, ring: Ring, author: NodeId, message: bytes) -> bool:
        """Worth relaying: entries of this ring whose signatures hold."""
        now = self._world.clock.now()
        try:
            sealed = codec.decode_entries(message)
            if not (self._authors.take(author, now, len(sealed)) and self._gossiped.take("", now, len(sealed))):
                return False
            entries = [codec.open_entry(one) for one in sealed]
        except PeerError as error:
            self._world.directory.charge(author, 10, error.message)
            return False
        if not entries or any(signed.entry.ring != ring for signed in entries):
            return False
        self._checked[message] = entries
        while len(self._checked) > CHECKED_MAX:
            del self._checked[next(iter(self._checked))]
        return True

    async def hear(self, author: NodeId, message: bytes) -> None:
        """Entries that passed check()."""
        entries = self._checked.pop(message, None)
        for signed in entries if entries is not None else map(codec.open_entry, codec.decode_entries(message)):
            if self.book.welcome(signed):
                await self.book.take(self.book.chain.add(signed, author))

    # -- what this node thinks ----------------------------------------------------------------------------------------

    def snapshot(self, nodes: Iterable[NodeId] | None = None) -> Snapshot:
        """Records, frozen: everyone's, or those of `nodes`."""
        return self.trust.snapshot(nodes)
