"""Nodes of our own: child processes of `ctorrent node`, gone when we are.

    with ctorrent.swarm(4) as swarm:
        swarm.net.run("job.yaml")

Each child holds the reading end of a pipe whose other end is ours: however this process ends, the pipe closes and the
child leaves. Children run in sessions of their own, so that Ctrl-C in a terminal reaches us alone, and we decide.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from ctorrent.client import DATA_VARIABLE, Net, attach
from ctorrent.door import CONSENT
from ctorrent.errors import LocalError, Unavailable
from ctorrent.library.interrupt import explain
from ctorrent.library.lines import Lines

T = TypeVar("T")

START_S = 120.0  # a node answers after 1-2 s; four of them on two cores that others load twentyfold took 60 s
OTHER_S = 30.0  # one that began a moment before ours, in the same folder
MEET_S = 60.0  # a join takes well under a second once both are up
STOP_S = 10.0  # a node that is asked to leave tells its peers and closes its sandboxes; then it is killed
LOG_BYTES_MAX = 1 << 20  # of a node's output: begun anew beyond; a start writes a few lines
POLL_S = 0.05  # how often a stated condition is looked at
LOOPBACK = ("--listen", "127.0.0.1", "--port", "0")  # any free port
NO_HTTP = ("--http", "off")  # such a node is its program's: the page is of the one that `ctorrent node` starts


class NodeProcess:
    """One child process of `ctorrent node`. Its output goes to `log`."""

    def __init__(self, data_dir: pathlib.Path, flags: Sequence[str], environ: Mapping[str, str], log: pathlib.Path) -> None:
        self.data_dir, self.log = data_dir, log
        # -P: the folder that it is started in may be a stranger's job, with a json.py of its own
        command = [sys.executable, "-P", "-m", "ctorrent", "node", "--data-dir", os.fspath(data_dir), "--with-parent", *flags]
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=dict(environ), start_new_session=True
            )
        self.pid = self._child.pid
        self._ended = 0.0  # when it was first seen to be

    def alive(self) -> bool:
        return self._child.poll() is None

    def wait_ready(self, until: float, says: str = "") -> Net:
        """A Net to this node once it answers. says: what a long wait is for. Raises LocalError with its last words if it ended, Unavailable if late."""
        return wait_for(self._attached, until, f"The node in {self.data_dir} answered", self._said, says)

    def _attached(self) -> Net | None:
        """Looks for the node before it looks for its end: where two start at once, the loser's caller gets the winner's."""
        try:
            net = attach(self.data_dir)
        except Unavailable:
            if self.alive() or self._came_second():
                return None
            raise LocalError(
                f"The node ended before it was ready: {self._said()}", f"Try it alone: ctorrent node --data-dir {self.data_dir}"
            ) from None
        net.status()
        return net

    def _came_second(self) -> bool:
        """Did it find the folder taken, by a node that may not be up yet?"""
        self._ended = self._ended or time.monotonic()
        return time.monotonic() - self._ended < OTHER_S and "A node runs with the data folder" in self._said()

    def _said(self) -> str:
        """The last words of its log, without the hint's arrow."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return " ".join(line.strip() for line in lines[-3:]) or "it said nothing"

    def ask_to_stop(self) -> None:
        if not self.alive():
            return
        if hasattr(signal, "SIGKILL"):
            self._child.send_signal(signal.SIGTERM)
        elif self._child.stdin is not None:  # Windows has no SIGTERM that a process could hear; --with-parent hears this
            self._child.stdin.close()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after STOP_S. Twice is once."""
        self.ask_to_stop()
        try:
            self._child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        assert self._child.stdin is not None
        self._child.stdin.close()


def wait_for(look: Callable[[], T | None], until: float, what: str, detail: Callable[[], str] = str, says: str = "") -> T:
    """The first result of `look` that is not None. says: in a line on standard error, where it takes seconds.

    Raises Unavailable when `until` (time.monotonic()) passes first.
    """
    lines = Lines()
    while (found := look()) is None:
        if says:
            lines.say(lambda: says)
        if time.monotonic() > until:
            raise Unavailable(f"{what}: not within the time limit. {detail()}".strip(), "Is this machine very busy?")
        threading.Event().wait(POLL_S)
    return found


def start_node(data_dir: pathlib.Path, flags: Sequence[str] = (), says: str = "") -> Net:
    """A node of our own in this person's data folder: it ends with the Net, and everything it knows stays."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = data_dir / "embedded.log"
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.unlink()
    if not (data_dir / CONSENT).exists():  # nobody was asked whether others may use this machine
        flags = (*flags, "--work-for", "me")
    child = NodeProcess(data_dir, (*NO_HTTP, *flags), os.environ, log)
    try:
        attached = child.wait_ready(time.monotonic() + START_S, says)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            explain(error, "Interrupted while a node was starting; it was ended.")
        child.stop()
        raise
    attached.close()
    return Net(data_dir, on_close=child.stop)


