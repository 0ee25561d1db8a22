"""Records are packed and read in C: what comes back is what the canonical encoding gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctorrent.canon import encode
from ctorrent.node import records
from tests.test_canon import VALUES

PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=40) | st.binary(max_size=300)
LISTS = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=20) | st.lists(inner, max_size=4).map(tuple))


@given(VALUES)
def test_a_canonical_record_is_read_as_what_it_was(value: Any) -> None:
    raw = encode(value)
    assert encode(records.load(raw)) == raw


@given(LISTS)
def test_a_record_without_maps_has_its_canonical_bytes(value: Any) -> None:
    assert records.pack(value) == encode(value)


def test_maps_are_records_too() -> None:
    assert records.load(records.pack([{"b": 1, "a": [2.5, b"x"]}])) == [{"a": [2.5, b"x"], "b": 1}]


@pytest.mark.parametrize("raw", [b"", b"\x92\x01", b"\x01\x01", b"\xc1", b"\xa1\xff"])
def test_what_is_no_record_raises_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError):
        records.load(raw)
