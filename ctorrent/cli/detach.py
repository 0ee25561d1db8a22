"""`ctorrent node --detach`: the same node as a process of its own, which outlives the terminal.

    this command ── starts ──▶ ctorrent node … --ready-fd N      (a session of its own, output to logs/start.log)
                 ◀── its start status or its error, one JSON document on N, or the pipe's end: it died ──
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from ctorrent.errors import CTorrentError, LocalError

STATUS_BYTES_MAX = 1 << 20
START_LOG = "start.log"  # what it prints itself: a refusal to start, a crash; the rest is in node.log


_OURS_ALONE = ("detach", "yes", "as_json", "ready_fd", "with_parent")  # what the command in the terminal does by itself


def again(context: typer.Context) -> list[str]:
    """The words that give a command the options it was given, however they were written: -d, -dy, --name=x, --name x."""
    words: list[str] = []
    for option in context.command.params:
        name = option.name or ""
        source = context.get_parameter_source(name)
        if name in _OURS_ALONE or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[name]
        if isinstance(value, bool):
            words.append(_long(option.opts if value else option.secondary_opts))
        else:
            words += [f"{_long(option.opts)}={one}" for one in (value if isinstance(value, list | tuple) else [value])]
    return words


def _long(names: Sequence[str]) -> str:
    return next(name for name in names if name.startswith("--"))


def start(words: Sequence[str], logs: Path) -> tuple[int, dict[str, Any]]:
    """Start `ctorrent *words` in the background and wait until it is up. -> (pid, its status).

    Raises LocalError with its own error, or its last words, when it ends instead. Ctrl-C while it starts ends it too.
    """
    if not hasattr(os, "setsid"):
        raise LocalError("This system has no background processes of that kind.", "Leave `ctorrent node` open in a window of its own.")
    if not hasattr(os, "fork"):
        raise LocalError("This system has no background processes of this kind.", "Leave --detach out, and keep the window open.")
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    reading, writing = os.pipe()
    path = logs / START_LOG
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as output:
        command = [sys.executable, "-P", "-m", "ctorrent", *words, "--ready-fd", str(writing)]
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, pass_fds=(writing,)
        )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read(STATUS_BYTES_MAX)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if not told:
        code = child.wait()
        raise LocalError(f"The node did not start: {_last_words(path) or f'exit code {code}'}", f"Try it in the foreground: ctorrent node. See also {path}")
    status = dict(json.loads(told))
    if error := status.get("error"):
        child.wait()
        raise LocalError(str(error["message"]), str(error["hint"]))
    child.returncode = 0  # it is on its own now: nobody waits for it, and no warning is due
    return child.pid, status


class Herald:
    """The child's end of the pipe: says once that the node is up, or why not. With -1: there is nobody to tell."""

    def __init__(self, ready_fd: int) -> None:
        self._fd = ready_fd

    def tell(self, document: dict[str, Any]) -> None:
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        with os.fdopen(fd, "wb") as pipe:
            pipe.write(json.dumps(document).encode())

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Tell an error of ours, alone or in a group, before it goes on its way."""
        try:
            yield
        except (CTorrentError, BaseExceptionGroup) as error:
            if (ours := _first_of_ours(error)) is not None:
                self.tell({"error": {"message": ours.message, "hint": ours.hint}})
            raise


def _first_of_ours(error: BaseException) -> CTorrentError | None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, CTorrentError) else None


def _last_words(path: Path) -> str:
    """Of its own output, without "Error: " and the arrow of the hint."""
    lines = [line.strip().removeprefix("Error: ").removeprefix("→ ") for line in path.read_text(errors="replace").splitlines()]
    return " ".join(line for line in lines if line)[-1000:].rstrip(".")
