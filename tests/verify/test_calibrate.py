"""Calibration: what outputs of several classes of hardware allow to conclude, and what they must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctorrent import canon
from ctorrent.errors import Malformed
from ctorrent.model.ids import Digest
from ctorrent.model.job import Equality, Verify
from ctorrent.model.result import Failure, FailureKind, Outcome
from ctorrent.verify.calibrate import MARGIN, RTOL_MAX, Calibration, Fitted, Seen, Tolerances, class_of, decode, fit
from ctorrent.verify.calibrating import Calibrated, Calibrating, Classes, Ended, Ran, RunOn, Tick, Uncalibrated
from ctorrent.verify.compare import Different, Same

AUTO = Verify()
OPEN = [3, 4, 5, 6, 9]
CPU, GPU = class_of("x86_64-v2", Digest(b"\1" * 32)), class_of("x86_64-v3;H200/9.0/550", Digest(b"\1" * 32))


def value(thing: Any) -> bytes:
    return Outcome(canon.encode(thing)).output()


def product(block: int, order: int) -> Any:
    """A product in single precision, its sums in another order: what two kinds of hardware make of one block."""
    draw = np.random.default_rng(block)
    a, b = (draw.normal(size=(80, 80)).astype("f4") for _ in range(2))
    turn = np.random.default_rng(order).permutation(80)
    return (a[:, turn] @ b[turn]) if order else a @ b


def seen(block: int, where: str, order: int = 0, **more: Any) -> Seen:
    return Seen(block, where, value({"w": product(block, order), "n": 3, **more}))


def test_orders_of_summation_are_fitted_and_hold_for_blocks_that_were_not_seen() -> None:
    found = fit([seen(b, where, order) for b in range(4) for where, order in ((CPU, 0), (CPU, 0), (GPU, 1), (GPU, 1))])
    assert found.blocks == (0, 1, 2, 3) and sorted(found.pairs) == [(CPU, CPU), (CPU, GPU), (GPU, GPU)]
    assert found.pairs[CPU, CPU].exact and found.pairs[GPU, GPU].exact
    across = found.pairs[CPU, GPU]
    assert not across.exact and 0 < across.rtol < RTOL_MAX and across.floats == 4 * 6400
    tolerances = Tolerances(AUTO, decode(found.encode()))
    for block in range(4, 24):
        one, other = (value({"w": product(block, order), "n": 3}) for order in (0, 1))
        assert isinstance(tolerances.same(one, other), Different), "the job's own 1e-6 was never meant for this"
        assert tolerances.same(one, other, CPU, GPU) == tolerances.same(other, one, GPU, CPU) == Same()
        wrong = value({"w": product(block, 1) * np.float32(1.01), "n": 3})
        assert isinstance(tolerances.same(one, wrong, CPU, GPU), Different)
    assert isinstance(tolerances.same(value({"w": 1.0, "n": 3}), value({"w": 1.0, "n": 4}), CPU, GPU), Different)


def test_inside_a_class_bits_must_be_equal_where_they_were_and_it_is_no_accusation() -> None:
    tolerances = Tolerances(AUTO, fit([seen(b, CPU) for b in range(4) for _ in range(2)]))
    found = tolerances.same(value([1.0, 1.0]), value([1.0, 1.0 + 1e-9]), CPU, CPU)
    assert found == Different("result[1] is 1.0 and 1.000000001; hardware of one class gave equal bits at calibration", False)
    assert tolerances.same(value([1.0]), value([1.0 + 1e-9]), CPU, GPU) == Same(), "not seen: the job's own"
    far = tolerances.same(value([1.0]), value([2.0]), CPU, CPU)
    assert isinstance(far, Different) and far.exact


def test_inside_a_class_never_looser_than_the_job_says() -> None:
    loose = fit([Seen(b, CPU, value([1.0 + order * 1e-5, 3.0])) for b in range(3) for order in (0, 1)])
    assert loose.pairs[CPU, CPU].rtol == pytest.approx(MARGIN * 1e-5, rel=0.01)
    assert Tolerances(AUTO, loose).policy(CPU, CPU).rtol == AUTO.rtol
    wide = Verify(equal=Equality.NUMERIC, rtol=0.1, atol=0.1)
    tight = Tolerances(wide, loose).policy(CPU, CPU)
    assert tight.rtol == loose.pairs[CPU, CPU].rtol and tight.atol == 0.0
    assert Tolerances(wide, loose).policy(CPU, GPU) == wide


def test_numbers_near_zero_set_the_absolute_part() -> None:
    values = [np.array([1.0, 2.0, 1e-12]), np.array([1.0, 2.0, 9e-12])]
    found = fit([Seen(0, where, value(v)) for where, v in zip((CPU, GPU), values, strict=True)]).pairs[CPU, GPU]
    assert found.rtol == 0.0 and found.atol == pytest.approx(MARGIN * 8e-12)


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        ({"a": 1.0}, {"a": 1.2}, "numbers differ by 0.17 of their size, which is no rounding"),
        ({"a": 1.0, "n": 1}, {"a": 1.0, "n": 2}, 'block 0: result["n"] is 1 and 2'),
        ([1.0], [1.0, 2.0], "block 0: result has 1 and 2 items"),
        ([float("nan"), 1.0], [0.0, 1.0], "block 0: result[0] is nan and 0.0"),
        (np.array([float("inf"), 1]), np.array([1.0, 1]), "block 0: result has NaN or infinity in other places"),
        ({"big": np.full(9, 1e6), "small": [1e-3]}, {"big": np.full(9, 1e6) + np.arange(9) * 0.1, "small": [2e-3]}, 'result["small"] is so small beside the rest that no one tolerance fits both'),
        (np.array([1e6] * 9 + [1.0]), np.array([1e6] * 9 + [500.0]), "result is so small beside the rest that no one tolerance fits both"),
        (np.array([1e6] * 9 + [1.0]), np.array([1e6] * 9 + [50.0]), ""),
        (np.zeros(3), np.zeros(4), "block 0: result is <f8 [3] and <f8 [4]"),
    ],
)
def test_what_is_no_matter_of_tolerance_is_refused(left: Any, right: Any, words: str) -> None:
    found = fit([Seen(0, CPU, value(left)), Seen(0, GPU, value(right))])
    assert found.pairs[CPU, GPU].words == words
    tolerances = Tolerances(AUTO, decode(found.encode()))
    assert not words or tolerances.policy(CPU, GPU) == AUTO


def test_one_tolerance_for_parts_of_very_different_size_is_refused() -> None:
    """What a large part needs would let a small one be anything."""
    big = np.full(9, 1e6)
    big[4] = 1.0
    other = big.copy()
    other[4] = 1.5
    found = fit([Seen(0, CPU, value({"big": big, "small": 1e-3})), Seen(0, GPU, value({"big": other, "small": 1e-3}))])
    assert found.pairs[CPU, GPU].words == 'result["small"] is so small beside the rest that no one tolerance fits both'


def test_one_liar_among_two_owners_of_each_class_widens_nothing() -> None:
    honest = [seen(b, where, order) for b in range(4) for where, order in ((CPU, 0), (CPU, 0), (GPU, 1))]
    lies = [Seen(b, GPU, value({"w": product(b, 1) * np.float32(1.0002), "n": 3})) for b in range(4)]
    clean = fit([*honest, *(seen(b, GPU, 1) for b in range(4))])
    assert fit([*honest, *lies]).pairs[CPU, GPU].rtol < 2 * clean.pairs[CPU, GPU].rtol


def test_failures_and_outputs_that_are_none_say_nothing() -> None:
    failed = Outcome(None, Failure(FailureKind.EXCEPTION, "ValueError")).output()
    assert fit([Seen(0, CPU, failed), Seen(0, GPU, value(1.0))]) == Calibration((), {})
    assert fit([Seen(0, CPU, b"\0\xc1"), Seen(0, GPU, value(1.0))]).pairs[CPU, GPU].words == "an output that is not canonical"
    assert fit([Seen(0, CPU, value(1e308)), Seen(0, GPU, value(-1e308))]).pairs[CPU, GPU].words


def test_a_frozen_calibration_is_read_back_and_nothing_else_is() -> None:
    found = Calibration((0, 1), {(CPU, CPU): Fitted(True, 0.0, 0.0, 5), (CPU, GPU): Fitted(False, 1e-9, 1e-5, 7, "")})
    data = found.encode()
    assert decode(data) == found
    row = [CPU, GPU, False, 1e-9, 1e-5, 7, ""]
    for wrong in (
        b"", data[:-1], canon.encode([]), canon.encode({"version": 2, "blocks": [], "pairs": []}),
        *(canon.encode({"version": 1, "blocks": [], "pairs": rows}) for rows in ([[GPU, *row[1:]], row], [row[:-1]], [[GPU, CPU, *row[2:]]],
          [[*row[:4], 0.5, 7, ""]], [[*row[:3], float("inf"), *row[4:]]], [["x" * 301, *row[1:]]], [row] * 301, [["", *row[1:]]])),
        canon.encode({"version": 1, "blocks": [-1], "pairs": []}), b"\xc4\xff" + b"x" * 255,
    ):  # fmt: skip
        with pytest.raises(Malformed):
            decode(wrong)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_calibration_or_malformed(data: bytes) -> None:
    try:
        assert decode(data).encode() == data
    except Malformed:
        return


# Its course ----------------------------------------------------------------------------------------------------------


def test_the_first_blocks_run_on_two_owners_of_each_class() -> None:
    machine = Calibrating(AUTO, 100, now=0.0)
    assert machine.handle(Classes({CPU: 5}, OPEN), 1.0) == [] and machine.next_wakeup == 120.0
    wanted = machine.handle(Classes({CPU: 5, GPU: 1}, OPEN), 2.0)
    assert wanted == [RunOn(b, where, count) for b in OPEN[:4] for where, count in ((CPU, 2), (GPU, 1))]
    assert machine.handle(Classes({CPU: 5, GPU: 3}, OPEN), 3.0) == [], "asked once"
    runs = [(b, where, order) for b in OPEN[:4] for where, order in ((CPU, 0), (CPU, 0), (GPU, 1))]
    for at, (block, where, order) in enumerate(runs):
        assert machine.handle(Ran(99, where, b"x"), 4.0) == [], "not one of them"
        effects = machine.handle(Ran(block, where, seen(block, where, order).output), 4.0)
        assert bool(effects) == (at == len(runs) - 1)
    assert isinstance(effects[0], Calibrated) and effects[0].calibration.pairs[CPU, CPU].exact
    assert machine.over and machine.next_wakeup is None and machine.handle(Tick(), 1e9) == []


def test_it_ends_in_time_with_what_came_or_with_why_not() -> None:
    alone = Calibrating(AUTO, 100, now=0.0)
    assert alone.handle(Classes({CPU: 9}, OPEN), 0.0) == [] and alone.handle(Tick(), 119.0) == []
    assert alone.handle(Tick(), 120.0) == [Uncalibrated("all who came have hardware of one class")]
    half = Calibrating(AUTO, 1, now=0.0)
    half.handle(Classes({CPU: 1, GPU: 2}, [0]), 0.0)
    half.handle(Ran(0, CPU, seen(0, CPU).output), 1.0)
    half.handle(Ran(0, GPU, seen(0, GPU, 1).output), 1.0)
    ended = half.handle(Tick(), 1800.0)
    assert isinstance(ended[0], Calibrated) and list(ended[0].calibration.pairs) == [(CPU, GPU)]
    lost = Calibrating(AUTO, 1, now=0.0)
    lost.handle(Classes({CPU: 1, GPU: 1}, [0]), 0.0)
    lost.handle(Ran(0, CPU, None), 1.0)
    assert lost.handle(Ran(0, GPU, value(1.0)), 1.0) == [Uncalibrated("no two outputs of one block could be compared")]
    decided = Calibrating(AUTO, 2, now=0.0)
    decided.handle(Classes({CPU: 1, GPU: 1}, [0, 1]), 0.0)
    assert decided.handle(Ended(5), 1.0) == decided.handle(Ended(0), 1.0) == []
    assert isinstance(decided.handle(Ended(1), 1.0)[0], Uncalibrated), "runs that never come are not waited for"


@pytest.mark.parametrize("policy", [Verify(equal=Equality.EXACT), Verify(homogeneous=True), Verify(replicas=1)])
def test_where_there_is_nothing_to_calibrate_it_is_over_at_once(policy: Verify) -> None:
    machine = Calibrating(policy, 100, now=0.0)
    assert machine.over and machine.handle(Classes({CPU: 1, GPU: 1}), 0.0) == []
