"""What the doctor knows before it judges: plain values, gathered by probes.py and around.py, judged by checkup.py and reach.py."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ctorrent.cli.mend import System

Plain = dict[str, Any]
PORT = 4270


@dataclass(frozen=True, slots=True)
class Check:
    """verdict: "ok", "warn" (works, but know this) or "bad". command: what would mend it here; never run by us."""

    name: str
    verdict: str
    sentence: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """One IPv4 address of this machine on a real network."""

    interface: str
    ip: str
    prefix: int
    wireless: bool = False

    def reaches(self, other: str) -> bool:
        """Is another address on the same network, without a router between?"""
        try:
            return ipaddress.ip_address(other) in ipaddress.ip_network(f"{self.ip}/{self.prefix}", strict=False)
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Engine:
    """Docker. outcome: answers, missing, stopped, denied, odd (answers wrongly), elsewhere (not on this machine)."""

    outcome: str
    detail: str = ""
    in_group: bool = False  # this user is a member of the group that may; the session may be older than that


@dataclass(frozen=True, slots=True)
class Around:
    """What multicast brought. Addresses are texts."""

    asked: tuple[str, ...] = ()  # own addresses from which the question left
    echo: bool = False  # this machine heard its own question, or its own node's answer
    nodes: tuple[str, ...] = ()  # others that answered as a node
    others: tuple[str, ...] = ()  # others that were heard at all
    error: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Of this machine. `identity`, `settings`, `visit`: as node/examine.py and node/visit.py give them."""

    system: System
    folder: str
    running: bool
    status: Plain  # the node's own, or what files and a trial say
    identity: Plain
    settings: Plain
    settings_error: tuple[str, str] = ("", "")  # sentence, hint
    python: str = ""
    pipx: bool = False
    engine: Engine = Engine("missing")
    free_bytes: int = 0
    used_bytes: int = 0
    now: float = 0.0
    synced: bool | None = None
    holder: str = ""  # who listens at the port, when no node runs
    firewall: str = ""  # what it does with a caller at the port: "open", "closed", "": cannot be seen
    multicast_firewall: str = ""  # the same for UDP 5353
    addresses: tuple[Address, ...] = ()
    around: Around | None = None  # None: was not asked
    neighbours: Mapping[str, str] = field(default_factory=dict)  # IP -> "there", "missing", ""

    @property
    def port(self) -> int:
        """Where this machine's node listens, or would."""
        for address in self.status.get("addresses") or ():
            port = str(address).partition("/tcp/")[2].split("/")[0]
            if port.isdecimal():
                return int(port)
        return int(self.settings.get("port") or PORT)

    @property
    def own_ips(self) -> frozenset[str]:
        return frozenset(one.ip for one in self.addresses) | {"127.0.0.1"}

    def beside(self, ip: str) -> Address | None:
        """The own address on the same local network as `ip`."""
        return next((one for one in self.addresses if one.reaches(ip)), None)
