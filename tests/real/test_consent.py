"""Before others may use a machine its owner is told what, and says yes; the yes is kept until more is shared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real.terminal import Terminal

pytestmark = pytest.mark.real

FLAGS = ["--listen", "127.0.0.1", "--port", "0", "--no-mdns", "--no-dht", "--isolation", "jail"]
QUESTION = "Share this? [yes/no]"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "a home").mkdir()
    return tmp_path / "a home"


def environ(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CTORRENT_", "XDG_"))}
    return {**kept, "HOME": str(home), "TERM": "xterm", "COLUMNS": "80"}


def data(home: Path) -> Path:
    return home / ".local/share/ctorrent"


def node(home: Path, *flags: str) -> Terminal:
    return Terminal(["node", *FLAGS, *flags], environ(home))


def is_up_and_stops(terminal: Terminal) -> None:
    terminal.wait_for("is up.")
    terminal.wait_for("Ctrl-C stops it")
    terminal.type("\x03")
    assert terminal.wait_end() == 0


def test_the_first_start_asks_and_remembers_a_yes_until_more_is_shared(home: Path) -> None:
    with node(home, "--memory", "1 GB") as terminal:
        said = terminal.wait_for(QUESTION)
        told = said.split(QUESTION)[0].strip().splitlines()
        assert len(told) == 5 and max(map(len, told)) <= 80, said
        for words in ("1 GB of", "20 GB disk", "no GPU", "friends", "cannot reach", "ctorrent stop", "--no-work"):
            assert words in said, said
        assert not data(home).exists()
        terminal.type("perhaps\n")
        terminal.wait_for("Please say yes or no.")
        terminal.type("yes\n")
        is_up_and_stops(terminal)
    with node(home, "--memory", "0.9 GB") as terminal:
        is_up_and_stops(terminal)
        assert QUESTION not in terminal.said
    with node(home, "--memory", "2 GB", "--no-friends-only") as terminal:
        said = terminal.wait_for(QUESTION)
        assert "memory: 1 GB → 2 GB" in said and "jobs of: friends → all" in said, said
        terminal.type("n\n")
        assert terminal.wait_end() == 1


@pytest.mark.parametrize(("typed", "code"), [("no\n", 1), ("\x04", 1), ("\x03", 130)])
def test_no_end_of_input_and_ctrl_c_start_nothing(home: Path, typed: str, code: int) -> None:
    with node(home) as terminal:
        terminal.wait_for(QUESTION)
        terminal.type(typed)
        assert terminal.wait_end() == code
        assert "Nothing was started" in terminal.said and "--no-work" in terminal.said
    assert not data(home).exists()


def test_yes_as_a_flag_is_kept_and_sharing_nothing_asks_nothing(home: Path) -> None:
    with node(home, "--no-work") as terminal:
        is_up_and_stops(terminal)
        assert "Others may use" not in terminal.said
    assert not (data(home) / "consent.json").exists()
    with node(home, "--yes") as terminal:
        is_up_and_stops(terminal)
        assert "Others may use" in terminal.said and QUESTION not in terminal.said
    kept = data(home) / "consent.json"
    assert json.loads(kept.read_text())["shared"]["work_for"] == "friends" and (kept.stat().st_mode & 0o777) == 0o600
    kept.write_text("{nonsense")  # asked again rather than believed
    with node(home) as terminal:
        terminal.wait_for(QUESTION)


def test_without_a_terminal_it_tells_and_goes_on(home: Path) -> None:
    command = [sys.executable, "-m", "ctorrent", "node", *FLAGS]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ(home)) as child:
        assert child.stdout is not None and child.stderr is not None
        assert "is up." in child.stdout.readline()
        child.send_signal(signal.SIGTERM)
        assert "Others may use" in child.stderr.read()
        assert child.wait(30) == 0
    assert not (data(home) / "consent.json").exists()  # nobody said yes: the next terminal asks
