"""Keeps a few children ready, each forked, locked and waiting for one unit; reaps, kills and reports them.

It never reads a byte of a program or of a block: it forks, waits, and obeys one kind of control message (frames.END).
When the control connection ends the node is gone, and so is everything here. A child that breaks only hurts itself.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import sys
import threading
import time
from collections import OrderedDict
from typing import Any, Callable, Dict, NamedTuple, Optional, Set, Tuple

from . import frames, reaping, scan
from .bundle import Code, read
from .lockdown import Lock, Prepared, die_with_parent, lock
from .runner import refuse_processes
from .seeds import Seeder

_REMEMBERED = 256  # deaths nobody asked about yet: more than units at once; a node asks at once
_GRACE_S = 0.2  # between the end of a connection and the death of its process
_READ_BYTES_MAX = 4 << 20  # of code made ready; each child copies it, and large code has large data in it
_BROKEN_MAX = 5  # children in a row that die of our own fault before the node is told
_fork = os.fork  # before it is refused to programs


class Birth(NamedTuple):
    """What a child is born with."""

    spec: Dict[str, Any]
    serial: int
    code: Code
    seeder: Seeder
    ready: Prepared
    greeted: int  # write the serial here once locked: deaths from then on are the program's own


Child = Callable[[Birth], None]


def preload(spec: Dict[str, Any]) -> bytes:
    """Import, before any fork, what the program will import of the standard library, and of the environment where this
    node's owner chose what is in it: this process could do far more than a block. -> Code.read.
    """
    refuse_processes()
    names, _, ready = _scan(spec).partition(b"\0")
    for name in scan.preloadable(names, spec["site"] if spec["preload"] else []):
        try:
            importlib.import_module(name)
        except (Exception, SystemExit):
            continue  # the block will say so, in its own words
    return ready


def _scan(spec: Dict[str, Any]) -> bytes:
    """Have the code read in a locked process. -> names it imports, one a line, NUL, Code.read; what it got to."""
    ours, theirs = os.pipe()
    pid = _fork()
    if not pid:
        try:
            lock(Lock("python", read=[spec["folder"]], data_bytes=256 << 20, cpu_s=5, files=16, need_landlock=spec["need_landlock"]))
            with open(theirs, "wb", buffering=0) as pipe:
                files = scan.sources(spec["folder"])
                pipe.write("\n".join(scan.imports(files)).encode("ascii", "replace")[:32768] + b"\0")
                pipe.write(read(files))
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        found = pipe.read(_READ_BYTES_MAX)
    os.kill(pid, signal.SIGKILL)  # more than that would keep it writing
    os.waitpid(pid, 0)
    return found if len(found) < _READ_BYTES_MAX else found.partition(b"\0")[0]


class Supervisor:
    """The loop. One thread; waits in one place."""

    def __init__(self, spec: Dict[str, Any], code: Code, control: socket.socket, child: Child, ready: Prepared) -> None:
        self._spec = spec
        self._code = code
        self._control = control
        self._child = child
        self._ready = ready
        self._seeder = Seeder()
        self._serial = 0
        self._broken = 0
        self._greeted: Set[int] = set()
        self._hear, self._say = os.pipe()
        os.set_blocking(self._hear, False)
        self._living: Dict[int, Tuple[int, int]] = {}  # pid -> serial, memfd of its raw output
        self._ended: OrderedDict[int, Tuple[int, bytes]] = OrderedDict()  # serial -> status, tail
        self._asked: Dict[int, Tuple[float, bool]] = {}  # serial -> when to kill it, was it killed

    def run(self) -> None:
        """Until the node is gone."""
        sys.meta_path.insert(0, self._seeder)
        wake, ring = os.pipe()
        os.set_blocking(ring, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
        gc.collect()
        gc.freeze()
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(wake, select.POLLIN)
        while True:
            self._fill(wake, ring)
            ready = poll.poll(self._wait_ms())
            if any(fd == wake for fd, _ in ready):
                os.read(wake, 4096)
            if any(fd == self._control.fileno() for fd, _ in ready):
                self._obey()
            self._reap()
            if self._asked:
                self._kill_overdue()

    def _fill(self, *pipes: int) -> None:
        while len(self._living) < self._spec["ready"]:
            self._serial += 1
            raw = os.memfd_create("output")
            pid = _fork()
            if not pid:
                self._become_child(raw, pipes)
            self._living[pid] = (self._serial, raw)

    def _become_child(self, raw: int, pipes: Tuple[int, ...]) -> None:
        """In the new process. Never returns."""
        try:
            signal.set_wakeup_fd(-1)
            if self._spec["kind"] == "command":  # a Python block has no children; the call touches fifty pages
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if threading.active_count() > 1:  # a package started some in the supervisor; here they are not
                threading._after_fork()  # type: ignore[attr-defined]
            die_with_parent()
            os.setsid()
            os.dup2(raw, 1)
            os.dup2(raw, 2)
            for fd in (raw, self._control.fileno(), self._hear, *pipes, *(other for _, other in self._living.values())):
                os.close(fd)
            if self._spec["gpu"]:
                self._start_afresh(raw)
            self._child(Birth(self._spec, self._serial, self._code, self._seeder, self._ready, self._say))
        except MemoryError:
            os._exit(frames.EXIT_MEMORY)
        except BaseException as error:
            os.write(2, ("%s: %s" % (type(error).__name__, error)).encode("utf-8", "replace"))
        finally:
            os._exit(frames.EXIT_BROKEN)

    def _start_afresh(self, raw: int) -> None:
        """A new interpreter instead of a fork: CUDA, once used, does not survive one. Never returns."""
        os.set_inheritable(self._say, True)
        spec = os.memfd_create("spec")
        with open(os.dup(spec), "wb") as file:
            file.write(json.dumps(self._spec).encode())
        os.set_inheritable(spec, True)
        argv = [sys.executable, "-s", "-S", "-B", self._spec["boot"], "child", *map(str, (spec, self._serial, self._say))]
        os.execv(sys.executable, argv)

    def _wait_ms(self) -> Optional[int]:
        if not self._asked:
            return None
        waiting = [at for at, killed in self._asked.values() if not killed]
        return max(0, int((min(waiting) - time.monotonic()) * 1000) + 1) if waiting else None

    def _obey(self) -> None:
        """One END message, or the end of the node."""
        message = self._control.recv(frames.END.size, socket.MSG_WAITALL)
        if len(message) < frames.END.size:
            self._stop()
        serial, now = frames.END.unpack(message)
        if serial in self._ended:
            self._report(serial, False)
        elif any(serial == living for living, _ in self._living.values()):
            self._asked[serial] = (time.monotonic() + (0.0 if now else _GRACE_S), False)
        else:
            self._send(frames.ENDED.pack(serial, 0, 0, 0))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid in self._living:
                self._bury(pid, status)

    def _bury(self, pid: int, status: int) -> None:
        serial, raw = self._living.pop(pid)
        tail = _tail(raw)
        os.close(raw)
        self._listen()
        if status == frames.EXIT_NODE_GONE << 8 and serial not in self._greeted:
            self._stop()
        self._broken = 0 if serial in self._greeted else self._broken + 1
        self._greeted.discard(serial)
        if self._broken >= _BROKEN_MAX:
            self._send(frames.ENDED.pack(0, status, 0, len(tail)) + tail)
            self._stop()
        self._ended[serial] = (status, tail)
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        if self._spec["kind"] == "command":
            self._sweep(serial)
        if serial in self._asked:
            self._report(serial, self._asked.pop(serial)[1])

    def _sweep(self, serial: int) -> None:
        """A killed runner cannot end what its program left: those became our children. Nor remove its folder."""
        reaping.end_strays(os.getpid(), self._living)
        shutil.rmtree(os.path.join(self._spec["scratch"], str(serial)), ignore_errors=True)

    def _listen(self) -> None:
        """Which children were locked before they died?"""
        try:
            said = os.read(self._hear, 65536)
        except BlockingIOError:
            return
        self._greeted.update(serial for (serial,) in struct.iter_unpack("=I", said))

    def _report(self, serial: int, killed: bool) -> None:
        status, tail = self._ended.pop(serial)
        self._send(frames.ENDED.pack(serial, status, killed, len(tail)) + tail)

    def _send(self, message: bytes) -> None:
        try:
            self._control.sendall(message)
        except OSError:
            self._stop()

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for pid, (serial, _) in list(self._living.items()):
            at, killed = self._asked.get(serial, (now + 1, True))
            if not killed and at <= now:
                self._asked[serial] = (at, True)
                _kill(pid)

    def _stop(self) -> None:
        for pid in self._living:
            _kill(pid)
        os._exit(0)


def _tail(raw: int) -> bytes:
    """The last of what was written to a file."""
    size = os.lseek(raw, 0, os.SEEK_END)
    return os.pread(raw, frames.TAIL_BYTES_MAX, max(0, size - frames.TAIL_BYTES_MAX)) if size else b""


def _kill(pid: int) -> None:
    """The process and its group, which it leads once it has called setsid."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except OSError:
            continue
