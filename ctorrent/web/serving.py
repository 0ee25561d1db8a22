"""Hypercorn's trio worker on a socket of ours: TLS, how many connections, and how slow one may be.

Hypercorn itself has no limit for a client that sends nothing in the middle of a body or never reads its answer, and
waits for such a one at the end; so each connection's bytes go through _Paced.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app

from ctorrent.web import caller
from ctorrent.web.place import Place
from ctorrent.web.rules import WebRules

log = logging.getLogger(__name__)


class Server:
    """Serves an ASGI application at a place until cancelled."""

    def __init__(self, app: Any, place: Place, rules: WebRules, context: ssl.SSLContext | None) -> None:
        self._config = _config(rules)
        self._app = wrap_app(app, 0, "asgi")
        self._place, self._rules, self._ssl = place, rules, context
        self._worker = WorkerContext(None)
        self._open: dict[_Paced, None] = {}  # oldest first

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._place.listening))
        async with trio.open_nursery() as nursery:
            try:
                task_status.started()
                await trio.serve_listeners(self._greet, [listener], handler_nursery=nursery)
            finally:  # a shielded send to somebody who does not read must not hold the node's end
                for stream in list(self._open):
                    stream.cut()

    async def _greet(self, raw: trio.SocketStream) -> None:
        """One connection, from its first byte to its end. Nothing it does ends another, or the node."""
        if len(self._open) >= self._rules.connections_max and not self._end_one():
            log.warning("refused an HTTP connection: %d are open", len(self._open))
            await raw.aclose()
            return
        with self._kept(raw) as paced:
            try:
                await _Connection(self._app, self._config, self._worker, ConnectionState({caller.STATE: paced.caller}), self._wrapped(paced))
            except Exception:  # the outermost edge of one connection, where the library would take the node with it
                log.exception("an HTTP connection ended by an error of ours")
                await trio.aclose_forcefully(paced)

    def _end_one(self) -> bool:
        """End the oldest connection that has shown nothing, which anybody can make: they do not lock the owner out."""
        found = next((paced for paced in self._open if not paced.caller.known and not paced.ended), None)
        if found is not None:
            found.end()
        return found is not None

    @contextmanager
    def _kept(self, raw: trio.SocketStream) -> Iterator[_Paced]:
        paced = _Paced(raw, self._rules.stall_s)
        self._open[paced] = None
        try:
            yield paced
        finally:
            del self._open[paced]

    def _wrapped(self, paced: _Paced) -> Any:
        if self._ssl is None:
            return paced
        return trio.SSLStream(paced, self._ssl, server_side=True, https_compatible=True)


class _Connection(TCPServer):
    """Ends with its client: the library's would stay, for nothing, as long as an idle one may."""

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


class _Paced(trio.abc.HalfCloseableStream):
    """A socket whose other side takes what is sent, or is cut off."""

    def __init__(self, raw: trio.SocketStream, stall_s: float) -> None:
        self._raw, self._stall_s = raw, stall_s
        self.socket = raw.socket
        self._sending: trio.CancelScope | None = None
        self.caller, self.ended = caller.Caller(), False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Raises BrokenResourceError when nothing of 64 KiB is taken for stall_s."""
        with memoryview(data) as view:
            for at in range(0, len(view), 1 << 16):
                with trio.move_on_after(self._stall_s) as self._sending:
                    await self._raw.send_all(view[at : at + (1 << 16)])
                if self._sending.cancelled_caught:
                    await trio.aclose_forcefully(self._raw)
                    raise trio.BrokenResourceError("the client does not read")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self._raw.receive_some(max_bytes)

    async def wait_send_all_might_not_block(self) -> None:
        await self._raw.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._raw.send_eof()

    async def aclose(self) -> None:
        await self._raw.aclose()

    def end(self) -> None:
        """As if its client had gone."""
        self.ended = True
        with suppress(OSError):  # it has
            self.socket.shutdown(trio.socket.SHUT_RDWR)

    def cut(self) -> None:
        """End what is being sent."""
        if self._sending is not None:
            self._sending.cancel()


def _config(rules: WebRules) -> Config:
    config = Config()
    config.keep_alive_timeout = rules.head_s
    config.ssl_handshake_timeout = rules.head_s
    config.include_server_header = False  # which program in which version is nobody's business
    config.errorlog = log
    config.websocket_max_message_size = 1 << 16  # nobody sends us more than a pong
    return config
