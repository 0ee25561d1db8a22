"""A newcomer, two machines, a wheel: from nothing to a finished job, typing only what the program printed.

Every command is read off a screen: a pattern over what a program printed gives the words, and nothing else may be typed
but the name of the wheel. CTORRENT_RECORD=1 writes what was seen into docs/first_hour.md, and CTORRENT_WHEELS=FOLDER
installs every dependency from wheels in that folder; else those of the tests' own environment serve.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.first_hour.terminal import PROMPT, Terminal
from tests.real.wires import Machine, cable

pytestmark = [pytest.mark.real, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "first_hour.md"
COMMANDS_MAX, SECONDS_MAX = 6, 300.0
PIP_S = 240.0
_PIP = re.compile(r"Requirement already|Collecting |  Using cached|Looking in|Processing /|Installing collected| +(?:Attempting uninstall|Found existing|Not uninstalling|Can't uninstall)")


@dataclass
class Laptop:
    """One person's machine: a home folder, an empty environment, and the wheel in the home folder."""

    name: str
    machine: Machine
    home: Path

    def terminal(self, began: float) -> Terminal:
        return Terminal(self.name, self.machine.words("bash", "--norc", "--noprofile", "-i"), self._environ(), os.fspath(self.home), began)

    def _environ(self) -> dict[str, str]:
        wheels = os.environ.get("CTORRENT_WHEELS", "")
        return {
            "HOME": os.fspath(self.home), "PATH": f"{self.home}/.venv/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "TERM": "xterm-256color", "PS1": PROMPT, "LC_ALL": "C.UTF-8", "TMPDIR": os.fspath(self.home.parent),
            "DOCKER_HOST": "unix:///nowhere.sock",  # a laptop without Docker: friends' jobs run in the jail
            "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore",
        }  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a release has it."""
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", os.fspath(folder), os.fspath(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PIP_S, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("ctorrent-*.whl")
    return made


@pytest.fixture
def laptops(wheel: Path, tmp_path: Path) -> Iterator[list[Laptop]]:
    with cable(2, "10.97.3") as machines:
        made = [Laptop(name, machine, tmp_path / name) for name, machine in zip(("ann", "ben"), machines, strict=True)]
        for one in made:
            one.home.mkdir()
            shutil.copy(wheel, one.home)
            environment(one.home / ".venv")
        yield made


def environment(folder: Path) -> None:
    """An empty environment with pip. Where no folder of wheels is named it finds the dependencies that the tests have."""
    alone = bool(os.environ.get("CTORRENT_WHEELS"))
    words = [sys.executable, "-m", "venv", *([] if alone else ["--without-pip"]), os.fspath(folder)]
    subprocess.run(words, check=True, timeout=PIP_S)
    if not alone:
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        pip = folder / "bin" / "pip"
        pip.write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n')
        pip.chmod(0o755)


def test_a_newcomer_and_a_friend(laptops: list[Laptop], wheel: Path) -> None:
    ann_s, ben_s = laptops
    began = time.monotonic()
    ann, ben = ann_s.terminal(began), ben_s.terminal(began)
    try:
        ann.type(f"pip install {wheel.name}")
        ann.expect("Successfully installed .*ctorrent", PIP_S)
        ann.done(60)
        ann.type("ctorrent")
        begin = ann.expect(r"Start with (ctorrent init \w+)[^,]*, then (ctorrent submit [\w.]+)", 60)
        ann.done(60)
        ann.type(begin[1])
        inside = ann.expect(r"(cd \w+); ctorrent submit", 60)
        ann.done(60)
        ann.type(f"{inside[1]}; {begin[2]}")
        ann.expect(r"\[w/1\] ", 90)
        ann.answer("w")
        line = ann.expect(r"on the other machine:\s+(ctorrent node --join \S+)\n", 30)

        ben.type(f"pip install {wheel.name}")
        ben.expect("Successfully installed .*ctorrent", PIP_S)
        ben.done(60)
        ben.type(line[1])
        ben.expect(r"\[yes/no\] ", 60)
        ben.answer("yes")
        ben.expect("is up", 60)

        ann.done(SECONDS_MAX)
        seconds = time.monotonic() - began
        settled = ann.expect(r"(?s)settled.*", 1)[0]
        assert "failed" not in settled.splitlines()[0], settled
    finally:
        ben.close()
        ann.close()
    typed = [*ann.commands, *ben.commands]
    assert len(typed) <= COMMANDS_MAX, typed
    assert seconds <= SECONDS_MAX, seconds
    if os.environ.get("CTORRENT_RECORD") == "1":
        RECORD.write_text(page([(ann, ann_s), (ben, ben_s)], len(typed), seconds))


def page(seen: list[tuple[Terminal, Laptop]], commands: int, seconds: float) -> str:
    """Both screens, a time before each line that begins something new."""
    said = f"Dependencies were {'installed from wheels beside it' if os.environ.get('CTORRENT_WHEELS') else 'there already'}; what pip says of them is left out. "
    parts = [
        "# The first hour, recorded", "",
        f"Two laptops that never met ctorrent, without Docker, on one network; each has the wheel. {commands} commands and {seconds:.0f} seconds later a job is done, "
        "each block run by both and compared. Nothing was typed but what the program had printed. "
        + said + "`tests/first_hour` plays this in two network namespaces, in real terminals; `CTORRENT_RECORD=1` writes this page.", "",
    ]  # fmt: skip
    for terminal, laptop in seen:
        asked = f" ({len(terminal.answers)} answered: {', '.join(terminal.answers)})" if terminal.answers else ""
        parts += [f"## {terminal.name.capitalize()}'s laptop: {len(terminal.commands)} commands{asked}", "", "```text"]
        for when, line in terminal.screen.lines():
            if not _PIP.match(line) and line not in ("$ exit", "exit"):
                shown = line.replace(os.fspath(laptop.home), "~")
                shown = f"{shown[:100]} …" if shown.startswith("Successfully installed") and len(shown) > 100 else shown
                parts.append(f"{int(when) // 60}:{int(when) % 60:02d}  {shown}".rstrip())
        while parts[-1].split("  ", 1)[-1].strip() in ("", "$") or re.fullmatch(r"\d+:\d\d", parts[-1]):
            parts.pop()  # what is left of closing the terminal
        parts += ["```", ""]
    return "\n".join(parts)
