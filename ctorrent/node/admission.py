"""Who may hold a session here: places are few, identities are free, and friends must always get in.

    a peer has at most PER_PEER places; strangers leave some for friends; one network has half of the strangers'.
    When places run out, whoever sits idle gives way to who comes: it may dial again when it has something to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from ctorrent.model.ids import NodeId
from ctorrent.node.people import People
from ctorrent.node.world import World

PER_PEER = 4  # a worker has one; another after a lost connection, whose end this side may notice late
KEPT_SHARE = 8  # one place of so many is kept for friends and this node itself
GRACE_S = 2.0  # to introduce oneself and ask, before one counts as idle
HURRY_S = 10.0  # a peer whose sessions are ended by its own next ones within so long floods
EXCESS_POINTS = 5  # of 100: honest workers that reconnect in a hurry come twice or thrice, not twenty times


@dataclass(eq=False, slots=True)
class Guest:
    """One session, from its first byte to its end."""

    peer: NodeId
    network: str
    trusted: bool
    heard: float  # when it last said something
    began: float
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class Admission:
    """`busy`: does a peer hold a place in some job, so that its session must not be taken from it?"""

    def __init__(self, world: World, people: People, limit: int, busy: Callable[[NodeId], bool]) -> None:
        self._world, self._people, self._limit, self._busy = world, people, limit, busy
        self._guests: dict[Guest, None] = {}

    def __len__(self) -> int:
        return len(self._guests)

    def admit(self, peer: NodeId) -> Guest | None:
        """A place for one more session of `peer`; None: there is none, not even of an idle one."""
        now = trio.current_time()
        known = self._people.known.get(peer)
        own = peer == self._world.node
        trusted = own or (known is not None and self._people.is_friend(known.owner))
        guest = Guest(peer, network_of(self._world, peer), trusted, now, now)
        theirs = [one for one in self._guests if one.peer == peer]
        if not own and len(theirs) >= PER_PEER:  # earlier lives of a machine that lost its connections, or a flood
            if now - theirs[0].began < HURRY_S:
                self._world.directory.charge(peer, EXCESS_POINTS, "opens too many sessions")
            self._end(theirs[0])
        if not own and not self._make_room(guest, now):
            return None
        self._guests[guest] = None
        return guest

    def leave(self, guest: Guest) -> None:
        """The session is over. Harmless when repeated."""
        self._guests.pop(guest, None)

    def _make_room(self, guest: Guest, now: float) -> bool:
        strangers = [one for one in self._guests if not one.trusted]
        places = self._limit - self._limit // KEPT_SHARE
        near = [one for one in strangers if one.network == guest.network]
        if not guest.trusted and len(near) >= max(1, places // 2):
            return self._send_away(near, now)
        if not guest.trusted and len(strangers) >= places:
            return self._send_away(strangers, now)
        return len(self._guests) < self._limit or self._send_away(list(self._guests), now)

    def _send_away(self, guests: list[Guest], now: float) -> bool:
        """End the session that was silent longest, if one of them is idle."""
        idle = [one for one in guests if now - one.heard >= GRACE_S and not self._busy(one.peer)]
        if not idle:
            return False
        self._end(min(idle, key=lambda one: (one.trusted, one.heard)))
        return True

    def _end(self, guest: Guest) -> None:
        self.leave(guest)
        guest.scope.cancel()


def network_of(world: World, peer: NodeId) -> str:
    """Where a peer's connection comes from, cut to the /24 of IPv4 or the /48 of IPv6: many keys there are one owner."""
    contact = world.directory.contact(peer)
    if contact is None or not (contact.seen_at or contact.addresses):
        return "unknown"
    if contact.seen_at:
        return _prefix(contact.seen_at)
    parts = contact.addresses[0].split("/")
    return _prefix(parts[2]) if len(parts) > 2 else contact.addresses[0]


def _prefix(ip: str) -> str:
    return ":".join(ip.split(":")[:3]) if ":" in ip else ".".join(ip.split(".")[:3])
