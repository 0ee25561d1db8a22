"""One TCP connection, opened and closed: what the other end, or the network before it, makes of it.

    open         something listens
    refused      the machine is there, and nothing listens at that port (or its firewall says so)
    silent       no answer at all: a firewall that drops, or no machine
    unreachable  the network says that there is no way: no route, no such neighbour, or a firewall that says so
    forbidden    this machine does not let the packet out
    nameless     the name is unknown
    failed       anything else; see the detail
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass

import trio

KNOCK_S = 4.0  # a SYN and two repetitions (after 1 and 3 s): what they do not reach is not there
_MEANINGS = {
    errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "silent", errno.EHOSTUNREACH: "unreachable", errno.ENETUNREACH: "unreachable",
    errno.EHOSTDOWN: "unreachable", errno.ENETDOWN: "unreachable", errno.EPERM: "forbidden", errno.EACCES: "forbidden",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Knock:
    outcome: str  # a word of the list above
    detail: str = ""  # of the operating system
    ip: str = ""  # where it was tried


async def knock(host: str, port: int, limit_s: float = KNOCK_S) -> Knock:
    """Never raises for what the network does."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Knock("nameless", str(error))
    family, kind, protocol, _, address = found[0]
    at = str(address[0])
    with trio.socket.socket(family, kind, protocol) as connection:
        try:
            with trio.fail_after(limit_s):
                await connection.connect(address)
        except trio.TooSlowError:
            return Knock("silent", f"no answer within {limit_s:g} s", at)
        except OSError as error:
            return Knock(_MEANINGS.get(error.errno or 0, "failed"), os.strerror(error.errno) if error.errno else str(error), at)
    return Knock("open", "", at)
