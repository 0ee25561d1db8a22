"""The scribe: writes this node's votes, takes in everyone's, and says what it thinks of whom.

Own entries are journalled durably, then gossiped in batches on their ring's topic. What gossip lost is found when two
nodes meet: each pair of connected peers compares its logs now and then (ledger/sync.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import trio

from ctorrent.canon import CanonError, decode, encode
from ctorrent.errors import CTorrentError, LimitExceeded, Malformed, PeerError, Unsupported
from ctorrent.ledger.chain import Accept, Chain, ForkProof, Ignored, Refuse, Request
from ctorrent.ledger.chain import Effect as ChainEffect
from ctorrent.ledger.own import OwnLogs
from ctorrent.ledger.reputation import Record, Reputation, Snapshot, Testimony
from ctorrent.ledger.sync import Charge, End, Give, Given, Heard, Send, Serve, Sync, SyncMessage, Took, Want, parcels
from ctorrent.ledger.sync import Effect as SyncEffect
from ctorrent.ledger.sync import Tick as SyncTick
from ctorrent.ledger.tally import Counts, DueTally, Observation, Tallies
from ctorrent.ledger.words import from_words, to_words
from ctorrent.model.entry import Entry, EntryKind, SignedEntry
from ctorrent.model.ids import Digest, JobId, NodeId, OwnerId, Ring, node_id, node_public
from ctorrent.node import records
from ctorrent.node.patience import Patience
from ctorrent.node.people import People
from ctorrent.node.session import hang_up, introduce
from ctorrent.node.world import World
from ctorrent.ports import Channel, Delete, Put
from ctorrent.seal import Sealed
from ctorrent.wire import codec, names

log = logging.getLogger(__name__)

MEET_EVERY_S = 120.0  # a meeting with nothing new costs ~10 ms: 8 peers are 0.1 % of a core
FRIEND_TRUST = 0.5  # a friend's vote weighs half of one's own experience
RETRY_S = 10.0  # a peer that never introduced itself may be another program: it is asked this seldom
MEETING_S = 900.0  # of one meeting: a peer that trickles or reads nothing holds its channel no longer
USELESS_MAX = 4096  # entries of one meeting that were here already or fit nowhere; each costs a signature's check
AUTHOR_BURST, AUTHOR_PER_S = 1024, 8.0  # gossiped entries: a requester with 200 workers writes that many in 30 s
GOSSIP_BURST, GOSSIP_PER_S = 8192, 400.0  # of all authors together: 3 % of a core; what is not heard is synced later
CHECKED_MAX = 64  # messages between their check and their hearing
STORE_BYTES_MAX = 1 << 30  # of entries, but for this owner's and friends': keys are free, a disk is not
TRIED_MAX = 4096  # as many as the directory's contacts
TICK_S = 1.0  # tallies are due by the half minute; a second late is nothing


class Scribe:
    """One per node."""

    def __init__(self, world: World, people: People, rings: tuple[Ring, ...]) -> None:
        self._world, self._people = world, people
        self.rings = rings
        self.chain = Chain()
        self._own = OwnLogs(world.node, self.chain)
        self._tallies = Tallies()
        self.reputation = Reputation(world.node)
        self.forks: list[tuple[NodeId, int, int]] = []
        self.written: dict[JobId, int] = {}
        self._meet: set[NodeId] = set()
        self._tried: dict[NodeId, float] = {}
        self._tallied: dict[JobId, dict[NodeId, int]] = {}  # verdicts of open jobs that are in tallies
        self._wake = trio.Event()
        self._authors = Patience(AUTHOR_BURST, AUTHOR_PER_S)
        self._gossiped = Patience(GOSSIP_BURST, GOSSIP_PER_S, kept=1)
        self._checked: dict[bytes, list[SignedEntry]] = {}
        self._stored_bytes = 0
        self._load()

    def _load(self) -> None:
        """Chain what the journal holds. Entries were checked before they were stored; only decoding is repeated."""
        for _, value in self._world.journal.scan("entry"):
            self._stored_bytes += len(value)
            self._chained(codec.open_entry(records.unpack_sealed(records.load(value))))
        for _, value in self._world.journal.scan("fork"):
            self.chain_fork(codec.open_entry(records.unpack_sealed(records.load(value))))

    def chain_fork(self, signed: SignedEntry) -> None:
        for effect in self.chain.add(signed):
            if isinstance(effect, ForkProof):
                self._forked(effect)

    def _chained(self, signed: SignedEntry) -> None:
        for effect in self.chain.add(signed):
            if isinstance(effect, Accept):
                self._learn(effect.entry)

    def _learn(self, signed: SignedEntry) -> None:
        if signed.entry.kind != EntryKind.TALLY:
            return
        try:
            self.reputation.learn(signed, codec.decode_tally(signed.entry.body))
        except PeerError as error:
            log.info("a tally of %s says nothing: %s", signed.entry.author, error.message)

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
        await self._write(self._tallies.close(job, self._world.clock.now()))
        gone = [Delete(space, key) for space in ("verdict", "tallied") for key, _ in self._world.journal.scan(space, job)]
        if gone:
            await self._world.journal.commit(gone, durable=False)
        self._tallied.pop(job, None)
        return self.written.pop(job, 0)

    def tallied(self, job: JobId, worker: NodeId) -> int:
        """How many verdicts on a worker this job's tallies hold."""
        return self._tallied.get(job, {}).get(worker, 0)

    async def run(self) -> None:
        """Write tallies when they are due."""
        while True:
            await trio.sleep(TICK_S)
            wake = self._tallies.wake_at
            if wake is not None and wake <= self._world.clock.now():
                await self._write(self._tallies.due(self._world.clock.now()))

    async def _write(self, due: list[DueTally]) -> None:
        fresh: list[SignedEntry] = []
        counts: list[Put] = []
        for vote in due:
            tallied, worker = self._tallied.setdefault(vote.job, {}), vote.tally.worker
            tallied[worker] = tallied.get(worker, 0) + len(vote.leaves)
            counts.append(Put("tallied", vote.job + node_public(worker), encode(tallied[worker])))
            fresh += self._entries(vote.ring, EntryKind.TALLY, codec.encode_tally(vote.tally))
            self.written[vote.job] = self.written.get(vote.job, 0) + 1
        if not fresh:
            return
        await self._store(fresh, durable=True, beside=counts)
        for ring in sorted({signed.entry.ring for signed in fresh}, key=str):
            await self._gossip(ring, [signed.sealed for signed in fresh if signed.entry.ring == ring])

    def _entries(self, ring: Ring, kind: EntryKind, body: bytes) -> list[SignedEntry]:
        """Sign and chain the next entry of a ring, after an INCARNATION where a new log begins."""
        made: list[SignedEntry] = []
        place = self._own.next(ring, self._world.clock.random_bytes(8))
        if place.opens:
            opening = codec.encode_incarnation(place.names)
            made.append(self._sign(Entry(
                self._world.node, place.incarnation, place.seq, place.prev, EntryKind.INCARNATION, ring, opening,
                self._world.clock.unix(),
            )))  # fmt: skip
            place = self._own.next(ring, self._world.clock.random_bytes(8))
        entry = Entry(
            self._world.node, place.incarnation, place.seq, place.prev, kind, ring, body, self._world.clock.unix()
        )
        return [*made, self._sign(entry)]

    def _sign(self, entry: Entry) -> SignedEntry:
        signed = codec.seal_entry(entry, self._world.keys.node)
        self._chained(signed)
        return signed

    async def _store(self, fresh: list[SignedEntry], durable: bool, beside: Sequence[Put] = ()) -> None:
        puts = [
            Put("entry", records.entry_key(s.entry.author, s.entry.incarnation, s.entry.seq), encode(records.pack_sealed(s.sealed)))
            for s in fresh
        ]  # fmt: skip
        if puts:
            self._stored_bytes += sum(len(put.value) for put in puts)
            await self._world.journal.commit([*puts, *beside], durable)

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

    # -- others' votes ------------------------------------------------------------------------------------------------

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
            if self._welcome(signed):
                await self._take(self.chain.add(signed, author))

    def _welcome(self, signed: SignedEntry) -> bool:
        """Is there room for entries of this author?"""
        if self._stored_bytes < STORE_BYTES_MAX or signed.entry.author == self._world.node:
            return True
        known = self._people.known.get(signed.entry.author)
        return known is not None and self._people.is_friend(known.owner)

    async def _take(self, effects: list[ChainEffect]) -> None:
        for effect in effects:
            match effect:
                case Accept(entry=signed):
                    self._learn(signed)
                    await self._store([signed], durable=False)
                case Request(peer=peer):
                    if peer is not None:
                        self._meet.add(peer)
                        self._wake.set()
                case ForkProof():
                    self._forked(effect)
                    await self._keep_proof(effect)
                case Refuse(peer=peer, why=why):
                    if peer is not None:
                        self._world.directory.charge(peer, 10, why)
                case Ignored(why=why):
                    log.debug("an entry was ignored: %s", why)
                case _:
                    pass

    def _forked(self, proof: ForkProof) -> None:
        self.forks.append((proof.author, proof.incarnation, proof.seq))
        self.reputation.forked(proof.author, proof.incarnation, proof.seq)

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
        await self._world.journal.commit(puts)

    # -- meetings -----------------------------------------------------------------------------------------------------

    async def meetings(self) -> None:
        """Meet every connected peer now and then, and at once those that hold what is missing here."""
        async with trio.open_nursery() as nursery:
            while True:
                self._wake = trio.Event()
                wanted, self._meet = self._meet, set()
                for contact in self._world.directory.contacts():
                    if not contact.connected:
                        self._tried.pop(contact.node, None)  # met at once when it is back: it may have lost its own log
                    elif self._is_due(contact.node, wanted):
                        self._tried.pop(contact.node, None)
                        self._tried[contact.node] = self._world.clock.now()
                        while len(self._tried) > TRIED_MAX:
                            del self._tried[next(iter(self._tried))]
                        nursery.start_soon(self._open, contact.node)
                with trio.move_on_after(TICK_S):
                    await self._wake.wait()
                await trio.sleep(TICK_S / 4)

    def _is_due(self, peer: NodeId, wanted: set[NodeId]) -> bool:
        """The lower id opens, so that a pair meets once; who misses something opens whatever its id."""
        since = self._world.clock.now() - self._tried.get(peer, -MEET_EVERY_S)
        if peer in wanted:
            return since > TICK_S
        if self._world.node > peer:
            return False
        return since > (RETRY_S if peer not in self._people.known else MEET_EVERY_S)

    async def _open(self, peer: NodeId) -> None:
        try:
            with trio.move_on_after(MEET_EVERY_S):
                await self.meet(await self._world.streams.open(peer, names.LEDGER))
        except CTorrentError as error:
            if isinstance(error, PeerError) and not isinstance(error, Unsupported):
                self._world.directory.charge(peer, 20, error.message)
            log.info("meeting with %s: %s", peer, error.message)
        except Exception:  # the outermost edge of one meeting: the node goes on
            log.exception("the meeting with %s failed", peer)

    async def meet(self, channel: Channel) -> None:
        """Introduce, agree on rings, reconcile. Handler of the ledger protocol, too."""
        try:
            session = await introduce(channel, self._people)
            mine = [str(ring) for ring in self.rings if self._people.both_in(session.identity, ring)]
            with trio.move_on_after(MEETING_S):
                await channel.send(encode(mine))
                theirs = _texts(await channel.receive())
                rings = [Ring.parse(text) for text in mine if text in theirs]
                sync = Sync(self.chain, channel.peer, rings, channel.dialled, self._world.clock.now())
                await self._reconcile(channel, sync)
        finally:
            await hang_up(channel)

    async def _reconcile(self, channel: Channel, sync: Sync) -> None:
        await self._perform(channel, sync.start())
        given = 0
        while not sync.ended:
            event: Heard | Given | SyncTick | None = SyncTick()
            with trio.move_on_after(max(0.0, sync.deadline - self._world.clock.now())):
                event = _sync_event(await channel.receive())
            if isinstance(event, Given):
                given += len(event.entries)
                event = replace(event, entries=tuple(filter(self._welcome, event.entries)))
            if event is not None:
                await self._perform(channel, sync.handle(event, self._world.clock.now()))
            if given - sync.received > USELESS_MAX:
                raise LimitExceeded(f"{channel.peer} gives entries that were here already, again and again")

    async def _perform(self, channel: Channel, effects: list[SyncEffect]) -> None:
        for effect in effects:
            match effect:
                case Send(message=message):
                    await channel.send(encode(to_words(message)))
                case Serve(want=want, answers=answers):
                    for give in parcels(self._held(want), answers):
                        await channel.send(encode(to_words(give)))
                case Took(effect=taken):
                    await self._take([taken])
                case Charge(peer=peer, why=why):
                    self._world.directory.charge(peer, 10, why)
                case End(why=why):
                    if why:
                        log.info("meeting with %s: %s", channel.peer, why)

    def _held(self, want: Want) -> list[Sealed]:
        """Entries of a want that are here, in order; with the two of a fork where asked."""
        found = []
        for seq in range(want.from_seq, want.to_seq + 1):
            record = self._world.journal.get("entry", records.entry_key(want.author, want.incarnation, seq))
            if record is None:
                break
            found.append(records.unpack_sealed(records.load(record)))
        if want.proof:
            for _, value in self._world.journal.scan("fork", node_public(want.author)):
                found.append(records.unpack_sealed(records.load(value)))
        return found

    # -- what this node thinks ----------------------------------------------------------------------------------------

    def _trust(self) -> None:
        friends = self._people.known.items()
        self.reputation.trust({n: FRIEND_TRUST for n, who in friends if self._people.is_friend(who.owner) and n != self._world.node})

    def snapshot(self) -> Snapshot:
        """Everyone's standing, frozen: for rank."""
        self._trust()
        return self.reputation.snapshot(self._tallies.pending())

    def standing(self, node: NodeId) -> tuple[Record, list[Testimony]]:
        self._trust()
        pending: Counts | None = self._tallies.pending().get(node)
        return self.reputation.record(node, pending), self.reputation.why(node, pending)


def _texts(frame: bytes) -> list[str]:
    try:
        value = decode(frame)
    except CanonError as error:
        raise Malformed(str(error)) from None
    if not isinstance(value, list) or len(value) > 4096 or not all(isinstance(item, str) for item in value):
        raise Malformed("a list of rings was expected")
    return value


def _sync_event(frame: bytes) -> Heard | Given | None:
    try:
        message: SyncMessage | None = from_words(decode(frame))
    except CanonError as error:
        raise Malformed(str(error)) from None
    if message is None:
        return None
    if not isinstance(message, Give):
        return Heard(message)
    opened, bad = [], 0
    for sealed in message.entries:
        try:
            opened.append(codec.open_entry(sealed))
        except PeerError:
            bad += 1
    return Given(tuple(opened), message.answers, bad)
