"""`ctorrent doctor` between machines of their own: what is in the way is told apart by its verdict and its sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ctorrent.client import Net, attach
from ctorrent.embedded import wait_for
from ctorrent.errors import Unavailable
from tests.real.herd import until
from tests.real.wires import Machine, cable, firewall

pytestmark = pytest.mark.real

NODE, DROPPED, TURNED_AWAY, RESET, NOBODY, WEB, OLD, SLOW, STRANGE = 4270, 4302, 4303, 4304, 4305, 4306, 4307, 4308, 4309
START_S = 60.0


@dataclass
class Street:
    """ann's machine, where everything listens; ben's, from which the doctor looks; a third that is unplugged when asked."""

    ann: Machine
    ben: Machine
    cat: Machine
    net: Net
    node: str
    folder: Path

    def doctor(self, target: str, name: str = "ben", port: int = NODE) -> dict[str, Any]:
        """ben asks. -> {"code", "checks": {name: check}}."""
        data = self.folder / name
        data.mkdir(exist_ok=True)
        (data / "settings.toml").write_text(f"port = {port}\n")
        environ = {**os.environ, "HOME": os.fspath(self.folder), "CTORRENT_OWNER_DIR": os.fspath(self.folder / "ben-owner")}
        words = self.ben.words(sys.executable, "-m", "ctorrent", "doctor", target, "--json", "--data-dir", os.fspath(data))
        done = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False, env=environ)
        assert "Traceback" not in done.stderr, done.stderr
        found = json.loads(done.stdout)
        return {"code": done.returncode, "checks": {check["name"]: check for check in found["checks"]}, "all": found}


def started(machine: Machine, words: list[str], log: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    with log.open("wb") as output:
        processes.append(subprocess.Popen(machine.words(*words), stdout=output, stderr=output))


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    folder = tmp_path_factory.mktemp("street")
    processes: list[subprocess.Popen[bytes]] = []
    with cable(3, "10.97.1") as (ann, ben, cat):
        try:
            node = [sys.executable, "-m", "ctorrent", "node", "--yes", "--isolation", "jail", "--no-dht", "--name", "ann", "--work-for", "all"]
            started(ann, [*node, "--data-dir", os.fspath(folder / "ann"), "--owner-dir", os.fspath(folder / "ann-owner")], folder / "ann.log", processes)
            started(ann, [sys.executable, "-m", "http.server", str(WEB), "--bind", ann.ip], folder / "web.log", processes)
            for kind, port in (("old", OLD), ("clock", SLOW), ("strange", STRANGE)):
                started(ann, [sys.executable, "-m", "tests.real.odd_peer", ann.ip, str(port), kind], folder / f"{kind}.log", processes)
            net = wait_for(lambda: running(folder / "ann", processes[0]), time.monotonic() + START_S, "ann is up", (folder / "ann.log").read_text)
            for kind in ("old", "clock", "strange"):
                log = folder / f"{kind}.log"
                wait_for(lambda log=log: log.read_text() or None, time.monotonic() + START_S, f"{log.name} listens")
            yield Street(ann, ben, cat, net, net.status()["node"], folder)
            net.close()
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)


def running(data: Path, process: subprocess.Popen[bytes]) -> Net | None:
    assert process.poll() is None, "the node ended: its log is beside its data folder"
    try:
        return attach(data)
    except Unavailable:
        return None


def test_each_thing_in_the_way_has_its_own_words(street: Street) -> None:
    firewall(street.ann, [
        f"-A INPUT -p tcp --dport {DROPPED} -j DROP",
        f"-A INPUT -p tcp --dport {TURNED_AWAY} -j REJECT --reject-with icmp-admin-prohibited",
        f"-A INPUT -p tcp --dport {RESET} -j REJECT --reject-with tcp-reset",
    ])  # fmt: skip
    ip, other = street.ann.ip, "12D3KooWGDGLrSCDo7vRQo1VgCBZ3SZ5ydgBmMdqD9tXpDYVgoKK"
    cases = {
        f"{ip}:{DROPPED}": ("silent", f"{ip} is there, and drops calls at port {DROPPED}: its firewall", "ufw allow"),
        f"{ip}:{TURNED_AWAY}": ("unreachable", f"{ip} is there, and its firewall turns calls", "ufw allow"),
        f"{ip}:{RESET}": ("refused", f"{ip} is there, and refuses calls at port {RESET}", "ctorrent node"),
        f"{ip}:{NOBODY}": ("refused", "no node runs there, it has another port", "ctorrent node"),
        f"{ip}:{WEB}": ("another program", "it is not a ctorrent node", "ss -ltnp"),
        f"/ip4/{ip}/tcp/{NODE}/p2p/{other}": ("identity", f"it is {street.node}, not {other}", "ctorrent invite"),
        f"{ip}:{OLD}": ("version", "The other's version is too old: it runs ctorrent 0.0.1", "upgrade"),
        f"{ip}:{SLOW}": ("clocks", "clock is 3 hours ahead of the other's", ""),
        f"{ip}:{STRANGE}": ("another program", "it calls itself filecoin/1.2", "ctorrent node"),
        "10.97.1.77": ("unreachable", "No machine has the address 10.97.1.77 on the local network now", "ctorrent invite"),
        "10.44.0.1": ("unreachable", "no way to 10.44.0.1", "ip route get"),
        "nowhere.invalid:4270": ("name", "The name nowhere.invalid is not known here", "getent"),
    }
    with ThreadPoolExecutor(4) as four:
        asked = {target: four.submit(street.doctor, target, f"ben{number}", 4400 + number) for number, target in enumerate(cases)}
        answers = {target: answer.result() for target, answer in asked.items()}
    for number, (target, words) in enumerate(cases.items()):
        found = answers[target]
        if not tells(found, *words):  # beside three others it may be too slow for its own limits: alone
            found = street.doctor(target, f"ben{number}", 4400 + number)
        assert tells(found, *words), (target, found["checks"])


def tells(found: dict[str, Any], name: str, sentence: str, command: str) -> bool:
    check = found["checks"].get(name)
    return found["code"] == 1 and check is not None and check["verdict"] == "bad" and sentence in check["sentence"] and command in check["command"]


def in_the_way(found: dict[str, Any]) -> list[str]:
    """What is bad, but for Docker: whether it runs here is not this test's."""
    bad = [name for name, check in found["checks"].items() if check["verdict"] == "bad"]
    assert found["code"] == bool(bad), found
    return [name for name in bad if name != "Docker"]


