"""The live display, in a real terminal: a pseudo-terminal that this test reads and types into."""

from __future__ import annotations

import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from ctorrent.cli import follow
from tests.client.small_door import SmallDoor, job_status, serving, worker

pytestmark = pytest.mark.real
LIMIT_S = 60.0  # only what hangs takes so long: a command starts in a second, or ten on a machine that others use


class Terminal:
    """A command in a pseudo-terminal of 110 columns."""

    def __init__(self, *words: str) -> None:
        environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "110", "LINES": "40"}
        self.seen = ""
        self.end, inner = pty.openpty()
        # the child takes the terminal as its own, so that Ctrl-C typed into it becomes SIGINT; no fork beside threads
        take = "import fcntl, termios, runpy, sys; fcntl.ioctl(0, termios.TIOCSCTTY, 0); sys.argv[0] = 'ctorrent'"
        code = f"{take}; runpy.run_module('ctorrent', run_name='__main__')"
        self.child = subprocess.Popen(
            [sys.executable, "-c", code, *words], stdin=inner, stdout=inner, stderr=inner, env=environ, start_new_session=True
        )
        os.close(inner)

    def wait_for(self, pattern: str) -> str:
        """Read until `pattern` appears. -> all that was shown, without colours."""
        until = time.monotonic() + LIMIT_S
        while not re.search(pattern, self.text):
            assert time.monotonic() < until, f"{pattern!r} did not appear in:\n{self.text[-3000:]}"
            if not self._read(0.2):
                assert re.search(pattern, self.text), f"ended without {pattern!r}:\n{self.text[-3000:]}"
        return self.text

    def _read(self, wait_s: float) -> bool:
        if not select.select([self.end], [], [], wait_s)[0]:
            return True
        try:
            more = os.read(self.end, 65536)
        except OSError:  # the child closed the terminal
            return False
        self.seen += more.decode(errors="replace")
        return bool(more)

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.seen)

    def type(self, key: bytes) -> None:
        os.write(self.end, key)

    def code(self) -> int:
        """Wait for the end. -> exit code."""
        until = time.monotonic() + LIMIT_S
        while time.monotonic() < until and self._read(0.2):
            pass
        return self.child.wait(LIMIT_S)

    def close(self) -> None:
        os.close(self.end)
        self.child.kill()
        self.child.wait()


Open = Callable[..., Terminal]


@pytest.fixture
def open_terminal() -> Iterator[Open]:
    made: list[Terminal] = []

    def opened(*words: str) -> Terminal:
        made.append(Terminal(*words))
        return made[-1]

    yield opened
    for terminal in made:
        terminal.close()


@pytest.fixture
def door(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDoor]:
    (tmp_path / "job.yaml").write_text("python: search.py:score\n")
    monkeypatch.setenv("CTORRENT_DATA", str(tmp_path))
    door = SmallDoor()
    with serving(door, tmp_path / "control.sock"):
        yield door


