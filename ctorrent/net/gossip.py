"""ports.Gossip on GossipSub 1.1: strictly signed, every option by name, queues with an end."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.score import ScoreParams
from libp2p.pubsub.validators import signature_validator

from ctorrent.model.ids import NodeId
from ctorrent.net.cures.budget import Budgets
from ctorrent.net.cures.gossip import continue_counting, seat_by_score
from ctorrent.net.cures.guard import Charge, guard_pubsub
from ctorrent.net.cures.yamux import Abuse
from ctorrent.net.host import Host, background_trio_service
from ctorrent.net.rules import GossipRules
from ctorrent.wire.names import GOSSIP_BYTES_MAX

_log = logging.getLogger(__name__)
_BURST, _PER_S = 500, 100.0  # messages that one neighbour may forward; each costs ~1 ms to verify

Check = Callable[[NodeId, bytes], bool]


class Subscription(AsyncIterator[tuple[NodeId, bytes]]):
    """(author, message) of others."""

    def __init__(self, gossip: NetGossip, topic: str, valid: Callable[[ID, Any], bool]) -> None:
        self._gossip = gossip
        self._topic = topic
        self._valid = valid
        self.messages: Any = None

    async def __anext__(self) -> tuple[NodeId, bytes]:
        pubsub = self._gossip.pubsub
        if self.messages is None:
            pubsub.set_topic_validator(self._topic, self._valid, False)
            self.messages = await pubsub.subscribe(self._topic)
        try:
            while True:
                message = await self.messages.get()
                author = NodeId(str(ID(message.from_id)))
                if author != self._gossip.me:
                    return author, bytes(message.data)
        except trio.EndOfChannel:
            raise StopAsyncIteration from None


class NetGossip:
    """Author of a message is libp2p's `from`, whose signature was verified before anything here sees it."""

    def __init__(self, host: Host, rules: GossipRules, charge: Charge) -> None:
        self._host = host
        self._rules = rules
        self._charge = charge
        self.me = NodeId(str(host.id))
        self._budgets = Budgets(_BURST, _PER_S)
        self._score_of: Callable[[NodeId], float] = lambda node: 0.0
        self.router = GossipSub(
            protocols=[PROTOCOL_ID_V11],  # 1.2 doubles the CPU of small messages
            degree=rules.degree,
            degree_low=rules.degree_low,
            degree_high=rules.degree_high,
            direct_peers=None,
            time_to_live=60,
            gossip_window=3,
            gossip_history=5,
            heartbeat_initial_delay=0.1,
            heartbeat_interval=rules.heartbeat_s,
            do_px=False,  # strangers' recommendations are not dialled
            prune_back_off=60,
            unsubscribe_back_off=10,
            adaptive_gossip_enabled=False,  # would override heartbeat and degrees
            spam_protection_enabled=False,  # drops our own messages silently; `_within_budget` is ours
            eclipse_protection_enabled=False,  # inert in 0.8.1
            max_pending_messages_per_peer=100,
            pending_messages_ttl=30.0,
            score_params=ScoreParams(
                p6_appl_slack_weight=rules.score.application_weight,
                app_specific_score_fn=lambda peer: self._score_of(NodeId(str(peer))),
                gossip_threshold=rules.score.gossip,
                graylist_threshold=rules.score.graylist,
            ),
        )
        seat_by_score(self.router, rules.score.mesh)
        self.pubsub = Pubsub(
            host.libp2p,
            self.router,
            strict_signing=True,
            seen_ttl=120,
            sweep_interval=60,
            max_subscriptions_per_peer=rules.topics_per_peer,
            max_inbound_rpc_size=rules.rpc_bytes,
        )
        continue_counting(self.pubsub)
        self._limit_forwarders()
        guard_pubsub(self.pubsub, charge)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with background_trio_service(self.pubsub), background_trio_service(self.router):
            await self.pubsub.wait_until_ready()
            yield

    # ports.Gossip -------------------------------------------------------------------------------------------------

    async def publish(self, topic: str, message: bytes) -> None:
        if len(message) > GOSSIP_BYTES_MAX:
            raise ValueError(f"a gossip message of {len(message)} bytes, where {GOSSIP_BYTES_MAX} is the limit")
        await self.pubsub.publish(topic, message)

    def subscribe(self, topic: str, check: Check) -> AsyncIterator[tuple[NodeId, bytes]]:
        """One subscription per topic, from the first step of the iteration until unsubscribe()."""
        return Subscription(self, topic, self._validator(check))

    def unsubscribe(self, topic: str) -> None:
        self.pubsub.remove_topic_validator(topic)
        if topic in self.pubsub.topic_ids and self.pubsub.manager.is_running:
            self.pubsub.manager.run_task(self.pubsub.unsubscribe, topic)

    def score(self, of: Callable[[NodeId], float]) -> None:
        """What is thought of neighbours: below 0 no place in a mesh."""
        self._score_of = of

    def mesh(self, topic: str) -> frozenset[NodeId]:
        return frozenset(NodeId(str(peer)) for peer in self.router.mesh.get(topic, ()))

    # before anything is relayed -----------------------------------------------------------------------------------

    def _validator(self, check: Check) -> Callable[[ID, Any], bool]:
        def valid(forwarder: ID, message: Any) -> bool:
            try:
                author_id = ID(message.from_id)
                author = NodeId(str(author_id))
                if author == self.me:
                    return True
                good = len(message.data) <= GOSSIP_BYTES_MAX and check(author, bytes(message.data))
            except Exception:  # noqa: BLE001
                # what leaves a validator ends libp2p's pubsub; the check is ours, so the bug must be seen
                _log.exception("the check of a gossip message failed")
                return False
            if not good and author_id == forwarder:  # who only relays may know less than we do
                self._charge(forwarder, Abuse(2, "gossips what does not hold"))
            return good

        return valid

    def _limit_forwarders(self) -> None:
        """Look at what comes in before the library does more than decode it."""
        inner = self.pubsub.push_msg

        async def push_msg(forwarder: ID, message: Any) -> None:
            if forwarder == self._host.id or self._worth_handling(forwarder, message):
                await inner(forwarder, message)

        self.pubsub.push_msg = push_msg

    def _worth_handling(self, forwarder: ID, message: Any) -> bool:
        if not self._budgets.take(forwarder, trio.current_time()):
            self._charge(forwarder, Abuse(1, "gossips too fast"))
            return False
        if self.pubsub._is_msg_seen(message):
            return False
        # every honest node verifies before it passes on; one topic, as in every current implementation
        if len(message.topicIDs) != 1 or not _verifies(message):
            self._charge(forwarder, Abuse(10, "gossips what does not verify"))
            return False
        return True


def _verifies(message: Any) -> bool:
    try:
        return bool(signature_validator(message))
    except Exception:  # noqa: BLE001  it raises what its decoders of a stranger's key raise
        return False
