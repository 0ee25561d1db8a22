"""Comparing by a script: asked once a pair, always in one order; what it stumbles over is told apart."""

from __future__ import annotations

import pytest

from ctorrent import canon
from ctorrent.errors import Malformed
from ctorrent.model.job import Equality, Verify
from ctorrent.model.result import Failure, FailureKind, Outcome, output_digest
from ctorrent.verify.compare import Different, Same
from ctorrent.verify.comparer import UNKNOWN, Compared, Comparer
from ctorrent.verify.rulings import YES, Ruling, Said

SCRIPT = Verify(equal=Equality.SCRIPT, script="same.py:same")
A, B, C = (Outcome(canon.encode(n)).output() for n in range(3))


def test_what_is_not_known_is_wanted_once_and_answered_from_then_on() -> None:
    comparer = Comparer(SCRIPT)
    assert comparer.same(A, A) == Same()
    assert comparer.same(A, B) == comparer.same(B, A) == UNKNOWN
    (wish,) = comparer.wanted()
    assert {wish.left, wish.right} == {A, B} and wish.pair == (output_digest(wish.left), output_digest(wish.right))
    assert wish.pair[0] < wish.pair[1], "whoever answered first"
    assert comparer.wanted() == [] and comparer.same(A, B) == UNKNOWN and comparer.wanted() == []
    assert comparer.heard(Compared(wish.pair, YES))
    assert comparer.same(A, B) == comparer.same(B, A) == Same()
    assert not comparer.heard(Compared(wish.pair, Ruling(Said.NO))), "nobody waits for a second answer"
    assert comparer.same(B, A) == Same()


def test_a_no_has_its_words_and_failures_need_no_script() -> None:
    comparer = Comparer(SCRIPT)
    comparer.same(A, B)
    comparer.heard(Compared(comparer.wanted()[0].pair, Ruling(Said.NO, "same.py:same: row 3 differs")))
    assert comparer.same(B, A) == Different("same.py:same: row 3 differs", False)
    failed = Outcome(None, Failure(FailureKind.EXCEPTION, "ValueError")).output()
    assert isinstance(comparer.same(A, failed), Different) and comparer.wanted() == []


def test_what_a_script_stumbles_over_is_different_and_spoils_nothing_else() -> None:
    comparer = Comparer(SCRIPT)
    for left, right in ((A, B), (A, C), (B, C)):
        comparer.same(left, right)
    pairs = [wish.pair for wish in comparer.wanted()]
    broken = Ruling(Said.BROKEN, "same.py:same raises KeyError: 'x'")
    for pair in pairs[:2]:
        comparer.heard(Compared(pair, broken))
    found = comparer.same(A, B)
    assert isinstance(found, Different) and not found.exact and "cannot compare them: same.py:same raises KeyError" in found.words
    assert comparer.faults == [broken.words] and not comparer.useless
    comparer.heard(Compared(pairs[2], YES))
    assert comparer.same(B, C) == Same() and not comparer.useless


def test_a_script_that_only_fails_is_useless() -> None:
    comparer = Comparer(SCRIPT)
    for left, right in ((A, B), (A, C), (B, C)):
        comparer.same(left, right)
    for wish in comparer.wanted():
        comparer.heard(Compared(wish.pair, Ruling(Said.BROKEN, "no")))
    assert comparer.useless


def test_all_other_measures_are_answered_at_once() -> None:
    comparer = Comparer(Verify())
    assert comparer.same(A, A) == Same() and isinstance(comparer.same(A, B), Different) and comparer.wanted() == []
    with pytest.raises(Malformed):
        comparer.same(A, b"\0\xc1")
