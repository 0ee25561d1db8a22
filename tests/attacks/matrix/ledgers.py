"""Attacks on what is said about workers, beside their work: logs that praise, slander or fork, spam, an eclipse.

A stage brings whole nodes that look on (real code, on the same fake network) and has hostile actors write real, signed
entries into logs of their own, with nothing behind them. At the end it says what the lookers-on believe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import trio

from ctorrent.model.entry import Entry, EntryKind, SignedEntry, Tally
from ctorrent.model.ids import Digest, JobId, NodeId, OwnerId, Ring, RingKind, node_public
from ctorrent.model.job import Environment, Needs
from ctorrent.model.session import Interest
from ctorrent.model.trade import Announcement
from ctorrent.testing.fake_clock import EPOCH_UNIX_S
from ctorrent.testing.fake_gossip import _Message
from ctorrent.testing.fake_keys import FakeKeys
from ctorrent.testing.fake_swarm import Member
from ctorrent.wire import codec, names

from .actor import Actor
from .crowd import Crowd

PUBLIC = Ring(RingKind.PUBLIC)
BATCH = 64  # entries a message, far below what gossip carries
SAID_OF = 20  # of how many others each hostile node speaks
BLOCKS = 500  # in each of its tallies
BEGIN_S, STEP_S = 5.0, 1.0  # when they begin to speak, and one after the other
SYNC_S = 30.0  # for the last words to reach everybody


class Log:
    """One author's own log, chained and signed as it must be; what it says is another matter."""

    def __init__(self, keys: FakeKeys) -> None:
        self.keys = keys
        self.entries: list[SignedEntry] = []
        self._add(EntryKind.INCARNATION, codec.encode_incarnation(None))

    def say(self, worker: NodeId, owner: OwnerId, agreed: int, disputed: int) -> None:
        words = Tally(Digest(bytes(range(32))), worker, owner, agreed, disputed, 0, "x86_64", bytes(range(32, 64)))
        self._add(EntryKind.TALLY, codec.encode_tally(words))

    def forked(self) -> SignedEntry:
        """Another entry in the last one's place."""
        last = self.entries[-1].entry
        return codec.seal_entry(Entry(last.author, last.incarnation, last.seq, last.prev, last.kind, PUBLIC, last.body, last.issued_unix_s + 1), self.keys.node)

    def _add(self, kind: int, body: bytes) -> None:
        prev = self.entries[-1].id if self.entries else Digest(bytes(32))
        entry = Entry(self.keys.node_id, 1, len(self.entries) + 1, prev, kind, PUBLIC, body, EPOCH_UNIX_S)
        self.entries.append(codec.seal_entry(entry, self.keys.node))


class Stage:
    """Nothing beside the work."""

    async def open(self, crowd: Crowd) -> None:
        """Before the first machine dials."""

    async def close(self, crowd: Crowd) -> dict[str, Any]:
        """After the last tally. -> what is measured beside blocks."""
        return {}


class Talk(Stage):
    """Hostile nodes write logs and gossip them; `says` fills one. An onlooker knows the requester and an eighth of the crowd."""

    def __init__(self, says: Callable[[Crowd, Actor, Log], None]) -> None:
        self._says = says

    async def open(self, crowd: Crowd) -> None:
        self.onlooker = await crowd.swarm.add("onlooker", work=False)
        self.friend = await crowd.swarm.add("friend", work=False)  # of the requester: believes it
        await crowd.swarm.befriend(self.friend, crowd.requester)
        for member in (self.onlooker, self.friend):
            crowd.swarm.net.link(member.id, crowd.requester.id)
            for actor in list(crowd.actors.values())[::8]:
                crowd.swarm.net.link(actor.id, member.id)
        for number, actor in enumerate(hostile(crowd)):
            crowd.swarm.net.link(actor.id, crowd.requester.id)
            crowd.later(BEGIN_S + number * STEP_S, lambda actor=actor: self._speak(crowd, actor))  # type: ignore[misc]

    def _speak(self, crowd: Crowd, actor: Actor) -> None:
        log = Log(actor.keys)
        self._says(crowd, actor, log)
        self.spread(crowd, actor, log)

    def spread(self, crowd: Crowd, actor: Actor, log: Log) -> None:
        publish(crowd, actor, log.entries)

    async def close(self, crowd: Crowd) -> dict[str, Any]:
        await trio.sleep(SYNC_S)
        ring, others = hostile(crowd), [actor for actor in crowd.actors.values() if not actor.hostile]
        return {
            "ring_trust": max(believed(self.onlooker, actor.id)[0] for actor in ring),
            "ring_trust_friend": max(believed(self.friend, actor.id)[0] for actor in ring),
            "slandered": sum(1 for actor in others if believed(self.onlooker, actor.id)[1] > 0),
            "slandered_friend": sum(1 for actor in others if believed(self.friend, actor.id)[1] > crowd.seen.voted.get(actor.id, 0)),
            "honest_charged": charged(crowd, self.onlooker, self.friend),
            "heard": min(len(logs_of(self.onlooker, actor.id)) for actor in ring),
        }


class Forks(Talk):
    """Every hostile log says one thing to the requester and another to the onlooker, in the same place."""

    def spread(self, crowd: Crowd, actor: Actor, log: Log) -> None:
        for member, entries in ((crowd.requester, log.entries), (self.onlooker, [*log.entries[:-1], log.forked()])):
            deliver(crowd, actor, member, entries)

    async def close(self, crowd: Crowd) -> dict[str, Any]:
        found = await super().close(crowd)
        ring = [actor.id for actor in hostile(crowd)]
        known = {author for author, _, _ in self.onlooker.node.scribe.book.forks}
        return found | {"forks_unknown": sum(1 for node in ring if node not in known)}


