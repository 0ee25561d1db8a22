"""Who is at the other end of a connection: a program of which user of this machine, and did it show that it may call?

A browser keeps one jar of cookies for all ports of an address, so a page that another user serves at 127.0.0.1 is sent
ours. So a cookie is for the user whose program it was given to, as far as the kernel says who that is: Linux does.
"""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import Any

STATE = "ctorrent.caller"  # in the state of a connection's scopes
GONE = "gone"  # the program has closed its end already: whose it was, nobody knows any more
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")  # every user reads them
_LISTENS = "0A"  # of linux/include/net/tcp_states.h
Address = tuple[str, int]


class Caller:
    """Of one connection. known: it showed the token, or a cookie that holds."""

    def __init__(self) -> None:
        self.known = False
        self._user: str | None = None

    def user(self, client: Address, server: Address) -> str:
        """The user's number; "" where nobody says (another machine, another system); GONE. Asked once: a few milliseconds."""
        if self._user is None:
            self._user = user_of(client, server)
        return self._user


def of(scope: Any) -> Caller:
    """Of a request's scope; a new one where another server than ours serves it."""
    found = (scope.get("state") or {}).get(STATE)
    return found if isinstance(found, Caller) else Caller()


def user_of(client: Address, server: Address) -> str:
    """As Caller.user says, of the program whose socket has the address `client`."""
    theirs, ours = _plain(client[0]), _plain(server[0])
    if theirs is None or ours is None or not (theirs.is_loopback or theirs == ours):
        return ""
    pairs = {(_hex(one, client[1]), _hex(other, server[1])) for one, other in ((theirs, ours), (_mapped(theirs), _mapped(ours)))}
    listens = False
    for table in _TABLES:
        try:
            with Path(table).open(encoding="ascii") as file:
                next(file, "")
                for line in file:
                    local, remote, state, uid, inode = (line.split()[at] for at in (1, 2, 3, 7, 9))
                    if (local, remote) in pairs and inode != "0":  # what was closed is root's, and has none
                        return uid
                    listens |= state == _LISTENS and local.endswith(f":{server[1]:04X}")
        except (OSError, ValueError, IndexError):  # no Linux, or one that shows no such table
            continue
    return GONE if listens else ""  # a table without our own socket is of no use


def _plain(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _mapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """How a socket that is made for both kinds of address has one of the fourth."""
    return ipaddress.IPv6Address(f"::ffff:{address}") if address.version == 4 else address


def _hex(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> str:
    """As the kernel prints it: words of four bytes, as this processor reads them."""
    packed = address.packed
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return f"{''.join(f'{word:08X}' for word in words)}:{port:04X}"
