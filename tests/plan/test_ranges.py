"""Ranges and repeats: exact ends, even steps, every run with a seed of its own."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctorrent import canon
from ctorrent.plan.blocks import Draft, draft_blocks
from ctorrent.plan.jobfile import parse_jobfile
from ctorrent.plan.ranges import spread
from ctorrent.plan.source import Grid
from tests.plan.memory import MemoryFolder

ENDS = st.one_of(st.integers(-(2**53), 2**53), st.floats(-1e300, 1e300, allow_nan=False))  # whole ones that a float holds: others may become one


def drafts(blocks: str, files: dict[str, bytes] | None = None, more: str = "") -> list[Draft]:
    return list(draft_blocks(parse_jobfile(f"python: a.py:f\nblocks: {blocks}\n{more}"), MemoryFolder(files or {})))


def params(found: list[Draft]) -> list[dict[str, object]]:
    return [canon.decode(draft.params) for draft in found]


def test_values_are_the_ones_a_person_would_write() -> None:
    assert spread(0, 1, 11) == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert spread(0.1, 0.5, 5) == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert spread(1e-4, 1e-1, 4, log=True) == (0.0001, 0.001, 0.01, 0.1)
    assert spread(10, 0, 3) == (10, 5, 0)


def test_whole_numbers_stay_whole_when_all_of_them_are() -> None:
    assert [type(value) for value in spread(1, 10, 4)] == [int] * 4
    assert [type(value) for value in spread(1, 10, 3)] == [float] * 3
    assert [type(value) for value in spread(1.0, 10, 4)] == [float] * 4
    assert spread(1, 1000, 4, log=True) == (1, 10, 100, 1000)
    assert [type(value) for value in spread(1, 1000, 4, log=True)] == [int] * 4
    assert spread(2**62, 2**62 + 4, 3) == (2**62, 2**62 + 2, 2**62 + 4)


@settings(max_examples=300, deadline=None)
@given(ENDS, ENDS, st.integers(2, 60))
def test_ends_are_exact_and_steps_are_even(first: float, last: float, steps: int) -> None:
    if first == last:
        return
    values = spread(first, last, steps)
    assert len(values) == steps and (values[0], values[-1]) == (first, last)
    assert all(a <= b for a, b in pairwise(values)) if first < last else all(a >= b for a, b in pairwise(values))
    low, high = (Fraction(end) if isinstance(end, int) else Fraction(repr(end)) for end in (first, last))
    for step, value in enumerate(values):
        exact = low + (high - low) * step / (steps - 1)
        assert value == exact if isinstance(value, int) else value in (float(exact), first, last)


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300), st.integers(2, 40))
def test_equal_ratios(first: float, last: float, steps: int) -> None:
    if first == last:
        return
    values = spread(first, last, steps, log=True)
    assert len(values) == steps and (values[0], values[-1]) == (first, last)
    ratio = (last / first) ** (1 / (steps - 1)) if 1e-300 < last / first < 1e300 else None
    if ratio is not None:
        assert values[1] == pytest.approx(first * ratio, rel=1e-9)


@pytest.mark.parametrize("wrong", [(0, 1, 1, False), (1, 1, 3, False), (0, 1, 3, True), (-1, 1, 3, True), (0, float("inf"), 3, False)])
def test_what_is_no_range(wrong: tuple[float, float, int, bool]) -> None:
    with pytest.raises(ValueError):
        spread(*wrong)


def test_a_grid_of_ranges_and_lists() -> None:
    source = parse_jobfile("python: a.py:f\nblocks: {grid: {a: {from: 0, to: 4, steps: 3}, b: [x], c: 7, d: {from: 1, to: 100, steps: 3, log: true}}}\n").source
    assert source == Grid({"a": (0, 2, 4), "b": ("x",), "c": (7,), "d": (1, 10, 100)})


def test_the_sweep_of_twenty_thousand() -> None:
    found = drafts("{grid: {beta: {from: 0.1, to: 0.5, steps: 200}, n: [100, 1000]}, repeat: 50}")
    assert len(found) == 20_000
    points = params(found)
    assert points[0] == {"beta": 0.1, "n": 100, "repeat": 0} and points[-1] == {"beta": 0.5, "n": 1000, "repeat": 49}
    assert [point["repeat"] for point in points[:51]] == [*range(50), 0]
    assert len({canon.encode(point) for point in points}) == 20_000
    assert len({draft.block(7).seed for draft in found}) == 20_000


def test_every_source_is_repeated() -> None:
    assert params(drafts("{count: 2, repeat: 2}")) == [{"repeat": 0}, {"repeat": 1}] * 2
    assert params(drafts("{items: [a], repeat: 2}")) == [{"item": "a", "repeat": 0}, {"item": "a", "repeat": 1}]
    files = {"d/a": b"1", "d/b": b"2"}
    found = drafts("{files: 'd/*', repeat: 2}", files)
    assert [(point["file"], point["repeat"]) for point in params(found)] == [("d/a", 0), ("d/a", 1), ("d/b", 0), ("d/b", 1)]
    assert [draft.pieces[0].path for draft in found] == ["d/a", "d/a", "d/b", "d/b"]
    assert len(drafts("{file: t, split: lines, size: 1, repeat: 3}", {"t": b"x\ny\n"})) == 6
    assert params(drafts("{count: 1, repeat: 1}")) == [{"repeat": 0}]
