"""A node that knows nobody, and an invite, as a person at a terminal sees them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.first_hour.terminal import PROMPT, Terminal
from tests.real.herd import Tended, is_connected, until

pytestmark = pytest.mark.real

NODE = ("node", "--yes", "--no-work", "--listen", "127.0.0.1", "--port", "0", "--no-mdns", "--no-dht")
SAID_S = 60.0  # the ten seconds, and a start on a busy machine


def opened(folder: Path) -> Terminal:
    environ = {"HOME": os.fspath(folder), "PATH": "/usr/bin:/bin", "TERM": "xterm", "PS1": PROMPT, "LC_ALL": "C.UTF-8", "PYTHONPATH": os.fspath(Path.cwd())}
    return Terminal("ann", ["bash", "--norc", "--noprofile", "-i"], environ, os.fspath(folder), time.monotonic())


def words(*parts: str) -> str:
    return " ".join((sys.executable, "-m", "ctorrent", *parts))


def test_it_says_once_what_to_type_and_that_line_brings_the_other_in(make: Callable[..., Tended], tmp_path: Path) -> None:
    terminal = opened(tmp_path)
    try:
        terminal.type(words(*NODE))
        line = terminal.expect(r"Nobody else found in 10 s\. Type this .*:\n  ctorrent node --join (ctorrent1:[a-z2-7]+)\n", SAID_S)
        ben = make("ben", "--no-work")
        ben.start("--join", line[1])
        assert "Not joined" not in ben.said()
        until(lambda: any(peer["connected"] and peer["friend"] for peer in ben.net.peers()), "they met, as friends")
        invite = subprocess.run(words("invite").split(), capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "HOME": os.fspath(tmp_path)})
        assert re.fullmatch(r"ctorrent1:[a-z2-7]+\n", invite.stdout), "the line alone, for a pipe"
        assert "█" not in invite.stderr, "no picture where there is no terminal"
        beside = opened(tmp_path)
        try:
            beside.type(words("invite"))
            beside.expect(r"▀.*\n(?s:.*)\nctorrent1:[a-z2-7]+\n", 60)
            beside.expect(rf"\n{re.escape(PROMPT)}\Z", 20)
            beside.type(words("invite", "--no-qr"))
            assert "▀" not in beside.expect(r"(?s).*ctorrent1:[a-z2-7]+\n", 60)[0]
        finally:
            beside.close()
    finally:
        terminal.close()
    assert sum("Nobody else" in text for _, text in terminal.screen.lines()) == 1


def test_it_is_silent_where_somebody_is_known_and_where_a_program_reads(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben = make("ann", "--no-work"), make("ben", "--no-work")
    ben.start("--join", ann.start().invite(1, 3600))
    until(lambda: is_connected(ben, ann), "they met")
    reader = subprocess.Popen([*words(*NODE, "--json").split(), "--data-dir", os.fspath(tmp_path / "json")], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "HOME": os.fspath(tmp_path)})  # fmt: skip
    lonely = make("cat", "--no-work")
    lonely.start()
    until(lambda: "Nobody else found in 10 s" in lonely.said(), "one that knows nobody says so in its log too", SAID_S)
    assert "ctorrent1:" not in lonely.said(), "a token is shown to a person, and written to no log"
    assert "Nobody else" not in ben.said()
    reader.terminate()
    out, _ = reader.communicate(timeout=30)
    assert len(out.splitlines()) == 1 and json.loads(out)["node"], out


def test_whose_machine_this_is_the_running_node_is_asked(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann = make("ann", "--no-work")
    owner = ann.start().status()["owner"]
    environ = {**os.environ, "HOME": os.fspath(tmp_path)}
    shown = subprocess.run([*words("owner", "show").split(), "--data-dir", os.fspath(ann.data)], capture_output=True, text=True, timeout=60, check=True, env=environ)
    assert shown.stdout.strip() == owner, "not the owner of the usual folder"
