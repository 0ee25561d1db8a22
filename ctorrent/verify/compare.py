"""Are two outputs the same result? In words, where not.

Byte-identical outputs are the same, whatever the policy says of NaN. Otherwise both are decoded and compared by the
job's measure, up to the first difference:

    exact, auto, numeric    walk.py: entry by entry
    relative-norm           measures.py: each vector of floats as a whole
    topk                    measures.py: the largest entries of each row
    stat                    measures.py: each list of floats as a sample of one distribution
    script                  not here: the job's own function, in a sandbox (comparer.py)

Every measure is symmetric, and none accepts an answer that would pass beside most others (tests/verify/test_measures.py).
Cost: linear in the output (topk and stat: sorting it), bounded memory beside the decoded values.
"""

from __future__ import annotations

from ctorrent import canon
from ctorrent.errors import Malformed
from ctorrent.model.job import Equality, Verify
from ctorrent.model.result import FailureKind
from ctorrent.verify.measures import NormWalk, SampleWalk, TopWalk
from ctorrent.verify.walk import SAME, Different, Same, Walk, show

_WALKS: dict[Equality, type[Walk]] = {
    Equality.AUTO: Walk,
    Equality.EXACT: Walk,
    Equality.NUMERIC: Walk,
    Equality.RELATIVE_NORM: NormWalk,
    Equality.TOPK: TopWalk,
    Equality.STATISTICAL: SampleWalk,
}
SUPPORTED = tuple(_WALKS)  # compared at once, without a sandbox


def is_failure(output: bytes | None) -> bool:
    """Outcome.output() of a failed block begins with 0x01. None is a large value that was not fetched."""
    return output is not None and output[:1] == b"\x01"


def check_output(output: bytes, numpy_too: bool = False) -> None:
    """Raise Malformed unless `output` is what an honest sandbox could have produced: its sender is charged."""
    if is_failure(output):
        if len(output) < 2 or not _known_kind(output[1]):
            raise Malformed("a failure of no known kind")
        return
    if output[:1] != b"\x00":
        raise Malformed("an output begins with 0 or 1")
    try:
        canon.decode(output[1:], arrays="numpy" if numpy_too else "raw")
    except ValueError as error:
        raise Malformed(f"an output that is not canonical: {error}") from None


def same(left: bytes, right: bytes, verify: Verify) -> Same | Different:
    """Compare two outputs (Outcome.output()) under a policy.

    Raises Malformed when one of them does not decode; ValueError for other bytes under a policy that is not in
    SUPPORTED (a script is the Comparer's).
    """
    if left == right:
        return SAME
    if verify.equal not in _WALKS:
        raise ValueError(f"{verify.equal.name} is not compared here")
    if (failed := failures(left, right)) is not None:
        return failed
    if left[:1] != b"\x00" or right[:1] != b"\x00":
        raise Malformed("an output begins with 0 or 1")
    try:
        one, other = canon.decode(left[1:]), canon.decode(right[1:])
    except ValueError as error:
        raise Malformed(f"an output that is not canonical: {error}") from None
    return _WALKS[verify.equal](verify).begin(one, other) or SAME


def failures(left: bytes, right: bytes) -> Different | None:
    """The difference between two outputs of which one, at least, is a failure; None where both are values."""
    if is_failure(left) or is_failure(right):
        return Different(f"the block {_failed(left)} and {_failed(right)}", True)
    return None


def _known_kind(number: int) -> bool:
    return any(kind.value == number for kind in FailureKind)


def _failed(output: bytes) -> str:
    if not is_failure(output):
        return "gave a value"
    kind = next((kind.name.lower() for kind in FailureKind if output[1:2] == bytes([kind.value])), "unknown")
    return f"failed ({kind} {show(output[2:].decode(errors='replace'))})"


__all__ = ["SAME", "SUPPORTED", "Different", "Same", "check_output", "failures", "is_failure", "same"]
