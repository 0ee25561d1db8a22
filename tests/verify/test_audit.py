"""Whom a job believes: standing, shares, and when being wrong is more than chance."""

from __future__ import annotations

from dataclasses import replace

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import Assurance, Verify
from ctorrent.verify import draw
from ctorrent.verify.audit import Audit, AuditRules, rules_for
from ctorrent.verify.ballot import Replica

A, B, ME = (NodeId(name) for name in ("a", "b", "me"))
SECRET = b"s" * 32


def audit(rules: AuditRules | None = None, **seen: tuple[int, int, int]) -> Audit:
    """Workers by name: (valid in a row, checked, wrong)."""
    made = Audit(rules or AuditRules(alone=True), SECRET, ME)
    for name, (valid, checked, wrong) in seen.items():
        worker = made.worker(NodeId(name), f"own_{name}")
        worker.valid, worker.checked, worker.wrong = valid, checked, wrong
    return made


def said(alone: bool) -> Replica:
    return Replica(A, "own_a", Digest(b"f" * 32), Digest(b"d" * 32), b"1", alone)


def test_rules_follow_the_manifest() -> None:
    assert not rules_for(Verify()).alone
    economy = rules_for(Verify(assurance=Assurance.ECONOMY))
    assert economy.alone
    assert 0.05 <= economy.floor <= 0.10  # as the policy says
    asked = rules_for(Verify(assurance=Assurance.ECONOMY, audit_share=0.4))
    assert (asked.floor, asked.strict_share) == (0.4, 0.4)


def test_newcomers_are_always_two_and_the_established_or_the_requester_one() -> None:
    made = audit(a=(9, 9, 0), b=(10, 10, 0), me=(0, 0, 0))
    assert made.needed([A], 2) == 2
    assert made.needed([B], 2) == made.needed([A, B], 2) == made.needed([ME], 2) == 1
    assert made.needed([B], 1) == 1
    strict = audit(AuditRules(), b=(99, 99, 0))
    assert strict.needed([B], 2) == 2
    assert strict.needed([B], 3) == 3


def test_a_mistake_makes_a_newcomer_of_the_established() -> None:
    made = audit(a=(50, 50, 0))
    assert made.established(A)
    made.count(A, False, None)
    assert not made.established(A)
    assert made.needed([A], 2) == 2


def test_a_lone_answer_is_drawn_with_one_over_valid_and_never_less_than_the_floor() -> None:
    for valid, share in ((0, 1.0), (10, 0.1), (14, 1 / 14), (20, 0.05), (10_000, 0.05)):
        made = audit(a=(valid, valid, 0))
        for index in range(300):
            assert made.is_drawn(index, [said(alone=True)]) == (draw.chance(SECRET, "audit", index) < share)


def test_the_first_lone_answers_of_blocks_that_ran_together_are_half_of_them_looked_at() -> None:
    made = audit(a=(1000, 1000, 0))
    drawn = [made.is_drawn(index, [said(alone=False)]) for index in range(300)]
    assert 120 < sum(drawn) < 180
    made.together = made.rules.together_first
    assert sum(made.is_drawn(index, [said(alone=False)]) for index in range(300)) < 30


def test_nobody_is_suspected_before_own_runs_bore_others_out() -> None:
    made = audit(a=(0, 9, 9))
    assert made.suspects(A) == ""
    made.backed = made.rules.anchors
    assert made.suspects(A) == "9 of its 9 checked answers were wrong"


def test_being_wrong_as_often_as_chance_explains_expels_nobody() -> None:
    for checked, wrong, out in ((11, 3, False), (11, 4, True), (1000, 20, False), (1000, 30, True)):
        made = audit(a=(0, checked, wrong))
        made.backed = 9
        assert bool(made.suspects(A)) == out, (checked, wrong)


def test_where_most_are_wrong_alike_nobody_is_expelled() -> None:
    made = audit(None, **{f"w{n}": (0, 100, 20) for n in range(9)}, a=(0, 100, 40))
    made.backed = 9
    assert made.suspects(A) == made.suspects(NodeId("w0")) == ""


def test_expelling_can_be_turned_off() -> None:
    made = audit(replace(AuditRules(), expel=False), a=(0, 100, 100))
    made.backed = 9
    assert made.suspects(A) == ""


def test_another_outcome_of_the_same_check_is_not_another_check() -> None:
    made = audit(a=(0, 0, 0))
    made.count(A, True, None)
    made.count(A, False, True)
    assert (made.workers[A].checked, made.workers[A].wrong) == (1, 1)
    made.count(A, True, False)
    assert (made.workers[A].checked, made.workers[A].wrong) == (1, 0)
