"""Nodes that a test may kill, stop and start again: real processes on loopback, each of an owner of its own, in the jail."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from ctorrent.client import DATA_VARIABLE, Job, Net
from ctorrent.embedded import NodeProcess, wait_for

T = TypeVar("T")

START_S = 60.0  # two cores may be shared with a whole test run
MEET_S = 30.0
MEETING_S = 300.0  # two rounds of meetings, which are two minutes apart, when the machine is too busy for the first
FLAGS = ("--listen", "127.0.0.1", "--no-mdns", "--isolation", "jail", "--http", "off")


class Tended:
    """One machine: its data folder and its owner's, over any number of lives of its node."""

    def __init__(self, folder: Path, name: str, *flags: str, testing: bool = False) -> None:
        self.name, self.flags, self.port = name, flags, 0
        self.data, self.owner_dir, self.log = folder / name, folder / f"{name}-owner", folder / f"{name}.log"
        self.environ = {**os.environ, **({"CTORRENT_TESTING": "1"} if testing else {})}
        self.environ.pop(DATA_VARIABLE, None)
        self.process: NodeProcess | None = None
        self._net: Net | None = None

    @property
    def net(self) -> Net:
        assert self._net is not None, f"{self.name} does not run"
        return self._net

    @property
    def id(self) -> str:
        return str(self.net.status()["node"])

    def launch(self, *extra: str) -> None:
        """Start the process; come back at once."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        flags = (*FLAGS, "--port", str(self.port), "--name", self.name, "--owner-dir", os.fspath(self.owner_dir))
        self.process = NodeProcess(self.data, (*flags, *self.flags, *extra), self.environ, self.log)

    def ready(self) -> Net:
        assert self.process is not None
        self._net = self.process.wait_ready(time.monotonic() + START_S)
        return self._net

    def start(self, *extra: str) -> Net:
        self.launch(*extra)
        return self.ready()

    def keep_port(self) -> None:
        """Start at the same port next time, as a node with a fixed port does."""
        self.port = int(self.net.status()["addresses"][0].split("/tcp/")[1].split("/")[0])

    def kill(self) -> None:
        """SIGKILL: nothing of the node runs another instruction; wait until its writer has let go of the folder."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self._ended()
        until(self._is_free, f"nothing of {self.name} holds its folder")

    def _is_free(self) -> bool:
        with (self.data / "journal.sqlite.lock").open("rb") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def stop(self, how: int = signal.SIGINT) -> int:
        """Ctrl-C, and wait for its end. -> exit code."""
        assert self.process is not None
        os.kill(self.process.pid, how)
        self._ended()
        return int(self.process._child.returncode)

    def _ended(self) -> None:
        assert self.process is not None
        if self._net is not None:
            self._net.close()
        self._net = None
        self.process._child.wait(60)
        self.process.stop()

    def said(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def herd() -> Iterator[Callable[..., Tended]]:
    """A maker of machines: make(name, *flags). They end, and their folder goes, with the block."""
    folder = Path(tempfile.mkdtemp(prefix="ctherd-"))
    made: list[Tended] = []

    def make(name: str, *flags: str, testing: bool = False) -> Tended:
        made.append(Tended(folder, name, *flags, testing=testing))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            if one.process is not None and one.process.alive():
                one.process.ask_to_stop()
        for one in made:
            if one._net is not None:
                one._net.close()
            if one.process is not None:
                one.process.stop()
        shutil.rmtree(folder, ignore_errors=True)


def joined(first: Tended, *others: Tended) -> None:
    """Start machines; the others join the first by its invite, as friends."""
    invite = first.start().invite(max(1, len(others)), 3600)
    for one in others:
        one.launch("--join", invite)
    for one in others:
        one.ready()
    for one in others:
        until(lambda one=one: is_connected(one, first), f"{one.name} meets {first.name}")


def is_connected(one: Tended, other: Tended) -> bool:
    return any(peer["connected"] and peer["node"] == other.id for peer in one.net.peers())


def until(look: Callable[[], T], what: str, limit_s: float = MEET_S) -> T:
    """The first true result of `look`; fails in words after limit_s."""
    return wait_for(lambda: look() or None, time.monotonic() + limit_s, what)


def ended(net: Net, job: str, limit_s: float = 60.0) -> dict[str, Any]:
    """Wait until a job has ended or paused itself. -> its status."""

    def look() -> dict[str, Any] | None:
        status = net.job(job)
        over = status["state"] in ("settled", "failed", "cancelled") or (status["state"] == "paused" and status["reason"])
        return status if over else None

    return wait_for(look, time.monotonic() + limit_s, f"job {job} ends", lambda: str(net.job(job)) + str(net.why(job)))


def write_job(folder: Path, program: str, job: str) -> Path:
    """A job file and its program, in a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "work.py").write_text(textwrap.dedent(program))
    path = folder / "job.yaml"
    path.write_text(textwrap.dedent(job))
    return path


def rows(net: Net, job: str) -> list[dict[str, Any]]:
    return list(Job(net, job).rows())
