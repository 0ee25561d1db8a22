"""Who answers on the local network? One question by multicast DNS (RFC 6762), and three seconds of listening."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack

from ctorrent.cli.facts import Around

GROUP, PORT = "224.0.0.251", 5353
LISTEN_S = 2.2  # answers come within 0.5 s; the question is asked twice, for a Wi-Fi that loses one
_AGAIN_S = 1.2  # what was multicast less than a second ago is not said again
_BYTES = 9000
_SERVICE = b"\x09_ctorrent\x04_udp\x05local\x00"
_ANYONE = b"\x09_services\x07_dns-sd\x04_udp\x05local\x00"


def look_around(own: Sequence[str], limit_s: float = LISTEN_S) -> Around:
    """Blocking. own: IPv4 addresses of this machine on real networks."""
    asked: list[str] = []
    errors: list[str] = []
    with ExitStack() as stack:
        sockets = []
        for ip in own:
            try:
                sockets.append(stack.enter_context(_open(ip)))
                asked.append(ip)
            except OSError as error:
                errors.append(f"{ip}: {error.strerror or error}")
        heard = _listen(sockets, asked, limit_s, errors) if sockets else {}
    mine = {ip: said for ip, said in heard.items() if ip in own}
    others = {ip: said for ip, said in heard.items() if ip not in own}
    nodes = tuple(sorted(ip for ip, said in others.items() if said))
    return Around(tuple(asked), bool(mine), nodes, tuple(sorted(others)), "; ".join(errors))


def _open(ip: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("", PORT))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(ip))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(ip))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    except BaseException:
        made.close()
        raise
    return made


def question() -> bytes:
    """Two questions in one packet: nodes of ours, and anyone who answers at all."""
    return struct.pack("!6H", 0, 0, 2, 0, 0, 0) + b"".join(name + struct.pack("!2H", 12, 1) for name in (_SERVICE, _ANYONE))


def _listen(sockets: Sequence[socket.socket], asked: Sequence[str], limit_s: float, errors: list[str]) -> dict[str, bool]:
    """-> sender -> did it answer as a node?"""
    heard: dict[str, bool] = {}
    began = time.monotonic()
    times = [0.0, _AGAIN_S]
    while (now := time.monotonic() - began) < limit_s:
        if times and now >= times[0]:
            times.pop(0)
            for one, ip in zip(sockets, asked, strict=True):
                try:
                    one.sendto(question(), (GROUP, PORT))
                except OSError as error:
                    errors.append(f"{ip}: {error.strerror or error}")
        wait = min([limit_s, *times]) - now
        for ready in select.select(sockets, [], [], max(wait, 0))[0]:
            data, (ip, *_) = ready.recvfrom(_BYTES)
            answers = len(data) > 2 and bool(data[2] & 0x80) and _SERVICE[:10] in data
            heard[ip] = heard.get(ip, False) or answers
    return heard