@dataclass(frozen=True, slots=True)
class Member:
    """A node of a swarm of our own."""

    process: NodeProcess
    net: Net


class Swarm:
    """Several nodes on this machine's loopback, each of another owner, joined to the first by its invite.

    count: nodes. flags: for every node, such as ("--isolation", "jail"). extra: more flags by node number.
    environments: a folder of environments they share. first: called with the first node before the others start; what
    it raises ends it all. Use as a context manager.
    """

    def __init__(
        self,
        count: int,
        flags: Sequence[str] = (),
        extra: Mapping[int, Sequence[str]] | None = None,
        environ: Mapping[str, str] | None = None,
        environments: str | os.PathLike[str] | None = None,
        first: Callable[[Net], None] | None = None,
    ) -> None:
        if count < 1:
            raise LocalError("A swarm has at least one node.", "Give a number from 1 up.")
        self.count, self.flags, self.extra = count, tuple(flags), dict(extra or {})
        self.environ = {**os.environ, **(environ or {})}
        self.environ.pop(DATA_VARIABLE, None)
        if environments is not None:
            self.environ["CTORRENT_ENVIRONMENTS"] = os.fspath(environments)
        self._first = first
        self.folder = pathlib.Path()
        self.members: list[Member] = []
        self._processes: list[NodeProcess] = []

    @property
    def net(self) -> Net:
        """The first node: the one that invited the others."""
        return self.members[0].net

    def __enter__(self) -> Swarm:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ctswarm-"))
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _start(self) -> None:
        until = time.monotonic() + START_S
        self.members.append(self._ready(self._spawn(0, ()), until, "the node is starting …" if self.count == 1 else f"the first of {self.count} nodes on this machine is starting …"))
        if self._first is not None:
            self._first(self.net)
            until = time.monotonic() + START_S
        if self.count == 1:
            return
        invite = self.net.invite(uses=self.count - 1, valid_s=3600)
        others = [self._spawn(number, ("--join", invite)) for number in range(1, self.count)]
        self.members += [self._ready(process, until, "the other nodes are starting …") for process in others]
        wait_for(self._met, time.monotonic() + MEET_S, "The nodes know one another", self._strangers, "the nodes are getting to know one another …")

    def _spawn(self, number: int, join: tuple[str, ...]) -> NodeProcess:
        data = self.folder / f"node{number}"
        data.mkdir(mode=0o700)
        own = ("--owner-dir", os.fspath(self.folder / f"owner{number}"), "--name", f"node{number}")
        where = (*LOOPBACK, "--no-mdns", *NO_HTTP)
        flags = (*own, *where, *join, *self.flags, *self.extra.get(number, ()))
        process = NodeProcess(data, flags, self.environ, self.folder / f"node{number}.log")
        self._processes.append(process)
        return process

    def _ready(self, process: NodeProcess, until: float, says: str) -> Member:
        return Member(process, process.wait_ready(until, says))

    def _met(self) -> bool | None:
        """Is every other node connected to the first, and does each of them say so too?"""
        first = sum(peer["connected"] for peer in self.net.peers())
        rest = [sum(peer["connected"] for peer in member.net.peers()) for member in self.members[1:]]
        return True if first >= self.count - 1 and all(rest) else None

    def _strangers(self) -> str:
        seen = [sum(peer["connected"] for peer in member.net.peers()) for member in self.members]
        return f"Connected peers by node: {seen}."

    def close(self) -> None:
        """End every node and remove the folder. Twice is once."""
        for member in self.members:
            member.net.close()
        for process in self._processes:
            process.ask_to_stop()
        for process in self._processes:
            process.stop()
        self.members, self._processes = [], []
        if self.folder != pathlib.Path():
            shutil.rmtree(self.folder, ignore_errors=True)


def swarm(
    count: int,
    flags: Sequence[str] = (),
    extra: Mapping[int, Sequence[str]] | None = None,
    environ: Mapping[str, str] | None = None,
    environments: str | os.PathLike[str] | None = None,
    first: Callable[[Net], None] | None = None,
) -> Swarm:
    """`count` nodes of our own, for `with`. Arguments: see Swarm."""
    return Swarm(count, flags, extra, environ, environments, first)