class Spam(Stage):
    """Hostile nodes ask about jobs that never were, and announce jobs that are none, again and again."""

    MESSAGES, EVERY_S = 5, 1.0
    ROUNDS = 60

    async def open(self, crowd: Crowd) -> None:
        for actor in hostile(crowd):
            crowd.swarm.net.link(actor.id, crowd.requester.id)
            crowd.later(BEGIN_S, lambda actor=actor: self._spam(crowd, actor, 0))  # type: ignore[misc]

    def _spam(self, crowd: Crowd, actor: Actor, turn: int) -> None:
        if crowd.over or turn >= self.ROUNDS:
            return
        for _ in range(self.MESSAGES):
            actor.say(Interest(JobId(actor.dice.randbytes(32)), 1))
        crowd.start(crowd.swarm.net.hosts[actor.id].gossip.publish, names.jobs_topic(PUBLIC), self._announcement(actor))
        crowd.later(self.EVERY_S, lambda: self._spam(crowd, actor, turn + 1))

    def _announcement(self, actor: Actor) -> bytes:
        record = actor.crowd.swarm.net.hosts[actor.id].directory.self_record()
        words = Announcement(JobId(actor.dice.randbytes(32)), actor.id, 1, PUBLIC, Needs(), Environment(), 64, 2.0, 0.0, record)
        return codec.encode_sealed(codec.seal_announcement(words, actor.keys.node))

    async def close(self, crowd: Crowd) -> dict[str, Any]:
        return {"honest_charged": charged(crowd, crowd.requester)}


class Eclipse(Talk):
    """One node knows hostile peers only, who tell it lies and nothing else; then it meets one honest node."""

    async def open(self, crowd: Crowd) -> None:
        await super().open(crowd)
        self.victim = await crowd.swarm.add("victim", work=False)
        for actor in hostile(crowd):
            crowd.swarm.net.link(actor.id, self.victim.id)

    async def close(self, crowd: Crowd) -> dict[str, Any]:
        found = await super().close(crowd)
        fooled = sum(1 for node in crowd.actors if any(believed(self.victim, node)))
        crowd.swarm.net.link(self.victim.id, crowd.requester.id)
        await trio.sleep(SYNC_S)
        missing = len(logs_of(crowd.requester, crowd.requester.id)) - len(logs_of(self.victim, crowd.requester.id))
        return found | {"victim_fooled": fooled, "victim_lacks": missing}


# what they say -----------------------------------------------------------------------------------------------------------


def praise(crowd: Crowd, actor: Actor, log: Log) -> None:
    """The ring: each praises the next ones."""
    ring = hostile(crowd)
    at = ring.index(actor)
    for other in [ring[(at + step) % len(ring)] for step in range(1, min(SAID_OF, len(ring) - 1) + 1)]:
        log.say(other.id, other.keys.owner_id, BLOCKS, 0)


def slander(crowd: Crowd, actor: Actor, log: Log) -> None:
    """Requesters that vote against honest workers, a few of them each so that all are hit."""
    honest = [other for other in crowd.actors.values() if not other.hostile]
    for other in actor.dice.sample(honest, min(SAID_OF, len(honest))):
        log.say(other.id, other.keys.owner_id, 0, BLOCKS)


def both(crowd: Crowd, actor: Actor, log: Log) -> None:
    praise(crowd, actor, log)
    slander(crowd, actor, log)


# what came of it ---------------------------------------------------------------------------------------------------------


def hostile(crowd: Crowd) -> list[Actor]:
    return [actor for actor in crowd.actors.values() if actor.hostile]


def publish(crowd: Crowd, actor: Actor, entries: Sequence[SignedEntry]) -> None:
    gossip = crowd.swarm.net.hosts[actor.id].gossip
    for first in range(0, len(entries), BATCH):
        message = codec.encode_entries([signed.sealed for signed in entries[first : first + BATCH]])
        crowd.start(gossip.publish, names.ledger_topic(PUBLIC), message)


def deliver(crowd: Crowd, actor: Actor, member: Member, entries: Sequence[SignedEntry]) -> None:
    """The same, to one neighbour only; it passes them on."""
    net = crowd.swarm.net
    data = codec.encode_entries([signed.sealed for signed in entries])
    one = _Message(net.message_id(), names.ledger_topic(PUBLIC), actor.id, data)
    net.post.after(net.delay_s(actor.id, member.id), lambda: member.host.gossip._arrive(one, actor.id))


def believed(member: Member, node: NodeId) -> tuple[float, float]:
    """What a node thinks of another: blocks right and wrong, as it weighs what it heard."""
    said = member.node.scribe.snapshot().get(node)
    return (0.0, 0.0) if said is None else (said.agreed, said.disputed)


def logs_of(member: Member, author: NodeId) -> list[bytes]:
    """Entries of an author that a node's journal holds."""
    return [key for key, _ in member.journal.scan("entry") if node_public(author) in key]


def charged(crowd: Crowd, *members: Member) -> int:
    """Honest peers that these nodes charged."""
    by = {member.id for member in members}
    good = {actor.id for actor in crowd.actors.values() if not actor.hostile} | {crowd.requester.id}
    return len({whom for who, whom, _, _ in crowd.swarm.net.charges if who in by and whom in good})
