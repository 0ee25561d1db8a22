"""What a function of the job's own said of an output, or of two. Pure.

The function may answer true, false, or text that says what is wrong. All else is a fault of the function, and so the
job's: a raise, another value, an answer that changes when it is asked again, an end by a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ctorrent import canon
from ctorrent.model.result import Failure, FailureKind, Outcome
from ctorrent.seal import digest

WORDS_MAX = 300  # characters of what is said, kept for people
_FAULTS = {
    FailureKind.EXIT: "ended",
    FailureKind.MEMORY: "needs more memory than the job's needs give a block",
    FailureKind.TIME: "takes longer than the job's limits give a block",
    FailureKind.OUTPUT: "answers what has no canonical form",
    FailureKind.KILLED: "crashes",
    FailureKind.FORBIDDEN: "does what the sandbox refuses",
}


class Said(Enum):
    YES = 1  # right; or the same
    NO = 2
    BROKEN = 3  # nothing that can be used: the job's own fault, never a worker's
    IMPOSSIBLE = 4  # this machine cannot run the function


@dataclass(frozen=True, slots=True)
class Ruling:
    """`words`: what is wrong with the output, or with the function."""

    said: Said
    words: str = ""


YES = Ruling(Said.YES)


def ruling(outcome: Outcome, entry: str) -> Ruling:
    """What one call of `entry` came to."""
    if outcome.failure is not None:
        return Ruling(Said.BROKEN, f"{entry} {_fault(outcome.failure)}"[:WORDS_MAX])
    try:
        answer = canon.decode(outcome.value or b"")
    except ValueError:
        answer = None
    if answer is True:
        return YES
    if answer is False:
        return Ruling(Said.NO, f"{entry} says no")
    if isinstance(answer, str) and answer:
        return Ruling(Said.NO, f"{entry}: {printable(answer)}")
    shown = "nothing" if answer is None else printable(repr(answer))[:40]
    return Ruling(Said.BROKEN, f"{entry} answers {shown}, not true, false, or what is wrong in words")


def twice(first: Ruling, again: Ruling, entry: str) -> Ruling:
    """A no stands where it is said twice."""
    if again.said is first.said:
        return first
    return again if again.said is Said.BROKEN else Ruling(Said.BROKEN, f"{entry} answers now this and now that")


def draw_of(secret: bytes, index: int) -> int:
    """The number, 64 bits, that a check of block `index` is given: nobody who makes outputs can foresee it.

    secret: the job's draw secret, whose digest is signed with the manifest and which closing the job reveals: then
    anybody can redo the check.
    """
    return int.from_bytes(digest("ctorrent/check/1", secret, index.to_bytes(8, "big"))[:8], "big")


def printable(text: str) -> str:
    """One line that moves no cursor: outputs are a stranger's, and a check may quote them."""
    return "".join(c if c.isprintable() else " " for c in text[:WORDS_MAX])


def _fault(failure: Failure) -> str:
    if failure.kind is FailureKind.EXCEPTION:
        last = failure.text.strip().rpartition("\n")[2]
        return f"raises {printable(last or failure.type)}"
    return _FAULTS.get(failure.kind, "fails")
