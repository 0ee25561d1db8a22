"""The local network: say where this node listens, and hear others, by multicast DNS (RFC 6762, libp2p's mdns.md).

Our own service name: a local network may hold other libp2p programs, which are no business of ours. What libp2p 0.8.1
gets wrong (discovery/mdns/): it needs an SRV record, where the specification and js-libp2p send PTR and TXT only
(listener.py:117), keeps one of several dnsaddr entries, and stops the event loop while it starts and ends.
Here zeroconf lives in its own thread, and hands over (peer id, addresses), as hints to dial.
"""

from __future__ import annotations

import logging
import secrets
import string
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from libp2p.peer.id import ID
from multiaddr import Multiaddr
from zeroconf import DNSText, ServiceBrowser, ServiceInfo, ServiceStateChange, Zeroconf
from zeroconf.const import _CLASS_IN, _TYPE_TXT

from ctorrent.net.addresses import Ip, ip_of, parse
from ctorrent.net.directory import NetDirectory
from ctorrent.net.host import peer_id_in
from ctorrent.net.rules import NetRules

_log = logging.getLogger(__name__)
SERVICE = "_ctorrent._udp.local."
_KEY = b"dnsaddr="
_STRING_MAX = 255  # of one TXT string
_ANSWERS = 64  # hints waiting to be dialled; more on one network at one moment are dropped and come again


def txt_record(addresses: Sequence[str]) -> bytes:
    """TXT data: one dnsaddr string for each address that fits into one."""
    entries = [_KEY + address.encode() for address in addresses]
    return b"".join(bytes((len(entry),)) + entry for entry in entries if len(entry) <= _STRING_MAX)


def read_txt(data: bytes) -> tuple[ID | None, list[Multiaddr]]:
    """The first peer named, and its addresses that TCP can dial. Whatever else is in there is skipped."""
    peer: ID | None = None
    found: list[Multiaddr] = []
    at = 0
    while at < len(data):
        entry = data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
        address = parse(entry.removeprefix(_KEY).decode("utf-8", "replace")) if entry.startswith(_KEY) else None
        named = peer_id_in(address) if address is not None else None
        if address is None or named is None or named != (peer or named):
            continue
        peer = named
        found.append(address)
    return peer, found


class _Responder:
    """Zeroconf's side; every method but `heard` blocks and runs in a thread."""

    def __init__(self, ips: Sequence[Ip], addresses: Sequence[str], heard: Callable[[bytes], None]) -> None:
        self._heard = heard
        self._own = "".join(secrets.choice(string.ascii_lowercase) for _ in range(32)) + "." + SERVICE
        self._zeroconf = Zeroconf(interfaces=[str(ip) for ip in ips])
        port = int(str(Multiaddr(addresses[0]).value_for_protocol("tcp")))
        info = ServiceInfo(
            SERVICE,
            self._own,
            port=port,
            properties=txt_record(addresses),
            server=self._own,
            addresses=[ip.packed for ip in ips],
        )
        self._zeroconf.register_service(info, cooperating_responders=True)  # random names need no probing
        self._browser = ServiceBrowser(self._zeroconf, SERVICE, handlers=[self._changed])

    def _changed(self, zeroconf: Any, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if name == self._own or state_change is ServiceStateChange.Removed:
            return
        for record in zeroconf.cache.get_all_by_details(name, _TYPE_TXT, _CLASS_IN):
            if isinstance(record, DNSText):
                self._heard(record.text)

    def close(self) -> None:
        self._browser.cancel()
        self._zeroconf.close()  # says goodbye for what is registered


@asynccontextmanager
async def local_network(directory: NetDirectory, rules: NetRules) -> AsyncIterator[None]:
    """Announce and listen while the block runs. Where multicast is impossible this does nothing, and says so once."""
    listening = map(ip_of, directory.host.listening)
    ips = [ip for ip in listening if ip is not None and ip.version == 4 and not ip.is_loopback]  # loopback is no network
    send, receive = trio.open_memory_channel[bytes](_ANSWERS)
    responder = await _start(ips, directory.addresses(), send)
    if responder is None:
        yield
        return
    try:
        async with trio.open_nursery() as nursery:
            for _ in range(rules.directory.hint_dials):
                nursery.start_soon(_follow, directory, receive.clone())
            yield
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(responder.close)


async def _start(ips: Sequence[Ip], addresses: Sequence[str], send: trio.MemorySendChannel[bytes]) -> _Responder | None:
    token = trio.lowlevel.current_trio_token()

    def put(data: bytes) -> None:
        try:
            send.send_nowait(data)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            return

    def heard(data: bytes) -> None:
        try:
            token.run_sync_soon(put, data)
        except trio.RunFinishedError:
            return

    if not ips:
        return None
    try:
        with trio.CancelScope(shield=True):  # a thread cannot be taken back half way
            return await trio.to_thread.run_sync(_Responder, ips, addresses, heard)
    except OSError as error:
        _log.warning("no discovery on the local network: %s", error)
        return None


async def _follow(directory: NetDirectory, receive: trio.MemoryReceiveChannel[bytes]) -> None:
    async with receive:
        async for data in receive:
            peer, addresses = read_txt(data)
            if peer is not None:
                await directory.hint(peer, addresses, "mdns")
