"""What the doctor concludes from facts, and the command it names for each system. The command itself comes last."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ctorrent.cli import checkup, firewall, main, mend, probes, reach
from ctorrent.cli.around import look_around, question
from ctorrent.cli.facts import Address, Around, Check, Engine, Facts
from ctorrent.cli.mend import System
from tests.cli.conftest import Ran

DEBIAN = System(packages="apt", services="systemd", firewall="ufw", user="ada")
FEDORA = System(packages="dnf", services="systemd", firewall="firewalld", root=True)
ARCH = System(packages="pacman", services="systemd", firewall="nft", user="ada")
MAC = System(platform="darwin")
HOME = Address("wlan0", "192.168.1.7", 24, wireless=True)
GOOD = Facts(
    DEBIAN, "/data", True, {"isolation": "docker", "gaps": [], "addresses": ["/ip4/192.168.1.7/tcp/4271/p2p/x"], "testing": ""},
    {"node": "me", "owner": "own_me", "swarms": ["own_me"], "friends": [], "keys": [{"name": "node key", "path": "/data/node.key", "missing": False, "error": "", "hint": ""}]},
    {"port": 4270, "disk_bytes": 20 * 10**9}, engine=Engine("answers"), free_bytes=10**11, now=1.8e9, synced=True, firewall="open",
    addresses=(HOME,), around=Around(("192.168.1.7",), True, (), ("192.168.1.1",)),
)  # fmt: skip


def only(facts: Facts, name: str) -> Check:
    found = [check for check in checkup.look(facts) if check.name == name and check.verdict != "ok"]
    assert len(found) == 1, checkup.look(facts)
    return found[0]


def test_a_machine_with_nothing_wrong() -> None:
    assert {check.verdict for check in checkup.look(GOOD)} == {"ok"}


@pytest.mark.parametrize(
    ("change", "name", "verdict", "sentence", "command"),
    [
        ({"running": False}, "node", "warn", "No node runs here", "ctorrent node"),
        ({"settings_error": ("there is no setting 'x'", "mend it")}, "settings", "bad", "There is no setting 'x'.", "mend it"),
        ({"system": MAC}, "system", "warn", "macOS: this machine submits jobs", "WSL2"),
        ({"engine": Engine("missing")}, "Docker", "warn", "Docker is not installed", "sudo apt-get install -y docker.io"),
        ({"engine": Engine("missing"), "system": FEDORA}, "Docker", "warn", "not installed", "dnf install -y moby-engine && systemctl enable --now docker"),
        ({"engine": Engine("missing"), "system": ARCH}, "Docker", "warn", "not installed", "sudo pacman -S --needed docker"),
        ({"engine": Engine("stopped", "no answer")}, "Docker", "bad", "installed and does not run", "sudo systemctl enable --now docker"),
        ({"engine": Engine("denied", "/s is closed")}, "Docker", "bad", "not in its group", "sudo usermod -aG docker ada && newgrp docker"),
        ({"engine": Engine("denied", "/s is closed", True)}, "Docker", "bad", "began before", "newgrp docker"),
        ({"free_bytes": 10**8}, "disk", "bad", "Disk low: 0.1 GB are free", "df -h /data"),
        ({"free_bytes": 10**10}, "disk", "warn", "less than the 20.0 GB", "ctorrent config set disk_bytes 5GB"),
        ({"now": 1e9}, "clock", "bad", "far off", "sudo timedatectl set-ntp true"),
        ({"synced": False}, "clock", "warn", "Nothing keeps this clock right", "sudo timedatectl set-ntp true"),
        ({"running": False, "holder": "nginx (process 9)"}, "port", "warn", "taken by nginx (process 9)", "ctorrent node --port 4371"),
        ({"firewall": "closed"}, "firewall", "bad", "Port 4271 is closed here: ufw lets nobody in", "sudo ufw allow 4271/tcp"),
        ({"firewall": "closed", "system": FEDORA}, "firewall", "bad", "firewalld", "firewall-cmd --permanent --add-port=4271/tcp && firewall-cmd --reload"),
        ({"firewall": "closed", "system": ARCH}, "firewall", "bad", "nft", "sudo nft insert rule inet filter input tcp dport 4271 accept"),
        ({"firewall": ""}, "firewall", "warn", "only root can see", "sudo ufw status"),
        ({"addresses": ()}, "network", "bad", "no address on any network", "ip address"),
        ({"addresses": (Address("wwan0", "100.70.1.2", 10),)}, "network", "warn", "CGNAT", "--join"),
        ({"around": Around(("192.168.1.7",), False)}, "discovery", "warn", "does not hear even itself", "sudo ufw allow 5353/udp"),
        ({"around": Around(("192.168.1.7",), True)}, "discovery", "warn", "Nobody at all answers by multicast on this Wi-Fi (wlan0)", "ctorrent invite"),
        ({"around": Around((), error="192.168.1.7: no")}, "discovery", "warn", "not possible here (192.168.1.7: no)", "--join"),
    ],
)  # fmt: skip
def test_what_is_wrong_here_and_its_command(change: dict[str, Any], name: str, verdict: str, sentence: str, command: str) -> None:
    if change.get("running") is False:
        change = {**change, "status": {**GOOD.status, "addresses": ["/ip4/0.0.0.0/tcp/4271"]}}
    check = only(replace(GOOD, **change), name)
    assert check.verdict == verdict and sentence in check.sentence and command in check.command, check


def test_a_damaged_key_is_one_sentence_and_what_to_do() -> None:
    row = {"name": "node key", "path": "/data/node.key", "missing": False, "error": "The key file /data/node.key is damaged: x.", "hint": "Restore it."}
    check = only(replace(GOOD, identity={**GOOD.identity, "keys": [row]}), "node key")
    assert (check.verdict, check.sentence, check.command) == ("bad", "The key file /data/node.key is damaged: x.", "Restore it.")


def test_no_sandbox_is_bad_and_names_docker() -> None:
    check = only(replace(GOOD, status={**GOOD.status, "isolation": "none: no Landlock"}), "sandbox")
    assert check.verdict == "bad" and "no Landlock" in check.sentence and "docker.io" in check.command


# -- the way to another -----------------------------------------------------------------------------------------------


def visit(**changes: Any) -> dict[str, Any]:
    """A visit by invite to a node beside this one, with nothing wrong."""
    said = {"error": "", "kind": "", "name": "ann", "owner": "own_ann", "version": "0.1.0", "swarms": ["own_ann"], "clock_unix_s": 1000,
            "asked_unix_s": 1000.4, "invite": "good", "seen_at": "192.168.1.7", "knock": "open"}  # fmt: skip
    said |= changes.pop("said", {})
    target = {"kind": "invite", "node": "ann", "owner": "own_ann", "swarm": "own_ann", "token": b"t", "places": []} | changes.pop("target", {})
    knock = {"host": "192.168.1.9", "port": 4270, "outcome": "open", "detail": "", "ip": "192.168.1.9"} | changes.pop("knock", {})
    met = {"outcome": "ok", "node": "ann", "detail": "", "host": "192.168.1.9", "port": 4270} | (changes.pop("met", {}) or {})
    found = {"target": target, "knocks": [knock], "met": met, "agent": "ctorrent/0.1.0", "protocols": ["/ctorrent/join/1"], "said": said,
             "ours": {"version": "0.1.0", "protocols": ["/ctorrent/join/1"]}}  # fmt: skip
    return found | changes


NEAR = replace(GOOD, around=Around(("192.168.1.7",), True, ("192.168.1.9",), ("192.168.1.9",)))


def test_a_way_with_nothing_in_it() -> None:
    assert {check.verdict for check in reach.look(NEAR, visit())} == {"ok"}


@pytest.mark.parametrize(
    ("changes", "name", "verdict", "sentence"),
    [
        ({"said": {"invite": "expired"}}, "invite", "bad", "The invite has expired."),
        ({"said": {"invite": "used up"}}, "invite", "bad", "The invite is used up."),
        ({"said": {"invite": "unknown"}}, "invite", "bad", "never made this invite"),
        ({"said": {"swarms": ["own_eve"]}}, "swarm", "bad", "Other swarm"),
        ({"said": {"clock_unix_s": 1000 + 3 * 86400}}, "clocks", "bad", "clock is 3 days behind of the other's"),
        ({"said": {"clock_unix_s": 700}}, "clocks", "warn", "5 minutes ahead"),
        ({"said": {"knock": "silent"}}, "way back", "bad", "Port closed here"),
        ({"said": {"knock": "silent", "seen_at": "203.0.113.9"}}, "way back", "warn", "a router's address"),
        ({"protocols": ["/ctorrent/join/2"]}, "version", "bad", "This ctorrent 0.1.0 is too old"),
        ({"protocols": ["/ctorrent/join/0"], "agent": "ctorrent/0.0.1", "said": {"version": ""}}, "version", "bad", "The other's version is too old: it runs ctorrent 0.0.1"),
        ({"protocols": [], "agent": "kubo/1"}, "another program", "bad", "calls itself kubo/1"),
        ({"met": {"outcome": "foreign", "detail": "x"}, "said": None}, "another program", "bad", "is not a ctorrent node (x)"),
        ({"met": {"outcome": "other", "node": "eve"}, "said": None}, "identity", "bad", "it is eve, not ann"),
        ({"target": {"kind": "address"}}, "swarm", "bad", "Other swarm: 'ann' belongs to own_ann"),
        ({"knocks": [], "met": None}, "reach", "bad", "names no address"),
    ],
)  # fmt: skip
def test_what_is_in_the_way(changes: dict[str, Any], name: str, verdict: str, sentence: str) -> None:
    nothing = {name: None for name in ("said", "met") if changes.get(name, 0) is None}
    found = visit(**{name: value for name, value in changes.items() if name not in nothing}) | nothing
    wrong = [check for check in reach.look(NEAR, found) if check.verdict != "ok"]
    assert [check.name for check in wrong] == [name], wrong
    assert wrong[0].verdict == verdict and sentence in wrong[0].sentence and wrong[0].command, wrong


@pytest.mark.parametrize(
    ("knock", "neighbour", "name", "sentence"),
    [
        ({"outcome": "silent"}, "there", "silent", "drops calls at port 4270: its firewall"),
        ({"outcome": "unreachable", "detail": "No route to host"}, "there", "unreachable", "its firewall turns calls at port 4270 away"),
        ({"outcome": "unreachable", "detail": "No route to host"}, "missing", "unreachable", "No machine has the address 192.168.1.9"),
        ({"outcome": "silent", "ip": "10.9.9.9", "host": "10.9.9.9"}, "", "unreachable", "private address of another network"),
        ({"outcome": "silent", "ip": "8.8.8.8", "host": "8.8.8.8"}, "", "silent", "a firewall or router on the way drops"),
        ({"outcome": "unreachable", "detail": "Network is unreachable", "ip": "8.8.8.8"}, "", "unreachable", "no way to 8.8.8.8"),
        ({"outcome": "refused", "ip": "127.0.0.1", "host": "127.0.0.1"}, "", "refused", "is this machine itself"),
        ({"outcome": "forbidden"}, "", "unreachable", "own firewall lets nothing out"),
        ({"outcome": "failed", "detail": "odd"}, "", "reach", "cannot be called: odd"),
    ],
)  # fmt: skip
def test_a_call_that_does_not_get_through(knock: dict[str, Any], neighbour: str, name: str, sentence: str) -> None:
    facts = replace(GOOD, neighbours={"192.168.1.9": neighbour})
    (check,) = reach.look(facts, visit(knock=knock) | {"met": None, "said": None})
    assert (check.name, check.verdict) == (name, "bad") and sentence in check.sentence, check


def test_a_wifi_that_keeps_its_devices_apart_is_named() -> None:
    facts = replace(GOOD, neighbours={"192.168.1.9": "missing"}, around=Around(("192.168.1.7",), True))
    (check,) = reach.look(facts, visit(knock={"outcome": "unreachable", "detail": "No route to host"}) | {"met": None, "said": None})
    assert check.name == "discovery" and "this Wi-Fi keeps its devices apart (client isolation)" in check.sentence, check
    heard = replace(NEAR, around=Around(("192.168.1.7",), True, (), ("192.168.1.1",)))
    (muffled,) = [check for check in reach.look(heard, visit()) if check.verdict != "ok"]
    assert muffled.name == "discovery" and "this Wi-Fi blocks discovery" in muffled.sentence


# -- rules and commands -----------------------------------------------------------------------------------------------

UFW = """-P INPUT DROP
-N ufw-before
-N ufw-user
-A INPUT -j ufw-before
-A INPUT -j ufw-user
-A ufw-before -i lo -j ACCEPT
-A ufw-before -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
-A ufw-user -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-user -p tcp -m multiport --dports 4200:4300,9000 -j ACCEPT
-A ufw-user -s 10.0.0.0/8 -p tcp -m tcp --dport 5000 -j ACCEPT"""


@pytest.mark.parametrize(
    ("rules", "port", "answer"),
    [
        ("-P INPUT ACCEPT", 4270, "open"),
        ("-P INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 4270 -j DROP", 4270, "closed"),
        ("-P INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 4270 -j DROP", 4271, "open"),
        ("-P INPUT ACCEPT\n-A INPUT -j REJECT --reject-with icmp-port-unreachable", 1, "closed"),
        (UFW, 4270, "open"), (UFW, 9000, "open"), (UFW, 4301, "closed"), (UFW, 5000, "closed"),
        ("", 4270, ""), ('-A INPUT -m comment --comment "cut', 4270, ""),
        ("-P INPUT DROP\n-N a\n-A INPUT -j a\n-A a -j a", 4270, "closed"),
    ],
)  # fmt: skip
def test_iptables_rules_are_read_as_a_caller_meets_them(rules: str, port: int, answer: str) -> None:
    assert firewall.iptables(rules, port) == answer


def nft(policy: str, *rules: list[dict[str, Any]]) -> str:
    chain = {"family": "inet", "table": "filter", "name": "input", "hook": "input", "type": "filter", "policy": policy}
    made = [{"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": expr}} for expr in rules]
    return json.dumps({"nftables": [{"metainfo": {}}, {"chain": chain}, *made]})


def dport(right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": right}}


@pytest.mark.parametrize(
    ("ruleset", "answer"),
    [
        (nft("accept"), "open"), (nft("drop"), "closed"), (nft("drop", [dport(4270), {"accept": None}]), "open"),
        (nft("drop", [dport({"set": [22, {"range": [4000, 5000]}]}), {"accept": None}]), "open"),
        (nft("accept", [dport(4270), {"reject": {"type": "tcp reset"}}]), "closed"),
        (nft("drop", [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, {"accept": None}]), "closed"),
        (nft("accept", [{"jump": {"target": "nowhere"}}]), "open"), ("not json", ""), ("[]", ""), ('{"nftables": []}', ""),
    ],
)  # fmt: skip
def test_nft_rules_are_read_as_a_caller_meets_them(ruleset: str, answer: str) -> None:
    assert firewall.nft(ruleset, 4270) == answer


def test_every_system_has_a_command_and_root_needs_no_sudo() -> None:
    for system in (DEBIAN, FEDORA, ARCH, MAC, System(platform="win32"), System(wsl=True), System()):
        said = [mend.install_docker(system), mend.start(system, "docker"), mend.permit_docker(system, False), mend.open_port(system, 4270),
                mend.set_clock(system), mend.see_firewall(system)]  # fmt: skip
        assert all(said) and not any("sudo" in command for command in said if system.root), said


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("host", "outcome"), [("unix:///nowhere.sock", ("missing", "stopped")), ("tcp://1.2.3.4:1", ("elsewhere",))])
def test_where_docker_is_not(monkeypatch: pytest.MonkeyPatch, host: str, outcome: tuple[str, ...]) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    assert probes.docker_engine().outcome in outcome


def test_an_image_is_not_begun_without_docker(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert main.run(["image", "build", "cpu"]) == 2
    assert capsys.readouterr().err.startswith("Error: Docker: there is no /nowhere.sock.\n  → ")


@pytest.mark.real
def test_a_key_that_is_open_or_damaged_is_said_once_and_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    data = tmp_path / "data"
    data.mkdir()
    (data / "node.key").write_text("ctorrent-key 1\ncut")
    (data / "node.key").chmod(0o600)
    (data / "settings.toml").write_text("isolation = 'jail'\nowner_dir = '~/mine'\n")
    words = ["doctor", "--json", "--data-dir", str(data)]
    assert main.run(words) == 1
    found = json.loads(capsys.readouterr().out)
    (said,) = [check for check in found["checks"] if check["name"] == "node key"]
    assert said["verdict"] == "bad" and said["sentence"].startswith(f"The key file {data}/node.key is damaged: "), said
    assert "ended before it was ready" not in str(found)
    assert found["identity"]["owner_dir"] == str(tmp_path / "mine"), "as the settings of this data folder say"
    assert sorted(path.name for path in tmp_path.rglob("*.key")) == ["node.key"], "looking makes no identity"
    (data / "node.key").chmod(0o644)
    main.run(words)
    (said,) = [check for check in json.loads(capsys.readouterr().out)["checks"] if check["name"] == "node key"]
    assert "can be read by others" in said["sentence"] and "chmod 600" in said["command"], said


def test_a_target_that_cannot_be_read_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    for target, words in (("4270", "neither an invite nor an address"), ("ctorrent1:abc", "cut or mistyped"), ("/ip4/1.2.3.4", "neither"), ("host:99999", "neither")):
        assert main.run(["doctor", target]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.real
def test_a_word_that_is_no_machine_is_told_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["doctor", "no-such-machine-here", "--data-dir", str(tmp_path), "--owner-dir", str(tmp_path)]) == 1
    assert "'no-such-machine-here' is neither an address nor an invite" in " ".join(capsys.readouterr().out.split())


@pytest.mark.real
def test_the_question_by_multicast_is_heard_by_who_asks() -> None:
    around = look_around([one.ip for one in probes.addresses()], 1.5)
    assert around.asked or around.error or not probes.addresses()
    assert question()[:12] == bytes.fromhex("000000000002000000000000")


def test_it_speaks_to_people_and_to_programs(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://1.2.3.4:1")
    told, shown = run("doctor"), run("doctor", "--json")
    assert "Checks" in told.out and "node: A node runs here." in told.out, told
    checks = json.loads(shown.out)["checks"]
    assert told.code == shown.code == int(any(check["verdict"] == "bad" for check in checks)), shown.out


@pytest.mark.real
def test_docker_that_is_closed_to_this_user_is_told_from_one_that_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    words = [sys.executable, "-c", "from ctorrent.cli import probes; print(probes.docker_engine().outcome)"]
    if os.geteuid() == 0:  # root is let in everywhere, unless it gives up its powers
        words = ["setpriv", "--bounding-set", "-all", *words]
    environ = {**os.environ, "DOCKER_HOST": f"unix://{path}"}

    def outcome() -> str:
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, env=environ).stdout.strip()

    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        assert outcome() == "stopped", "nobody listens at the socket that is left behind"
        engine.listen(1)
        path.chmod(0)
        assert outcome() == "denied"
