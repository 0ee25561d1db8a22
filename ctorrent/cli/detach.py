"""`ctorrent node --detach`: the same node as a process of its own, which outlives the terminal.

    this command ── starts ──▶ ctorrent node … --ready-fd N      (a session of its own, output to logs/start.log)
                 ◀── its start status, one JSON document on N, or the pipe's end: it failed ──
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ctorrent.errors import LocalError

STATUS_BYTES_MAX = 1 << 20
START_LOG = "start.log"  # what it prints itself: a refusal to start, a crash; the rest is in node.log


def start(words: Sequence[str], logs: Path) -> tuple[int, dict[str, Any]]:
    """Start `ctorrent *words` in the background and wait until it is up. -> (pid, its status).

    Raises LocalError with its last words when it ends instead. Ctrl-C while it starts ends it too.
    """
    if not hasattr(os, "setsid"):
        raise LocalError("This system has no background processes of that kind.", "Leave `ctorrent node` open in a window of its own.")
    if not hasattr(os, "fork"):
        raise LocalError("This system has no background processes of this kind.", "Leave --detach out, and keep the window open.")
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    reading, writing = os.pipe()
    path = logs / START_LOG
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as output:
        command = [sys.executable, "-m", "ctorrent", *words, "--ready-fd", str(writing)]
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
    child.returncode = 0  # it is on its own now: nobody waits for it, and no warning is due
    return child.pid, dict(json.loads(told))


def tell_ready(ready_fd: int, status: dict[str, Any]) -> None:
    """The child's end: the node is up."""
    with os.fdopen(ready_fd, "wb") as pipe:
        pipe.write(json.dumps(status).encode())


def _last_words(path: Path) -> str:
    """Of its own output, without "Error: " and the arrow of the hint."""
    lines = [line.strip().removeprefix("Error: ").removeprefix("→ ") for line in path.read_text(errors="replace").splitlines()]
    return " ".join(line for line in lines if line)[-1000:].rstrip(".")
