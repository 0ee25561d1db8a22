"""Pubsub: nothing lost after a restart, nothing lost in a short burst, no place for proven cheats.

What it cures in libp2p 0.8.1:
  - pubsub/pubsub.py:478 counts messages from int(time.time()): a node that published faster than once a second and
    restarts repeats ids that others still remember, and is not heard for two minutes   -> `continue_counting`
  - pubsub/gossipsub.py:1379, :1585, :1838 leave a peer whose score is negative in the mesh, pick it anew, and let it
    graft itself, so that a score changes nothing                                       -> `seat_by_score`
  - pubsub/pubsub.py:124 keeps 32 messages per subscription and drops the rest          -> `install`
"""

from __future__ import annotations

import logging
import time
from typing import Any

from libp2p.pubsub import pubsub as stock
from libp2p.pubsub import rpc_queue

OUTBOUND_QUEUE = 512  # RPCs that wait for a neighbour; stock drops the 33rd of a burst without a word
SUBSCRIPTION_QUEUE = 512  # messages of at most 64 KiB: five seconds of the fastest neighbour; then the newest are lost


def continue_counting(pubsub: Any) -> None:
    """Start above every number an earlier run can have reached."""
    pubsub.counter = time.time_ns()


def install() -> None:
    """For this process, before the first subscription."""
    stock.SUBSCRIPTION_CHANNEL_SIZE = SUBSCRIPTION_QUEUE
    # rpc_queue.py:39, :59: the constant is a default argument, bound when the class was made
    rpc_queue.RpcQueue.__init__.__defaults__ = (OUTBOUND_QUEUE, rpc_queue.DefaultMaxMessageSize)
    # what peers do is not an error of this program; libp2p logs it as one, with tracebacks, line after line
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)


def seat_by_score(router: Any, floor: float) -> None:
    """A place in a mesh is for those whose score is not below `floor`: taken at the next heartbeat, refused, not offered.

    Messages sent at once go to the mesh; those above the gossip threshold still hear of them a heartbeat later.
    """
    seats = _Seats(router, floor)
    router.mesh_heartbeat = seats.mesh_heartbeat
    router.handle_graft = seats.handle_graft
    router._get_in_topic_gossipsub_peers_from_minus = seats.pick


class _Seats:
    """The three places where GossipSub 1.1 looks at scores and this library does not."""

    def __init__(self, router: Any, floor: float) -> None:
        self._router, self._floor = router, floor
        self._heartbeat, self._graft = router.mesh_heartbeat, router.handle_graft
        self._pick = router._get_in_topic_gossipsub_peers_from_minus
        self._seating = False  # within mesh_heartbeat, which never awaits

    def mesh_heartbeat(self) -> Any:
        taken = [(topic, peer) for topic, peers in self._router.mesh.items() for peer in peers if self._score(peer, topic) < self._floor]
        for topic, peer in taken:
            self._router.mesh[topic].discard(peer)
            self._router.scorer.on_leave_mesh(peer, topic)
        self._seating = True
        try:
            grafts, prunes = self._heartbeat()
        finally:
            self._seating = False
        for topic, peer in taken:
            prunes[peer].append(topic)
        return grafts, prunes

    async def handle_graft(self, message: Any, peer: Any) -> None:
        if self._score(peer, message.topicID) < self._floor:
            await self._router.emit_prune(message.topicID, peer, False, False)
        else:
            await self._graft(message, peer)

    def pick(self, topic: str, count: int, minus: Any, backoff_check: bool = False) -> Any:
        floor = self._floor if self._seating else self._router.scorer.params.gossip_threshold
        low = [peer for peer in self._router.pubsub.peer_topics.get(topic, ()) if self._score(peer, topic) < floor]
        return self._pick(topic, count, {*minus, *low} if low else minus, backoff_check)

    def _score(self, peer: Any, topic: str) -> float:
        found: float = self._router.scorer.score(peer, [topic])
        return found
