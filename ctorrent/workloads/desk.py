"""Trainings that a node was asked for. Each is a process of its own beside the node; what is known of it is in files.

    <data folder>/trainings/ID/order.json    what was asked
                               state.json    how far it is: written by its process, whole or not at all
                               cancelled     its person wants it no more
                               said.txt      what the process printed, read when it ends by a fault
                               …             what the workload keeps there

A process outlives neither the node nor us: it holds the reading end of a pipe whose other end is here. A run that was
cut off that way is begun again by resume(), where its last epoch ended.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ctorrent.errors import CTorrentError, LocalError, Unavailable
from ctorrent.workloads.registry import MODEL, WORKLOADS

Plain = dict[str, Any]

FOLDER = "trainings"
RUNNING_MAX = 4  # at once: each is a process of 60 MB and a table; more would wait for the same machines in any case
WAITING_MAX = 32  # beyond those; who asks for more is told to come back
KEPT_MAX = 200  # runs that have ended, with their models; the oldest make way
STOP_S = 3.0  # a process that is asked to end has nothing left to do: what it was at is on disk
ENDED = ("done", "failed", "cancelled")
CANCELLED = "cancelled"  # a file
CANCEL = b"c"  # on a process's input: it cancels its job, and ends
_ID = re.compile(r"[0-9a-f]{12}")


class Desk:
    """The trainings of one node. Methods may be called from several threads; none waits for a training."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir, self.folder = data_dir, data_dir / FOLDER
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._orders: dict[str, Plain] = {}  # of all, and the states of those that have ended: neither changes any more
        self._over: dict[str, Plain] = {}
        self._lock = threading.RLock()
        self._closed = False

    def names(self) -> dict[str, str]:
        """The workloads, and what each does."""
        return {name: workload.about for name, workload in WORKLOADS.items()}

    def resume(self) -> int:
        """Go on with what an earlier life of the node began. -> how many."""
        with self._lock:
            runs = [name for name in self._all() if self._state(name)["status"] not in ENDED]
            self._next()
            return len(runs)

    def refuses(self, model: str) -> tuple[str, str]:
        """Why this swarm cannot run a workload, with a hint; ("", "") where it can. Asks the node."""
        from ctorrent.client import attach

        with attach(self.data_dir) as net:
            return WORKLOADS[model].refuses(net)

    def submit(self, model: str, dataset: str, epochs: int, replicas: int = 2, name: str = "") -> str:
        """Begin, or keep for later where enough runs. dataset: a path. name: what its person calls it. -> id."""
        with self._lock:
            open_now = [run for run in self._all() if self._state(run)["status"] not in ENDED]
            if len(open_now) >= RUNNING_MAX + WAITING_MAX:
                raise Unavailable(f"{len(open_now)} trainings are under way or wait here; the limit is {RUNNING_MAX + WAITING_MAX}.", "Ask again when one has ended.")
            run = secrets.token_hex(6)
            folder = self.folder / run
            try:
                folder.mkdir(mode=0o700, parents=True)
                order = {"model": model, "dataset": dataset, "epochs": epochs, "replicas": replicas, "name": name or Path(dataset).name}
                write(folder / "order.json", {**order, "asked_unix": time.time()})
            except OSError as error:
                raise LocalError(f"{folder} cannot be written: {error.strerror}.", "Make room on the disk.") from None
            self._next()
            self._forget_old()
            return run

    def look(self, run: str) -> Plain | None:
        """order.json and state.json of a run, "status" among them; None: there is no such run."""
        with self._lock:
            if not _ID.fullmatch(run) or not (self.folder / run / "order.json").is_file():
                return None
            self._next()
            return self._shown(run)

    def runs(self) -> list[Plain]:
        """Every run that is known here, as look() shows one, the newest first."""
        with self._lock:
            self._next()
            return [self._shown(run) for run in reversed(self._all())]

    def cancel(self, run: str) -> Plain | None:
        """End it, and the job of its epoch with it. -> as look(). Raises LocalError when it has ended."""
        with self._lock:
            found = self.look(run)
            if found is None:
                return None
            if found["status"] in ENDED:
                raise LocalError(f"Training {run} has ended: it is {found['status']}.", "POST /submit-job begins another.")
            try:
                (self.folder / run / CANCELLED).touch(mode=0o600)
            except OSError as error:
                raise LocalError(f"{self.folder / run} cannot be written: {error.strerror}.", "Make room on the disk.") from None
            process = self._processes.get(run)
            if process is not None and process.stdin is not None:
                with suppress(OSError):  # it has ended just now
                    process.stdin.write(CANCEL)
                    process.stdin.flush()
            return self._shown(run)

    def close(self) -> None:
        """End every process of ours. Their runs go on when a desk is opened here again."""
        with self._lock:
            self._closed = True
            processes, self._processes = list(self._processes.values()), {}
        for process in processes:
            _ask_to_end(process)
        for process in processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # -- inside: with the lock ----------------------------------------------------------------------------------------

    def _all(self) -> list[str]:
        """Ids, the oldest first."""
        with suppress(OSError):
            return sorted((path.name for path in self.folder.iterdir() if _ID.fullmatch(path.name)), key=lambda run: (self._order(run).get("asked_unix", 0), run))
        return []

    def _order(self, run: str) -> Plain:
        if run not in self._orders and (order := read(self.folder / run / "order.json")):
            self._orders[run] = order
        return self._orders.get(run, {})

    def _shown(self, run: str) -> Plain:
        return {"id": run, **self._order(run), **self._state(run)}

    def _state(self, run: str) -> Plain:
        """What is known, kept once it has ended."""
        if run in self._over:
            return self._over[run]
        state = self._looked(run)
        if state["status"] in ENDED and run not in self._processes:
            self._over[run] = state
        return state

    def _looked(self, run: str) -> Plain:
        """What its files say: of a run whose process is gone without a last word, that it waits, or its fault."""
        state = {"status": "waiting", "progress": 0.0, "words": "waits for its turn", **read(self.folder / run / "state.json")}
        if state["status"] not in ENDED and (self.folder / run / CANCELLED).exists():
            return {**state, "status": "cancelled", "words": "was cancelled"}
        process = self._processes.get(run)
        if process is None:
            return {**state, "status": "waiting", "words": "was interrupted, and goes on when it is its turn"} if state["status"] == "running" else state
        if state["status"] in ENDED or process.poll() is None or (process.poll() == 0 and state["status"] == "waiting"):
            return state
        failed = {**state, "status": "failed", "error": f"Its process ended by a fault: {self._said(run)}", "hint": "The same again may go through."}
        write(self.folder / run / "state.json", failed)
        return failed

    def _said(self, run: str) -> str:
        with suppress(OSError):
            lines = (self.folder / run / "said.txt").read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
            return lines[-1] if lines else "it said nothing."
        return "it said nothing."

    def _next(self) -> None:
        """Start what may run now, the longest waiting first; let go of what has ended."""
        for run, process in list(self._processes.items()):
            if process.poll() is not None and self._state(run):  # which a run that ended by a fault then tells
                _close_pipe(process)
                del self._processes[run]
        for run in self._all():
            if self._closed or len(self._processes) >= RUNNING_MAX:
                return
            if run not in self._processes and self._state(run)["status"] not in ENDED:
                self._processes[run] = self._start(run)

    def _start(self, run: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "ctorrent.workloads.process", os.fspath(self.data_dir), os.fspath(self.folder / run)]
        with (self.folder / run / "said.txt").open("wb") as said:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True)
        threading.Thread(target=self._await, args=(process,), name=f"training {run}", daemon=True).start()
        return process

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        """In a thread of its own: when one ends, the next begins, whether anybody looks or not."""
        process.wait()
        with self._lock:
            self._next()

    def _forget_old(self) -> None:
        ended = [run for run in self._all() if self._state(run)["status"] in ENDED]
        for run in ended[: max(0, len(ended) - KEPT_MAX)]:
            shutil.rmtree(self.folder / run, ignore_errors=True)
            self._orders.pop(run, None)
            self._over.pop(run, None)


def tidy(folder: Path) -> None:
    """Of a run that has ended only what was asked, what came of it and the model are kept."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in ("order.json", "state.json", "said.txt", CANCELLED, MODEL):
            path.unlink(missing_ok=True)


def failure(error: CTorrentError) -> Plain:
    return {"status": "failed", "error": error.message, "hint": error.hint}


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None and hasattr(signal, "SIGKILL"):
        process.send_signal(signal.SIGTERM)
    _close_pipe(process)


def _close_pipe(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def write(path: Path, found: Plain) -> None:
    spare = path.with_suffix(".new")
    spare.write_text(json.dumps(found))
    spare.replace(path)


def read(path: Path) -> Plain:
    """{} of what is not there, or was cut short."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        return found if isinstance(found, dict) else {}
    return {}
