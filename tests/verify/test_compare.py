"""Equality of outputs: what counts as the same, what as different, and in which words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctorrent import canon
from ctorrent.errors import Malformed
from ctorrent.model.job import Equality, Verify
from ctorrent.model.result import Failure, FailureKind, Outcome
from ctorrent.verify.compare import Different, Same, check_output, same

AUTO, EXACT, NUMERIC = (Verify(equal=e) for e in (Equality.AUTO, Equality.EXACT, Equality.NUMERIC))


def value(thing: Any) -> bytes:
    return Outcome(canon.encode(thing)).output()


def failure(kind: FailureKind, name: str = "") -> bytes:
    return Outcome(None, Failure(kind, name)).output()


def words(left: Any, right: Any, policy: Verify = AUTO) -> str:
    """The difference in words, or "" for the same; always the same seen from the other side."""
    found, back = same(value(left), value(right), policy), same(value(right), value(left), policy)
    assert isinstance(found, Same) == isinstance(back, Same)
    return found.words if isinstance(found, Different) else ""


def test_the_path_to_the_first_difference_is_named() -> None:
    left = {"loss": [1.0, 0.5, 0.25, 0.1], "name": "a"}
    right = {"loss": [1.0, 0.5, 0.25, 0.2], "name": "b"}
    assert words(left, right) == 'result["loss"][3] is 0.1 and 0.2'


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        (1, 2, "result is 1 and 2"),
        ("a", "b", "result is 'a' and 'b'"),
        (True, False, "result is True and False"),
        (None, 0, "result is the value None and the integer 0"),
        (1, 1.0, "result is the integer 1 and the float 1.0"),
        (1, True, "result is the integer 1 and the truth value True"),
        ([1, 2], [1], "result has 2 and 1 items"),
        ({"a": 1}, {"b": 1}, "result has the key 'a' on one side only"),
        ({"a": [{"b": 3}]}, {"a": [{"b": 4}]}, 'result["a"][0]["b"] is 3 and 4'),
        ("x" * 100 + "a", "x" * 100 + "b", "result differs from place 100 on: 'a' and 'b'"),
        (b"abc", b"abd", "result is b'abc' and b'abd'"),
    ],
)
def test_what_is_not_a_float_must_be_equal(left: Any, right: Any, said: str) -> None:
    assert words(left, right) == said
    found = same(value(left), value(right), AUTO)
    assert isinstance(found, Different) and found.exact


def test_floats_may_differ_by_a_little_and_say_that_it_is_a_matter_of_tolerance() -> None:
    assert words(1.0, 1.0 + 9e-7) == ""
    assert words(0.0, 9e-10) == ""
    assert words(1.0, 1.0 + 3e-6) != ""
    found = same(value(1.0), value(2.0), AUTO)
    assert isinstance(found, Different) and not found.exact


@pytest.mark.parametrize(("left", "right"), [(math.inf, math.inf), (0.0, -0.0), (math.nan, math.nan)])
def test_special_floats_that_are_the_same_inside_a_list(left: float, right: float) -> None:
    assert words([left, 1.0], [right, 1.0 + 1e-9]) == ""


@pytest.mark.parametrize(("left", "right"), [(math.inf, -math.inf), (math.inf, 1e308), (math.nan, 0.0), (math.inf, math.nan)])
def test_special_floats_that_differ(left: float, right: float) -> None:
    assert words(left, right) != ""
    assert words(np.array([left]), np.array([right])) != ""


def test_nan_is_no_number_where_the_job_says_so_unless_all_bytes_are_equal() -> None:
    strict = Verify(nan_equal=False)
    assert words([math.nan, 1.0], [math.nan, 1.0], strict) == ""
    assert words([math.nan, 1.0], [math.nan, 1.0 + 1e-9], strict) == "result[0] is nan and nan"
    arrays = np.array([math.nan, 1.0]), np.array([math.nan, 1.0 + 1e-9])
    assert words(*arrays) == ""
    assert words(*arrays, strict) == "result[0] is nan and nan"


def test_exact_takes_floats_by_their_bits() -> None:
    assert words(1.0, 1.0 + 1e-12, EXACT) == "result is 1.0 and 1.000000000001"
    assert words([0.0], [-0.0], EXACT) == "result[0] is 0.0 and -0.0"
    assert words(np.zeros(2), -np.zeros(2), EXACT) == "result[0] is 0.0 and -0.0"
    found = same(value(1.0), value(1.5), EXACT)
    assert isinstance(found, Different) and found.exact


def test_numeric_also_lets_integers_differ_by_the_tolerance() -> None:
    loose = Verify(equal=Equality.NUMERIC, rtol=0.0, atol=1.0)
    assert words(10, 11, loose) == ""
    assert words(10, 10.5, loose) == ""
    assert words(10, 12, loose) == "result is 10.0 and 12.0"
    assert words(True, False, loose) != ""
    assert words(np.array([10, 11]), np.array([10, 12]), loose) == ""


def test_arrays_elementwise_with_the_place_in_words() -> None:
    left = np.arange(6.0).reshape(2, 3)
    near, far = left * (1 + 1e-8), left.copy()
    far[1, 2] = 7
    assert words(left, near) == ""
    assert words({"w": left}, {"w": far}) == 'result["w"][1, 2] is 5.0 and 7.0'
    assert words(left, left.astype("f4")) == "result is <f8 [2, 3] and <f4 [2, 3]"
    assert words(left, left.reshape(3, 2)) == "result is <f8 [2, 3] and <f8 [3, 2]"
    assert words(np.array([1, 2]), np.array([1, 3])) == "result[1] is 2 and 3"
    assert words(np.array([1 + 1j]), np.array([1 + 1.0000000001j])) == ""
    assert words(np.array([1 + 1j]), np.array([1 + 2j])) == "result[0] is (1+1j) and (1+2j)"
    assert words(np.array(2.0), np.array(3.0)) == "result is 2.0 and 3.0"


def test_an_array_longer_than_one_chunk_is_compared_to_its_end() -> None:
    left = np.zeros((1 << 20) + 5, dtype="f4")
    right = left.copy()
    right[-1] = 1
    assert words(left, right) == f"result[{len(left) - 1}] is 0.0 and 1.0"


def test_failures_are_the_same_when_kind_and_type_are() -> None:
    one = failure(FailureKind.EXCEPTION, "ValueError")
    assert same(one, failure(FailureKind.EXCEPTION, "ValueError"), AUTO) == Same()
    found = same(one, failure(FailureKind.EXCEPTION, "KeyError"), AUTO)
    assert found == Different("the block failed (exception 'ValueError') and failed (exception 'KeyError')", True)
    found = same(value(1), failure(FailureKind.MEMORY), AUTO)
    assert found == Different("the block gave a value and failed (memory '')", True)


@pytest.mark.parametrize(
    "output",
    [b"", b"\x00", b"\x02\x01", b"\x00\xc1", b"\x00\x01\x01", b"\x01", b"\x01\xff", b"\x00" + b"\x91" * 1000, b"\x00\xd9\x05ab"],
)
def test_hostile_outputs_are_malformed_and_nothing_else(output: bytes) -> None:
    with pytest.raises(Malformed):
        check_output(output)
    if not output.startswith(b"\x01"):
        with pytest.raises(Malformed):
            same(output, value(1), AUTO)


@settings(max_examples=300, deadline=None)
@given(left=st.binary(max_size=60), right=st.binary(max_size=60), policy=st.sampled_from([AUTO, EXACT, NUMERIC]))
def test_any_bytes_are_compared_or_refused(left: bytes, right: bytes, policy: Verify) -> None:
    try:
        found = same(b"\x00" + left, b"\x00" + right, policy)
    except Malformed:
        return
    assert isinstance(found, (Same, Different))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(left=VALUES, right=VALUES)
def test_a_value_is_the_same_as_itself_and_comparing_has_no_sides(left: Any, right: Any) -> None:
    for policy in (AUTO, EXACT, NUMERIC):
        assert words(left, left, policy) == ""
        words(left, right, policy)
    if value(left) != value(right):
        assert words(left, right, EXACT) != ""


def test_a_comparison_this_version_lacks_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="SCRIPT is not compared here"):
        same(b"\x00\x01", b"\x00\x02", Verify(equal=Equality.SCRIPT))
    assert words(1, 1, Verify(equal=Equality.SCRIPT)) == "", "equal bytes need no comparison"
