"""Where to listen, what to announce, whom to believe about addresses.

Announced are concrete addresses of real interfaces: never 0.0.0.0, never the bridges of container engines, a VPN only
when asked, loopback only when asked (or when there is nothing else).
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psutil
from multiaddr import Multiaddr
from multiaddr.exceptions import BinaryParseError, ParseError, ProtocolLookupError, StringParseError

from ctorrent.errors import LocalError
from ctorrent.net.rules import NetRules

_BRIDGES = re.compile(r"^(docker|br-|veth|virbr|cni|flannel|podman|lxc|lxd|kube|cali|vmnet|vboxnet|ifb|dummy)")
_VPNS = re.compile(r"^(tun|tap|wg|utun|ppp|tailscale|zt)")
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Interface:
    """One address of one interface."""

    name: str
    ip: Ip
    network: Network


def interfaces(vpn: bool = False) -> list[Interface]:
    """Addresses of real interfaces that are up, IPv4 first; no loopback, no link-local."""
    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    found = []
    for name, addresses in psutil.net_if_addrs().items():
        if name in up and not _BRIDGES.match(name) and (vpn or not _VPNS.match(name)):
            found += [one for one in (_interface(name, a.address, a.netmask) for a in addresses) if one is not None]
    return sorted(found, key=lambda one: (one.ip.version, one.name, int(one.ip)))


def _interface(name: str, address: str, netmask: str | None) -> Interface | None:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
        prefix = bin(int(ipaddress.ip_address(netmask))).count("1") if netmask else ip.max_prefixlen
    except ValueError:
        return None  # a hardware address
    if ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast:
        return None
    return Interface(name, ip, ipaddress.ip_network((ip, prefix), strict=False))


def to_multiaddr(ip: Ip, port: int) -> Multiaddr:
    return Multiaddr(f"/ip{ip.version}/{ip}/tcp/{port}")


def ip_of(address: Multiaddr) -> Ip | None:
    """The IP address at the front, or None (a DNS name, a relay)."""
    for protocol in ("ip4", "ip6"):
        try:
            ip = ipaddress.ip_address(str(address.value_for_protocol(protocol)))
            return getattr(ip, "ipv4_mapped", None) or ip  # ::ffff:10.0.0.1 is 10.0.0.1
        except (ProtocolLookupError, ValueError):
            continue
    return None


def parse(text: str | bytes) -> Multiaddr | None:
    """A multiaddr that plain TCP can dial, or None."""
    try:
        address = Multiaddr(text)
        names = [protocol.name for protocol in address.protocols()]
    except (ParseError, StringParseError, BinaryParseError, ProtocolLookupError, ValueError):
        return None
    plain = names[:-1] if names and names[-1] == "p2p" else names
    return address if len(plain) == 2 and plain[0] in ("ip4", "ip6", "dns", "dns4", "dns6") and plain[1] == "tcp" else None


def listen_on(rules: NetRules) -> list[tuple[Ip, int]]:
    """(ip, port) to listen on; the port is free now. Raises LocalError with what to do."""
    wanted = [_listen_entry(entry) for entry in rules.listen]
    if not wanted:
        wanted = [(one.ip, None) for one in interfaces(rules.vpn)] or [(ipaddress.ip_address("127.0.0.1"), None)]
    wanted = [(ip, port) for entry in wanted for ip, port in _concrete(entry, rules.vpn)]
    asked = [ip for ip, port in wanted if port is None]
    port = _free_port(asked, rules) if asked else 0
    for ip, own in wanted:
        if own and not _is_free(ip, own):
            raise LocalError(f"port {own} on {ip} is taken", "Name another one, or stop what listens there.")
    return [(ip, port if own is None else own or _any_port([ip])) for ip, own in wanted]


def _listen_entry(entry: str) -> tuple[Ip, int | None]:
    try:
        if entry.startswith("/"):
            address = Multiaddr(entry)
            ip = ip_of(address)
            if ip is not None:
                return ip, int(str(address.value_for_protocol("tcp")))
        bracketed = re.fullmatch(r"\[([0-9a-fA-F:.]+)\](?::(\d+))?", entry)
        plain = re.fullmatch(r"(\d+\.\d+\.\d+\.\d+)(?::(\d+))?", entry)
        match = bracketed or plain
        host, port = (match.group(1), match.group(2)) if match else (entry, None)
        return ipaddress.ip_address(host), None if port is None else int(port)
    except (ParseError, StringParseError, ProtocolLookupError, ValueError):
        pass
    raise LocalError(f"{entry!r} is not an address to listen on", "Such as 192.168.1.5, 127.0.0.1:4300 or [fd00::5].")


def _concrete(entry: tuple[Ip, int | None], vpn: bool) -> list[tuple[Ip, int | None]]:
    """0.0.0.0 means the real interfaces of that family, by name."""
    ip, port = entry
    if not ip.is_unspecified:
        return [entry]
    return [(one.ip, port) for one in interfaces(vpn) if one.ip.version == ip.version]


def _free_port(ips: Sequence[Ip], rules: NetRules) -> int:
    if rules.port == 0:
        return _any_port(ips)
    for port in range(rules.port, min(rules.port + rules.port_tries, 65_536)):
        if all(_is_free(ip, port) for ip in ips):
            return port
    raise LocalError(f"no port from {rules.port} on is free", "Name one with --listen IP:PORT.")


def _any_port(ips: Sequence[Ip]) -> int:
    for _ in range(100):
        with socket.socket(_family(ips[0])) as probe:
            probe.bind((str(ips[0]), 0))
            port: int = probe.getsockname()[1]
        if all(_is_free(ip, port) for ip in ips):
            return port
    raise LocalError("no free port was found on this machine")


def _is_free(ip: Ip, port: int) -> bool:
    with socket.socket(_family(ip)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(ip), port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise LocalError(f"cannot listen on {ip}: {error.strerror}", "Is that an address of this machine?") from None
    return True


def _family(ip: Ip) -> socket.AddressFamily:
    return socket.AF_INET if ip.version == 4 else socket.AF_INET6


class Neighbourhood:
    """Which addresses that others name are worth dialling: what is global, or what this machine's own networks reach.

    A stranger could otherwise point this node, and everyone like it, at any private service.
    """

    def __init__(self, listening: Iterable[Ip], rules: NetRules) -> None:
        self._loopback = any(ip.is_loopback for ip in listening)
        self._networks = [one.network for one in interfaces(rules.vpn)]
        self._lan_only = rules.lan_only

    def near(self, ip: Ip) -> bool:
        """On this machine (where that was asked for) or on a network it is attached to."""
        if ip.is_loopback:
            return self._loopback
        return any(ip.version == network.version and ip in network for network in self._networks)

    def may_dial(self, address: Multiaddr) -> bool:
        """Of an address that someone else named."""
        ip = ip_of(address)
        if ip is None or ip.is_multicast:
            return False  # names resolve to whatever their owner likes
        return self.near(ip) or (ip.is_global and not self._lan_only)

    def may_accept(self, ip_text: str) -> bool:
        """Of a caller."""
        if not self._lan_only:
            return True
        try:
            ip = ipaddress.ip_address(ip_text.removeprefix("::ffff:").partition("%")[0])
        except ValueError:
            return False
        return ip.is_loopback or self.near(ip)
