"""Whose remembered word still counts: somebody who was found out since takes nobody's later job along.

What two colluders agreed on stays agreed in the job that they were asked in. It is not repeated to the next one once either
of them is held, was held after it spoke, or, where only friends were asked, is no friend any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ctorrent.model.ids import NodeId, OwnerId, RingKind
from ctorrent.node.people import People
from ctorrent.node.trust import Trust

Hearing = Callable[[Iterable[str], RingKind, int], bool]


class Voices:
    """What this node thinks now of those that answered once."""

    def __init__(self, trust: Trust, people: People) -> None:
        self._trust, self._people = trust, people

    def position(self) -> int:
        """How far this node's own log is: what quarantine counts time in."""
        return self._trust.reputation.position

    def hearing(self) -> Hearing:
        """Do these workers, asked in such a ring at such a position, still count? Each is looked up once: keep it for a moment only."""
        self._trust.look()
        found: dict[tuple[str, bool], int | None] = {}

        def count(workers: Iterable[str], ring: RingKind, at: int) -> bool:
            for worker in workers:
                key = worker, ring is RingKind.FRIENDS
                if key not in found:
                    found[key] = self._from(NodeId(worker), *key[1:])
                since = found[key]
                if since is None or at < since:
                    return False
            return True

        return count

    def _from(self, worker: NodeId, of_friends: bool) -> int | None:
        """The position from which on its word counts; None: it does not."""
        said = self._trust.reputation
        if of_friends and not self._people.is_friend(OwnerId(said.owner_of(worker))):
            return None
        if self._trust.held(worker):
            return None
        case = said.quarantine.case(said.blamed(worker))
        return case.until if case is not None and case.offences else 0
