"""Nothing that a peer sends may leave the task that serves it.

In libp2p 0.8.1 an exception from a stream handler ends the connection's nursery (network/connection/swarm_connection.py:271)
and with it the swarm service, and one from pubsub's message tasks ends pubsub (tools/anyio_service/trio_manager.py:385).
A peer causes either with a few bytes: invalid UTF-8 in a negotiation (protocol_muxer/multiselect_communicator.py:58),
garbage as a pubsub RPC (pubsub/pubsub.py:562), a message with a damaged key (pubsub/validators.py:63).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from libp2p.exceptions import BaseLibp2pError, ParseError
from libp2p.io.exceptions import IOException
from libp2p.peer.id import ID
from libp2p.protocol_muxer import multiselect_communicator
from libp2p.protocol_muxer.exceptions import MultiselectCommunicatorError
from libp2p.utils import read_varint_prefixed_bytes_limited

from ctorrent.net.cures.yamux import Abuse

_log = logging.getLogger(__name__)
_LINE_BYTES_MAX = 1024  # a protocol id; the specification's own limit, which stock does not check
_RESET_S = 2.0

Charge = Callable[[ID, Abuse], None]


def guard_streams(network: Any, charge: Charge) -> None:
    """Wrap the swarm's one stream handler: what it raises resets that stream and, unless it is a loss, charges the peer."""
    inner = network.common_stream_handler

    async def guarded(stream: Any) -> None:
        try:
            await inner(stream)
        except Exception as error:  # noqa: BLE001  the outermost edge of a stream handler
            if not isinstance(error, BaseLibp2pError | EOFError | trio.BrokenResourceError | trio.ClosedResourceError):
                charge(stream.muxed_conn.peer_id, Abuse(20, f"sends what does not decode: {type(error).__name__}"))
            _log.debug("stream of %s: %r", stream.muxed_conn.peer_id, error)
            await reset(stream)

    network.set_stream_handler(guarded)


async def reset(stream: Any) -> None:
    """Reset without ever raising or being cancelled, within a short time."""
    with trio.CancelScope(shield=True), trio.move_on_after(_RESET_S):
        try:
            await stream.reset()
        except Exception as error:  # noqa: BLE001  a stream that is already gone, in any of the library's ways
            _log.debug("reset: %r", error)


def guard_pubsub(pubsub: Any, charge: Charge) -> None:
    """Wrap what pubsub runs as tasks of its service."""
    for owner, name in (
        (pubsub, "push_msg"),
        (pubsub, "_replay_recent_messages"),
        (pubsub.router, "on_peer_subscribed"),
        (pubsub.router, "flush_pending_messages"),
    ):
        setattr(owner, name, _contained(getattr(owner, name), charge))


def _contained(inner: Callable[..., Awaitable[Any]], charge: Charge) -> Callable[..., Awaitable[Any]]:
    async def contained(*args: Any, **named: Any) -> Any:
        try:
            return await inner(*args, **named)
        except Exception as error:  # noqa: BLE001  a task of libp2p's service, which would end with it
            peer = next((arg for arg in args if isinstance(arg, ID)), None)
            if peer is not None:
                charge(peer, Abuse(10, f"gossips what does not verify: {type(error).__name__}"))
            _log.debug("pubsub: %r", error)

    return contained


async def _read_line(self: Any) -> str:
    """MultiselectCommunicator.read with a length limit, and with text that is not UTF-8 as its own error."""
    try:
        data = await read_varint_prefixed_bytes_limited(self.read_writer, _LINE_BYTES_MAX)
        if not data.endswith(b"\n"):
            raise ParseError("a negotiation line without its end")
        return str(data[:-1], "utf-8")
    except (ParseError, IOException, ValueError) as error:
        raise MultiselectCommunicatorError("cannot read a negotiation line") from error


def install() -> None:
    """For this process: negotiation lines are limited, and may be anything."""
    multiselect_communicator.MultiselectCommunicator.read = _read_line