def steps(count: int, each: int) -> list[dict[str, object]]:
    """`count` blocks, one after another, each status repeated so that it can be seen."""
    return [
        job_status("abcdefgh", "running", blocks=count, settled=n, running=2, waiting=count - n, elapsed_s=n / 5, workers=[
            worker("a", "ann", local=True, running=[n, n + 1], done=n), worker("e", "eve", done=n, disputed=n // 4),
        ])
        for n in range(count) for _ in range(each)
    ]  # fmt: skip


def test_a_bar_and_a_line_per_worker_then_the_answer(door: SmallDoor, open_terminal: Open, tmp_path: pathlib.Path) -> None:
    door.statuses = steps(20, 5)
    door.hold_at = 62
    terminal = open_terminal("submit", str(tmp_path / "job.yaml"))
    shown = terminal.wait_for(r"━.* 12 / 20  60 %.*blocks/s")
    door.go_on.set()
    assert "ann (here)" in shown
    assert re.search(r"\d+, \d+", shown), "which blocks a worker runs"
    shown = terminal.wait_for(r"All rows: ctorrent results abcdefgh")
    assert "Answer  C 10, accuracy 0.97" in shown
    assert "\x1b[?25h" in terminal.seen, "the cursor is back"
    assert terminal.code() == 0


def test_ctrl_c_leaves_and_the_job_goes_on(door: SmallDoor, open_terminal: Open) -> None:
    terminal = open_terminal("status", "run", "-f")
    terminal.wait_for(r"3 / 12")
    terminal.type(b"\x03")
    shown = terminal.wait_for(r"Ctrl-C again within 3 seconds cancels it")
    assert "ctorrent attach runaaaaa" in shown
    assert door.unwatched.wait(LIMIT_S)
    assert terminal.code() == 130
    assert not [asked for asked in door.asked if asked[0] == "cancel"]


def test_a_second_ctrl_c_cancels(door: SmallDoor, open_terminal: Open) -> None:
    terminal = open_terminal("status", "run", "-f")
    terminal.wait_for(r"3 / 12")
    terminal.type(b"\x03")
    terminal.wait_for(r"Ctrl-C again")
    terminal.type(b"\x03")
    terminal.wait_for(r"is cancelled")
    assert terminal.code() == 130
    assert ("cancel", "runaaaaa", "cancelled from the terminal") in door.asked


def test_without_a_terminal_sigint_leaves_too(door: SmallDoor) -> None:
    child = subprocess.Popen([sys.executable, "-m", "ctorrent", "status", "run", "-f"], stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    assert "runaaaaa running: 3 of 12 blocks" in child.stderr.readline()
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=LIMIT_S)
    assert child.returncode == 130
    assert "You left job runaaaaa." in told
    assert "Traceback" not in told


def test_sigterm_takes_nodes_and_folders_of_our_own_along(tmp_path: pathlib.Path) -> None:
    (tmp_path / "job.yaml").write_text("python: slow.py:f\nblocks: {count: 1000}\n")
    (tmp_path / "slow.py").write_text("import time\ndef f(index):\n    time.sleep(1)\n    return index\n")
    words = [sys.executable, "-m", "ctorrent", "submit", str(tmp_path / "job.yaml"), "--local", "1", "--replicas", "1"]
    child = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert child.stderr is not None
    while "running" not in (line := child.stderr.readline()):
        assert line, "it ended before the job ran"
    nodes = psutil.Process(child.pid).children()
    assert nodes
    child.terminate()
    child.communicate(timeout=60)
    assert child.returncode == 143
    assert not [node for node in nodes if node.is_running()]
    assert not list(tmp_path.glob("ctswarm-*"))


def test_a_line_tells_what_matters() -> None:
    status = job_status("abcdefgh", "running", settled=5, running=2, disputed=1, eta_s=61.0)
    assert follow.line(status) == "abcdefgh running: 6 of 12 blocks, 2 running, 1 disputed, 3 workers, about 1 min 1 s left"
    paused = job_status("abcdefgh", "paused", settled=0, reason="it disagrees with itself", workers=[])
    assert follow.line(paused) == "abcdefgh paused: 0 of 12 blocks (it disagrees with itself)"


def test_the_rate_is_of_the_last_seconds() -> None:
    pace = follow.Pace()
    pace._seen.extend([(100.0, 0), (110.0, 20)])
    assert pace.rate() == 2.0
    assert follow.left_s(job_status("x", "running", settled=2), 2.0) == 5.0
    assert follow.left_s(job_status("x", "running", settled=2), 0.0) is None


def test_many_workers_are_counted() -> None:
    from rich.console import Console

    console = Console(width=110, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    console.print(follow.workers([worker(f"n{n}", f"w{n}", done=n) for n in range(40)]))
    console.file.close()
    assert "and 28 more" in console.export_text()
