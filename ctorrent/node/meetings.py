"""Meetings: each pair of connected peers compares its logs now and then, and exchanges what gossip lost.

The machine is ledger/sync.py; here are the channel, the clock, and who meets whom when.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import trio

from ctorrent.canon import CanonError, decode, encode
from ctorrent.errors import CTorrentError, LimitExceeded, Malformed, PeerError, Unsupported
from ctorrent.ledger.sync import (
    Charge,
    Effect,
    End,
    Give,
    Given,
    Heard,
    Send,
    Serve,
    Sync,
    SyncMessage,
    Tick,
    Took,
    parcels,
)
from ctorrent.ledger.words import from_words, to_words
from ctorrent.model.ids import NodeId, Ring
from ctorrent.node.ledgerbook import Ledgerbook
from ctorrent.node.people import People
from ctorrent.node.session import hang_up, introduce
from ctorrent.node.world import World
from ctorrent.ports import Channel
from ctorrent.wire import codec, names

log = logging.getLogger(__name__)

MEET_EVERY_S = 120.0  # a meeting with nothing new costs ~10 ms: 8 peers are 0.1 % of a core
RETRY_S = 10.0  # a peer that never introduced itself may be another program: it is asked this seldom
MEETING_S = 900.0  # of one meeting: a peer that trickles or reads nothing holds its channel no longer
USELESS_MAX = 4096  # entries of one meeting that were here already or fit nowhere; each costs a signature's check
TRIED_MAX = 4096  # as many as the directory's contacts
TICK_S = 1.0  # between looks at who is due
TURN_S = 20.0  # that a meeting waits for another to end, which might bring it what it lacks; then they go on side by side
FLUSH_S = 30.0  # for what is still to be said when a meeting has ended
ANSWERS_MAX = 256  # wants of a peer that wait for the channel: an honest one has 64 under way


class Meetings:
    """One per node. rings: those that this node is in now."""

    def __init__(self, world: World, people: People, book: Ledgerbook, rings: Callable[[], tuple[Ring, ...]]) -> None:
        self._world, self._people, self._book, self._rings = world, people, book, rings
        self._meet: set[NodeId] = set()
        self._spoken: set[Ring] = set()  # rings of the meetings so far
        self._tried: dict[NodeId, float] = {}
        self._wake = trio.Event()
        self._opened: set[NodeId] = set()
        self._met: dict[NodeId, None] = {}  # since this node's start
        self._turns = trio.Lock()
        book.missing = self._soon

    def _soon(self, peer: NodeId) -> None:
        self._meet.add(peer)
        self._wake.set()

    async def run(self) -> None:
        """Meet every connected peer now and then, and at once those that hold what is missing here."""
        await self._book.wait_whole()  # before that nobody can say what is missing
        async with trio.open_nursery() as nursery:
            while True:
                self._wake = trio.Event()
                wanted, self._meet = self._meet, set()
                self._look_for_new_rings()
                for contact in self._world.directory.contacts():
                    if not contact.connected:
                        self._tried.pop(contact.node, None)  # met at once when it is back: it may have lost its own log
                    elif self._is_due(contact.node, wanted):
                        self._tried.pop(contact.node, None)
                        self._tried[contact.node] = self._world.clock.now()
                        while len(self._tried) > TRIED_MAX:
                            del self._tried[next(iter(self._tried))]
                        nursery.start_soon(self._open, contact.node)
                    elif contact.node in wanted:
                        self._meet.add(contact.node)  # it is met just now, and may not have been asked for this
                with trio.move_on_after(TICK_S):
                    await self._wake.wait()
                await trio.sleep(TICK_S / 4)

    def _look_for_new_rings(self) -> None:
        """A new friend or swarm: peers who were met before may hold what was said there."""
        rings = set(self._rings())
        if rings - self._spoken:
            self._tried.clear()
            self._met.clear()
        self._spoken = rings

    def _is_due(self, peer: NodeId, wanted: set[NodeId]) -> bool:
        """The lower id opens, so that a pair meets once; who misses something, or has just started, opens whatever its id.

        The other need not have seen that this node was gone, and what it lost in between would wait for minutes.
        """
        if peer in self._opened:
            return False
        since = self._world.clock.now() - self._tried.get(peer, -MEET_EVERY_S)
        if peer in wanted:
            return since > TICK_S
        if self._world.node > peer and peer in self._met:
            return False
        return since > (RETRY_S if peer not in self._people.known else MEET_EVERY_S)

    async def _open(self, peer: NodeId) -> None:
        self._opened.add(peer)
        try:
            await self.serve(await self._world.streams.open(peer, names.LEDGER))
            self._met[peer] = None
            while len(self._met) > TRIED_MAX:
                del self._met[next(iter(self._met))]
        except CTorrentError as error:
            self._tried[peer] = self._world.clock.now() - MEET_EVERY_S + RETRY_S
            if isinstance(error, PeerError) and not isinstance(error, Unsupported):
                self._world.directory.charge(peer, 20, error.message)
            log.info("meeting with %s: %s", peer, error.message)
        except Exception:  # the outermost edge of one meeting: the node goes on
            log.exception("the meeting with %s failed", peer)
        finally:
            self._opened.discard(peer)

    async def serve(self, channel: Channel) -> None:
        """Introduce, agree on rings, reconcile: the opener's side and the handler of the ledger protocol."""
        if not self._book.whole:
            await hang_up(channel)  # it comes again, or this node does once it has read what it holds
            return
        try:
            session = await introduce(channel, self._people)
            mine = [str(ring) for ring in self._rings() if self._people.both_in(session.identity, ring)]
            with trio.move_on_after(MEETING_S):
                await channel.send(encode(mine))
                theirs = _texts(await channel.receive())
                rings = [Ring.parse(text) for text in mine if text in theirs]
                async with self._turn():
                    sync = Sync(self._book.chain, channel.peer, rings, channel.dialled, self._world.clock.now(), takes=self._book.has_room)
                    await Talk(self._world, self._book, channel, sync).run()
        finally:
            await hang_up(channel)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One meeting after the other, so that not everybody gives a newcomer the same; but nobody waits for long."""
        mine = False
        with trio.move_on_after(TURN_S):
            await self._turns.acquire()
            mine = True
        try:
            yield
        finally:
            if mine:
                self._turns.release()


class Talk:
    """One meeting over its channel. One task hears and stores, another says: either side may fill the channel while the
    other does, and none waits for the other."""

    def __init__(self, world: World, book: Ledgerbook, channel: Channel, sync: Sync) -> None:
        self._world, self._book, self._channel, self._sync = world, book, channel, sync
        self._outbox: deque[Send | Serve] = deque()
        self._news = trio.Event()
        self._given = 0
        self._answers = 0  # wants of the peer in the outbox
        self._failure: CTorrentError | None = None

    async def run(self) -> None:
        """Until the machine ends it, and all was said. Raises what a channel does, and PeerError."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_failure, self._say, nursery.cancel_scope)
            await self._until_failure(self._hear, nursery.cancel_scope)
            nursery.cancel_scope.deadline = trio.current_time() + FLUSH_S
        if self._failure is not None:
            raise self._failure

    async def _until_failure(self, task: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
        """The first error of the two tasks is the meeting's."""
        try:
            await task()
        except CTorrentError as error:
            self._failure = self._failure or error
            scope.cancel()

    async def _hear(self) -> None:
        sync = self._sync
        await self._perform(sync.start())
        while not sync.ended:
            event: Heard | Given | Tick | None = Tick()
            with trio.move_on_after(max(0.0, sync.deadline - self._world.clock.now())):
                event = _sync_event(await self._channel.receive())
            if isinstance(event, Given):
                self._given += len(event.entries)
                event = replace(event, entries=tuple(filter(self._book.welcome, event.entries)))
            if event is not None:
                await self._perform(sync.handle(event, self._world.clock.now()))
            if self._given - sync.received > USELESS_MAX + sync.asked:
                raise LimitExceeded(f"{self._channel.peer} gives entries that were here already, again and again")
        self._news.set()

    async def _say(self) -> None:
        """Entries are read from the journal only when the channel takes them."""
        while self._outbox or not self._sync.ended:
            if not self._outbox:
                self._news = trio.Event()
                await self._news.wait()
                continue
            effect = self._outbox.popleft()
            if isinstance(effect, Send):
                await self._put(to_words(effect.message))
                continue
            for give in parcels(self._book.held(effect.want), effect.answers):
                await self._put(to_words(give))
            self._answers -= effect.answers

    async def _put(self, words: list[Any]) -> None:
        await self._channel.send(encode(words))
        self._sync.alive(self._world.clock.now())

    async def _perform(self, effects: list[Effect]) -> None:
        taken = [effect.effect for effect in effects if isinstance(effect, Took)]
        await self._book.take(taken)
        for effect in effects:
            match effect:
                case Send() | Serve():
                    self._answers += effect.answers if isinstance(effect, Serve) else 0
                    self._outbox.append(effect)
                    self._news.set()
                case Charge(peer=peer, why=why):
                    self._world.directory.charge(peer, 10, why)
                case End(why=why):
                    if why:
                        log.info("meeting with %s: %s", self._channel.peer, why)
        if self._answers > ANSWERS_MAX:
            raise LimitExceeded(f"{self._channel.peer} wants more than it takes")


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
