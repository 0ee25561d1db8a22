"""Why a sandboxed process ended: from its wait status, its last words and what we did to it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from enum import Enum

from ctorrent.model.result import Failure, FailureKind
from ctorrent.sandbox.inside import frames

_MEMORY_WORDS = (b"bad_alloc", b"MemoryError", b"annot allocate memory", b"out of memory")


class Cut(Enum):
    """Why the node stopped listening to a process."""

    DONE = "done"
    SPENT = "answered for its block and is not to be trusted with another"
    EOF = "its connection ended"
    DEADLINE = "deadline"
    TOO_LARGE = "too large"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Ending:
    """What the supervisor says of a dead process. `status` as os.waitpid gives it; `killed`: it had to be."""

    status: int
    killed: bool
    tail: bytes


def failure(cut: Cut, ending: Ending, block_s: float, output_bytes: int) -> Failure:
    """The typed failure of the block that was running."""
    if cut is Cut.DEADLINE:
        return Failure(FailureKind.TIME, "deadline", f"ran longer than {block_s:g} s")
    if cut is Cut.TOO_LARGE:
        return Failure(FailureKind.OUTPUT, "too large", f"claimed a value of more than {output_bytes} bytes")
    if cut is Cut.MALFORMED:
        return Failure(FailureKind.OUTPUT, "malformed", "wrote to the sandbox's own channel")
    last_words = ending.tail.decode("utf-8", "replace")[-2000:]
    if ending.killed:
        return Failure(FailureKind.KILLED, "silent", "closed the sandbox's own channel")
    if os.WIFSIGNALED(ending.status):
        return _signalled(os.WTERMSIG(ending.status), ending.tail, last_words)
    code = os.waitstatus_to_exitcode(ending.status)
    if code == frames.EXIT_MEMORY:
        return Failure(FailureKind.MEMORY, "input", "the block's input does not fit into its memory")
    return Failure(FailureKind.KILLED, f"exit {code}", f"left the interpreter with exit code {code}\n{last_words}".strip())


def _signalled(number: int, tail: bytes, last_words: str) -> Failure:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGXCPU:
        return Failure(FailureKind.TIME, "cpu", "used more processor time than its limit")
    if number == signal.SIGKILL or (number == signal.SIGABRT and any(word in tail for word in _MEMORY_WORDS)):
        return Failure(FailureKind.MEMORY, name, f"used more memory than its limit\n{last_words}".strip())
    if number == signal.SIGSYS:
        return Failure(FailureKind.FORBIDDEN, name, "made a kernel call of another machine type")
    return Failure(FailureKind.KILLED, name, f"ended by {name}\n{last_words}".strip())
