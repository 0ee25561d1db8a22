"""Coming in: invites redeemed, friends asked. One short exchange per channel of the join protocol."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

import trio

from ctorrent.errors import CTorrentError, LimitExceeded, LocalError, Malformed, Unavailable
from ctorrent.model.identity import Invite
from ctorrent.model.ids import NodeId
from ctorrent.model.session import Findings, FriendRequest, Inquiry, JoinAnswer, JoinRequest
from ctorrent.node.patience import Patience
from ctorrent.node.people import People
from ctorrent.node.session import called, greet, hang_up, introduce
from ctorrent.node.world import World
from ctorrent.ports import Channel
from ctorrent.wire import codec, names

log = logging.getLogger(__name__)

GUESS_POINTS = 10  # of 100 for a token nobody here made: ten in a row, and the peer is refused for a while
JOIN_AGAIN_S = 20.0  # between tries at a join that failed: a laptop that opens is found soon, one that is off costs nothing
KNOCK_BURST = 3.0  # ports tried at once for one peer, and for one address: a person runs doctor a few times
KNOCK_PER_S = 0.1  # after that; all ports of a machine would take a week
KNOCK_PORT_MIN = 1024  # below it no node of a person's listens, and other services do
EXCHANGE_S = 20.0  # a dial, two introductions and one answer on a bad line


class Gate:
    """Serves the join protocol, and speaks it."""

    def __init__(self, world: World, people: People) -> None:
        self._world, self._people = world, people
        self._knocks = Patience(KNOCK_BURST, KNOCK_PER_S)

    async def serve(self, channel: Channel) -> None:
        """Handler of the join protocol."""
        try:
            with trio.move_on_after(EXCHANGE_S):
                await introduce(channel, self._people)
                message = codec.decode_message(await channel.receive())
                if isinstance(message, JoinRequest):
                    answer = await self._people.redeem(channel.peer, message)
                    if not self._people.made(message.token):
                        self._world.directory.charge(channel.peer, GUESS_POINTS, "redeems an invite that was never made")
                    await channel.send(codec.encode_message(answer))
                    await channel.receive()  # the other side closes when it has read the answer
                elif isinstance(message, FriendRequest):
                    await self._people.asked(channel.peer, message)
                elif isinstance(message, Inquiry):
                    await channel.send(codec.encode_message(await self._found(channel.peer, message)))
                    await channel.receive()
                else:
                    raise Malformed(f"{type(message).__name__} on a join channel")
        except Unavailable:
            pass
        finally:
            await hang_up(channel)

    async def _found(self, peer: NodeId, asked: Inquiry) -> Findings:
        """How this node sees another that asks."""
        state = self._people.invite_state(asked.token) if asked.token else ""
        if state == "unknown":
            self._world.directory.charge(peer, GUESS_POINTS, "asks for an invite that was never made")
        contact = self._world.directory.contact(peer)
        seen_at = contact.seen_at if contact else ""
        knock = await self._world.directory.knock(peer, asked.port) if self._may_knock(peer, seen_at, asked.port) else ""
        return Findings(self._world.clock.unix(), state, seen_at, knock)

    def _may_knock(self, peer: NodeId, seen_at: str, port: int) -> bool:
        """Rarely, and where nodes listen: whoever asks must not learn what else is open at the address it calls from."""
        now = self._world.clock.now()
        return port >= KNOCK_PORT_MIN and all(self._knocks.take(who, now) for who in (("peer", peer), ("address", seen_at)))

    async def join(self, address: str) -> NodeId:
        """Connect to a multiaddr, or redeem an invite. Raises CTorrentError in words."""
        if address[:9].lower() != "ctorrent1":  # a QR code holds it in capitals
            if not address.startswith("/"):
                raise LocalError(f"{address[:60]!r} is neither an invite nor an address", "Such as ctorrent1:… or /ip4/…/tcp/…/p2p/…")
            return await self._world.directory.connect(address)
        try:
            invite = codec.decode_invite(address)
        except (Malformed, LimitExceeded) as error:
            raise LocalError(f"The invite cannot be read: {error.message}.", "Copy its whole line, or ask for a new one (there: ctorrent invite).") from None
        await self._reach(invite)
        if self._people.is_member(invite):
            return invite.inviter  # a node that is started with the same --join again
        with trio.move_on_after(EXCHANGE_S) as exchange:
            async with called(self._world.streams, invite.inviter, names.JOIN, self._people) as channel:
                await channel.send(codec.encode_message(self._people.join_request(invite)))
                answer = codec.decode_message(await channel.receive())
            if not isinstance(answer, JoinAnswer):
                raise Malformed(f"{type(answer).__name__} instead of an answer to an invite")
            await self._people.joined(invite, answer)
        if exchange.cancelled_caught:
            raise Unavailable("the inviter did not answer in time", "Is its node running? Try again.")
        with trio.move_on_after(EXCHANGE_S), suppress(CTorrentError):
            await greet(self._world.streams, invite.inviter, self._people)  # as friends, which neither was when it last said so
        return invite.inviter

    async def _reach(self, invite: Invite) -> None:
        """Dial the inviter at the first of its addresses that answers."""
        said = []
        for address in invite.addresses:
            full = address if "/p2p/" in address else f"{address}/p2p/{invite.inviter}"
            try:
                if await self._world.directory.connect(full) == invite.inviter:
                    return
            except CTorrentError as error:
                said.append(error.message)
        if any(contact.node == invite.inviter and contact.connected for contact in self._world.directory.contacts()):
            return
        raise Unavailable(
            f"the inviter cannot be reached: {'; '.join(said) or 'the invite names no address'}",
            "Is its node running, and are both machines on one network?",
        )

    async def ask_friends(self, nodes: list[NodeId]) -> int:
        """Tell these nodes that their owner was named a friend here. -> how many heard it."""
        heard = 0
        for node in nodes:
            try:
                with trio.move_on_after(EXCHANGE_S):
                    async with called(self._world.streams, node, names.JOIN, self._people) as channel:
                        await channel.send(codec.encode_message(self._people.friend_request()))
                        heard += 1
            except CTorrentError as error:
                log.info("friend request to %s: %s", node, error.message)
        return heard


async def join_all(gate: Gate, addresses: Sequence[str]) -> dict[str, str]:
    """Join each address; -> those that failed now, and why. Raises LocalError for what can never be joined."""
    failed = {}
    for address in addresses:
        try:
            await gate.join(address)
        except LocalError:
            raise
        except CTorrentError as error:
            failed[address] = str(error)
    return failed


async def keep_joining(gate: Gate, addresses: Sequence[str]) -> None:
    """Try again now and then until each was joined: a friend's machine may simply be off."""
    while addresses:
        await trio.sleep(JOIN_AGAIN_S)
        try:
            addresses = list(await join_all(gate, addresses))
        except LocalError as error:  # refused for good, such as a used invite
            log.warning("joining: %s", error)
            return