def test_a_good_invite_and_the_ways_it_is_not(street: Street) -> None:
    firewall(street.ann, [])
    invite = street.net.invite(1, 3600)
    found = until(lambda: (told := street.doctor(invite)) and not in_the_way(told) and "way back" in told["checks"] and told, "nothing is in the way", 60)
    assert "can be used" in found["checks"]["invite"]["sentence"] and found["checks"]["clocks"]["verdict"] == "ok"
    assert found["checks"]["way back"]["sentence"] == f"It can call this machine too, at {street.ben.ip}:{NODE}."
    assert in_the_way(street.doctor(invite)) == [], "looking uses nothing up"
    redeem(street, invite)
    cut = subprocess.run([sys.executable, "-m", "ctorrent", "doctor", invite[:-9]], capture_output=True, text=True, timeout=60, check=False)
    assert cut.returncode == 2 and "cut or mistyped" in cut.stderr, cut
    used = street.doctor(invite)
    assert used["code"] == 1 and used["checks"]["invite"]["sentence"] == "The invite is used up.", used["checks"]
    stranger = street.doctor(street.ann.ip)
    assert stranger["code"] == 1 and "Other swarm: 'ann' belongs to" in stranger["checks"]["swarm"]["sentence"], stranger["checks"]
    assert "ctorrent node --join INVITE" in stranger["checks"]["swarm"]["command"]


def redeem(street: Street, invite: str) -> None:
    """cat comes in with it, and goes again."""
    node = [sys.executable, "-m", "ctorrent", "node", "--yes", "--no-work", "--no-dht", "--no-mdns", "--join", invite]
    log, processes = street.folder / "cat.log", list[subprocess.Popen[bytes]]()
    started(street.cat, [*node, "--data-dir", os.fspath(street.folder / "cat"), "--owner-dir", os.fspath(street.folder / "cat-owner")], log, processes)
    try:
        wait_for(lambda: street.net.friends() or None, time.monotonic() + START_S, "cat has joined", log.read_text)
    finally:
        processes[0].terminate()
        processes[0].wait(30)


def test_the_way_back_is_closed_by_the_own_firewall(street: Street) -> None:
    firewall(street.ann, [])
    firewall(street.ben, [f"-A INPUT -p tcp --dport {NODE} -j DROP"])
    try:  # a node calls the same address back once in ten seconds, and those before asked as well
        found = until(lambda: (told := street.doctor(street.net.invite(1, 3600))) and "way back" in told["checks"] and told, "it is called back", 60)
    finally:
        firewall(street.ben, [])
    back = found["checks"]["way back"]
    assert (found["code"], back["verdict"]) == (1, "bad")
    assert f"called back at {street.ben.ip}:{NODE}, and its call was dropped by this machine's firewall" in back["sentence"]
    assert back["command"] == f"iptables -I INPUT -p tcp --dport {NODE} -j ACCEPT"
    assert found["checks"]["firewall"]["sentence"].startswith(f"Port {NODE} is closed here: iptables"), found["checks"]


def test_discovery_that_is_blocked_is_told_from_a_machine_that_is_gone(street: Street) -> None:
    invite = street.net.invite(1, 3600)
    until(lambda: "discovery" not in street.doctor(invite)["checks"], "ann answers by multicast: nothing to say", 60)
    firewall(street.ann, ["-A INPUT -p udp --dport 5353 -j DROP"])
    muffled = street.doctor(invite)["checks"]["discovery"]
    assert muffled["verdict"] == "warn" and "does not answer by multicast" in muffled["sentence"], muffled
    firewall(street.ann, [])
    plug(street, "down")
    street.ben.run("ip", "neigh", "flush", "all")  # the kernel believes in a neighbour for up to 45 s after its last word
    try:
        apart = street.doctor(street.ann.ip)
    finally:
        plug(street, "up")
    check = apart["checks"].get("discovery")
    assert check is not None and (apart["code"], check["verdict"]) == (1, "bad"), apart["checks"]
    assert "client isolation" in check["sentence"] and "access point" in check["command"], check


def plug(street: Street, state: str) -> None:
    """ann's cable, at the switch."""
    switch = street.ann.space.rpartition("m")[0] + "s"
    subprocess.run(["ip", "-n", switch, "link", "set", street.ann.wire, state], check=True)
