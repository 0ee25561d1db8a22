"""Machines on one cable: network namespaces of this kernel, each with a loopback and an address of its own."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

_NUMBERS = itertools.count(1)
_REQUIRED = "CTORRENT_REQUIRE_DOCKER"  # set where every test must run


@dataclass(frozen=True, slots=True)
class Machine:
    """One namespace. Files are shared with everyone."""

    space: str
    ip: str
    wire: str

    def words(self, *command: str) -> list[str]:
        """The command line that runs a command in here."""
        return ["ip", "netns", "exec", self.space, *command]

    def run(self, *command: str, check: bool = True) -> str:
        return subprocess.run(self.words(*command), capture_output=True, text=True, timeout=60, check=check).stdout


def _possible() -> str:
    if os.geteuid() != 0:
        return "network namespaces need root"
    lacking = [name for name in ("ip", "iptables", "nft") if not shutil.which(name)]
    if lacking:
        return f"network namespaces need {', '.join(lacking)}"
    return ""


@contextmanager
def cable(count: int = 2, net: str = "10.97.0") -> Iterator[list[Machine]]:
    """`count` machines on one switch; each reaches the others, and nothing else. Skips where that cannot be made."""
    if why := _possible():
        (pytest.fail if os.environ.get(_REQUIRED) else pytest.skip)(why)
    tag = f"ct{os.getpid() % 100_000}x{next(_NUMBERS)}"
    switch = f"{tag}s"
    made = [Machine(f"{tag}m{number}", f"{net}.{number}", f"{tag}v{number}") for number in range(1, count + 1)]
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "sw", "type", "bridge")
        _ip("-n", switch, "link", "set", "sw", "up")
        for one in made:
            _plug(one, switch)
        yield made
    finally:
        for space in (switch, *(one.space for one in made)):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


def _plug(one: Machine, switch: str) -> None:
    _ip("netns", "add", one.space)
    _ip("link", "add", one.wire, "netns", switch, "type", "veth", "peer", "name", "eth0", "netns", one.space)
    _ip("-n", switch, "link", "set", one.wire, "master", "sw", "up")
    _ip("-n", one.space, "addr", "add", f"{one.ip}/24", "dev", "eth0")
    for name in ("lo", "eth0"):
        _ip("-n", one.space, "link", "set", name, "up")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)


def firewall(machine: Machine, rules: Sequence[str]) -> None:
    """Each rule as iptables takes it; those of before are gone."""
    machine.run("iptables", "-F")
    for rule in rules:
        machine.run("iptables", *rule.split())
