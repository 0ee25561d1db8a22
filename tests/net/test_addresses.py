"""What is announced, what is believed, which port is taken."""

from __future__ import annotations

import ipaddress
import socket
from types import SimpleNamespace

import psutil
import pytest
from multiaddr import Multiaddr

from ctorrent.errors import LocalError
from ctorrent.net import addresses
from ctorrent.net.addresses import Neighbourhood, interfaces, listen_on, parse
from ctorrent.net.rules import NetRules

UP = SimpleNamespace(isup=True)
DOWN = SimpleNamespace(isup=False)


def nic(address: str, netmask: str | None = "255.255.255.0") -> SimpleNamespace:
    return SimpleNamespace(address=address, netmask=netmask)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop with everything that people have."""
    nics = {
        "lo": [nic("127.0.0.1", "255.0.0.0"), nic("::1")],
        "eth0": [nic("192.168.1.5"), nic("fe80::1%eth0"), nic("fd00::5", "ffff:ffff:ffff:ffff::"), nic("aa:bb:cc:dd:ee:ff")],
        "wlan0": [nic("10.0.0.7", "255.255.0.0")],
        "eth9": [nic("10.9.9.9")],
        "docker0": [nic("172.17.0.1", "255.255.0.0")],
        "br-1f2e": [nic("172.18.0.1")],
        "vethab12": [nic("169.254.3.4")],
        "virbr0": [nic("192.168.122.1")],
        "tun0": [nic("10.8.0.2")],
        "wg0": [nic("10.200.0.2")],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: nics)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: {name: DOWN if name == "eth9" else UP for name in nics})


def test_only_real_interfaces_count(machine: None) -> None:
    assert [str(one.ip) for one in interfaces()] == ["192.168.1.5", "10.0.0.7", "fd00::5"]


def test_a_vpn_counts_when_asked(machine: None) -> None:
    assert {"10.8.0.2", "10.200.0.2"} <= {str(one.ip) for one in interfaces(vpn=True)}


def test_the_default_is_every_real_interface_on_one_port(machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_is_free", lambda ip, port: port >= 4272)
    assert listen_on(NetRules()) == [(one.ip, 4272) for one in interfaces()]


def test_a_wildcard_becomes_concrete(machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_is_free", lambda ip, port: True)
    assert [str(ip) for ip, _ in listen_on(NetRules(listen=("0.0.0.0",)))] == ["192.168.1.5", "10.0.0.7"]
    assert listen_on(NetRules(listen=("/ip4/0.0.0.0/tcp/9000",)))[0] == (ipaddress.ip_address("192.168.1.5"), 9000)


def test_a_machine_without_a_network_listens_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"lo": [nic("127.0.0.1")]})
    assert [str(ip) for ip, _ in listen_on(NetRules(port=0))] == ["127.0.0.1"]


@pytest.mark.parametrize("entry", ["127.0.0.1:4333", "/ip4/127.0.0.1/tcp/4333", "[::1]:4333", "::1", "127.0.0.1"])
def test_ways_to_write_an_address(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_is_free", lambda ip, port: True)
    ((ip, port),) = listen_on(NetRules(listen=(entry,)))
    assert ip.is_loopback and port == (4333 if "4333" in entry else 4270)


@pytest.mark.parametrize("entry", ["", "nonsense", "300.1.1.1", "1.2.3.4:port", "/dns4/a.b/tcp/1", "/ip4/1.2.3.4"])
def test_an_address_that_is_none_is_a_clear_error(entry: str) -> None:
    with pytest.raises(LocalError, match="not an address to listen on"):
        listen_on(NetRules(listen=(entry,)))


def test_a_taken_port_gives_the_next_free_one_and_a_named_one_is_an_error() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as a stock libp2p listener would
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        ((_, found),) = listen_on(NetRules(listen=("127.0.0.1",), port=port))
        assert found > port
        with pytest.raises(LocalError, match="taken"):
            listen_on(NetRules(listen=(f"127.0.0.1:{port}",)))


def test_an_address_of_another_machine_is_a_clear_error() -> None:
    with pytest.raises(LocalError, match="cannot listen"):
        listen_on(NetRules(listen=("203.0.113.9",)))


def test_addresses_of_others_are_believed_when_global_or_on_link(machine: None) -> None:
    near = Neighbourhood([ipaddress.ip_address("192.168.1.5")], NetRules())
    dial = {text: near.may_dial(Multiaddr(text)) for text in (
        "/ip4/8.8.8.8/tcp/4270", "/ip4/192.168.1.77/tcp/4270", "/ip4/10.0.9.9/tcp/1", "/ip4/192.168.7.1/tcp/80",
        "/ip4/127.0.0.1/tcp/4270", "/ip4/169.254.169.254/tcp/80", "/ip4/0.0.0.0/tcp/1", "/ip4/224.0.0.1/tcp/1",
        "/dns4/example.org/tcp/1", "/ip6/::ffff:127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/ip6/fd00::9/tcp/1", "/ip6/fd01::9/tcp/1")}  # fmt: skip
    assert [text for text, yes in dial.items() if yes] == [
        "/ip4/8.8.8.8/tcp/4270", "/ip4/192.168.1.77/tcp/4270", "/ip4/10.0.9.9/tcp/1", "/ip6/fd00::9/tcp/1"]  # fmt: skip


def test_lan_only_stays_on_the_lan(machine: None) -> None:
    near = Neighbourhood([ipaddress.ip_address("192.168.1.5")], NetRules(lan_only=True))
    assert near.may_dial(Multiaddr("/ip4/192.168.1.77/tcp/1")) and not near.may_dial(Multiaddr("/ip4/8.8.8.8/tcp/1"))
    assert near.may_accept("192.168.1.9") and near.may_accept("127.0.0.1") and near.may_accept("::ffff:10.0.0.1")
    assert not near.may_accept("8.8.8.8") and not near.may_accept("") and not near.may_accept("garbage")


def test_loopback_is_near_only_to_those_who_listen_there() -> None:
    near = Neighbourhood([ipaddress.ip_address("127.0.0.1")], NetRules())
    assert near.may_dial(Multiaddr("/ip4/127.0.0.1/tcp/4270"))


@pytest.mark.parametrize("text", ["", "x", "/ip4/1.2.3.4", "/ip4/1.2.3.4/udp/1/quic-v1", "/ip4/1.2.3.4/tcp/1/ws",
                                  "/ip4/1.2.3.4/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N/p2p-circuit",
                                  "/ip4/1.2.3.4/tcp/99999", "/unix/tmp"])  # fmt: skip
def test_only_plain_tcp_parses(text: str) -> None:
    assert parse(text) is None
