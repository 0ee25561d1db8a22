"""Balances, limits and friends of friends: what honest people see, and what forgers get."""

from __future__ import annotations

import pytest

from ctorrent.ledger.credit import CreditRules, Limits, Receipt, Receipts, accounts, backing, room
from ctorrent.model.entry import Work
from ctorrent.model.ids import Digest, NodeId, OwnerId
from ctorrent.seal import digest
from tests.ledger.logs import author

ME, ANN, BEN, CAT = (author(n) for n in range(4))
OWNERS = {ME: "me", ANN: "ann", BEN: "ben", CAT: "cat"}


def person(node: NodeId, claimed: OwnerId) -> str:
    """Whose a node is, as certificates say; what a receipt claims is not believed."""
    return OWNERS.get(node, node)


def receipt(requester: NodeId, worker: NodeId, owes: float, number: int = 1, job: str = "job", place: tuple[int, int] = (0, 1)) -> Receipt:
    tag = Digest(digest("test/tag", job.encode()))
    work = Work(tag, requester, worker, OwnerId(""), OwnerId(""), number, 1, owes, 0.0, owes)
    return Receipt(work, *place)


def holding(*made: Receipt, own: bool = True) -> Receipts:
    book = Receipts()
    for one in made:
        assert book.learn(one.work.requester, one, own) == ""
    return book


def test_what_each_did_for_the_other_is_set_against_each_other() -> None:
    book = holding(receipt(ME, ANN, 5.0), receipt(ME, ANN, 2.0, number=2), receipt(ANN, ME, 3.0), receipt(BEN, CAT, 9.0))
    found = accounts(book.all(), "me", person)
    ann = found.with_me["ann"]
    assert (ann.for_me.credits, ann.for_them.credits, ann.balance, ann.for_me.receipts) == (7.0, 3.0, -4.0, 2)
    assert list(found.with_me) == ["ann"] and found.owed == {("ben", "cat"): 9.0}


def test_both_sides_come_to_the_same_figure() -> None:
    book = holding(receipt(ME, ANN, 5.0), receipt(ANN, ME, 3.0))
    mine, theirs = accounts(book.all(), "me", person), accounts(book.all(), "ann", person)
    assert mine.with_me["ann"].balance == -theirs.with_me["me"].balance == -2.0


def test_ones_own_machines_owe_each_other_nothing() -> None:
    other = author(9)
    book = holding(receipt(ME, other, 5.0))
    assert not accounts(book.all(), "me", lambda node, claimed: "me").with_me


def test_a_receipt_counts_once() -> None:
    book = holding(receipt(ME, ANN, 5.0))
    assert book.learn(ME, receipt(ME, ANN, 5.0, place=(0, 7)), True) == ""  # the same one, in another entry
    assert "second receipt 1" in book.learn(ME, receipt(ME, ANN, 50.0, place=(0, 8)), True)
    assert accounts(book.all(), "me", person).with_me["ann"].for_me.credits == 5.0
    assert book.holds(ME, receipt(ME, ANN, 5.0).work.job_tag, ANN, 1)


def test_nobody_makes_a_receipt_for_another() -> None:
    """Ben publishes, as his own entry, what Ann signed for me; and one in which I owe him."""
    book = Receipts()
    assert "entry of its requester" in book.learn(BEN, receipt(ME, ANN, 5.0), False)
    assert "entry of its requester" in book.learn(BEN, receipt(ME, BEN, 5.0), False)
    assert "to oneself" in book.learn(BEN, receipt(BEN, BEN, 5.0), False)
    assert not list(book.all())


def test_a_debtor_that_forks_its_log_still_owes_me_and_lends_nobody_a_claim() -> None:
    book = holding(receipt(ANN, ME, 5.0, place=(0, 4)))
    assert book.learn(ANN, receipt(ANN, BEN, 8.0, place=(0, 5)), False) == ""
    book.forked(ANN, 0, 3)
    found = accounts(book.all(), "me", person)
    assert found.with_me["ann"].balance == 5.0 and not found.owed


def test_others_receipts_are_bounded_and_ones_own_stay() -> None:
    book = Receipts(CreditRules(receipts_max=100))
    assert book.learn(ANN, receipt(ANN, ME, 1.0), True) == ""
    for number in range(1, 1001):
        assert book.learn(BEN, receipt(BEN, CAT, 1.0, number), False) == ""
    held = list(book.all())
    assert len(held) == 101 and max(one.work.number for one in held) == 1000
    assert accounts(held, "me", person).with_me["ann"].balance == 1.0


# -- limits -----------------------------------------------------------------------------------------------------------

LIMITS = Limits(friend=100.0, stranger=10.0)


def test_a_stranger_may_owe_its_allowance_and_a_friend_its_line() -> None:
    debts = {"ann": 30.0, "sam": 4.0}
    assert room("ann", debts, ["ann"], {}, LIMITS).left == 70.0
    assert room("sam", debts, ["ann"], {}, LIMITS).left == 6.0
    assert room("new", debts, ["ann"], {}, LIMITS).left == 10.0


def test_who_gave_back_may_take_again() -> None:
    assert room("sam", {"sam": 10.0}, [], {}, LIMITS).left == 0.0
    assert room("sam", {"sam": -25.0}, [], {}, LIMITS).left == 35.0


def test_a_thousand_new_identities_take_no_more_than_the_newcomers_pool() -> None:
    debts: dict[str, float] = {}
    for number in range(1000):
        name = f"sybil{number}"
        debts[name] = room(name, debts, [], {}, LIMITS).left
    assert sum(debts.values()) == pytest.approx(100.0)
    assert room("ann", debts, ["ann"], {}, LIMITS).left == 100.0  # friends are not kept out


def test_a_friends_debt_to_a_stranger_backs_it_within_the_friends_own_line() -> None:
    owed = {("ann", "sam"): 40.0}
    assert room("sam", {}, ["ann"], owed, LIMITS).limit == 50.0
    assert room("sam", {"ann": 85.0}, ["ann"], owed, LIMITS).backed == 15.0
    assert room("sam", {}, ["ann"], {("ann", "sam"): 40.0, ("sam", "ann"): 30.0}, LIMITS).backed == 10.0
    assert room("sam", {}, ["ann"], {("sam", "ann"): 40.0}, LIMITS).backed == 0.0  # it is the stranger who owes


def test_a_thousand_identities_that_a_friend_says_it_owes_share_that_friends_line() -> None:
    """Ann, a friend, is broken into: she signs that she owes each of a thousand new identities a million."""
    owed = {("ann", f"sybil{n}"): 1e6 for n in range(1000)}
    debts: dict[str, float] = {}
    for number in range(1000):
        name = f"sybil{number}"
        debts[name] = max(0.0, room(name, debts, ["ann"], owed, LIMITS).left)
    assert sum(debts.values()) <= 100.0 + 100.0 + 1e-6  # her line, and the newcomers' pool


def test_a_ring_that_praises_itself_backs_nobody() -> None:
    ring = [f"sybil{n}" for n in range(50)]
    owed = {(one, other): 1e9 for one in ring for other in ring if one != other}
    assert room(ring[0], {}, ["ann"], owed, LIMITS).limit == 10.0


def test_paths_give_way_to_each_other() -> None:
    """Sam is carried by Ann or Ben, Tom by Ann alone: Sam's debt moves to Ben for Tom's sake, and stays whole."""
    owed = {("ann", "sam"): 10.0, ("ben", "sam"): 10.0, ("ann", "tom"): 10.0}
    lines = {"ann": 10.0, "ben": 10.0}
    assert backing("tom", {"sam": 10.0}, lines, owed) == pytest.approx(10.0)
    assert backing("tom", {"sam": 20.0}, lines, owed) == pytest.approx(0.0)
    assert backing("tom", {"sam": 14.0}, lines, owed) == pytest.approx(6.0)


def test_many_friends_and_debtors_are_bounded() -> None:
    lines = {f"friend{n:04}": 1.0 for n in range(2000)}
    excess = {f"debtor{n:04}": 1.0 for n in range(2000)}
    owed = {(friend, "new"): 1.0 for friend in lines}
    assert backing("new", excess, lines, owed) == pytest.approx(CreditRules().hops_friends)
