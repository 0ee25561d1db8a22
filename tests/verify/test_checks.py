"""The job's own check before any comparison: who passes, who is refused, and whose fault a bad check is."""

from __future__ import annotations

from ctorrent import canon
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.result import Failure, FailureKind, Outcome, output_digest
from ctorrent.verify.checks import CheckFaulty, CheckRules, Checks, Judge, Judged, Passed, Refused, Vouch, Vouched
from ctorrent.verify.rulings import YES, Ruling, Said, draw_of, ruling, twice
from ctorrent.verify.words import Abandoned, Arrived

NO, RAISES = Ruling(Said.NO, "judge.py:right says no"), Ruling(Said.BROKEN, "judge.py:right raises KeyError: 'x'")
CANNOT = Ruling(Said.IMPOSSIBLE, "this node cannot run the job itself: it lacks numpy")
RIGHT, WRONG = (Outcome(canon.encode(n)).output() for n in (1, 2))
D = {output: output_digest(output) for output in (RIGHT, WRONG)}


def came(worker: str, outputs: dict[int, bytes | None], digests: dict[int, Digest] | None = None) -> Arrived:
    found = [digests[i] if digests else output_digest(output or b"") for i, output in outputs.items()]
    return Arrived(NodeId(worker), f"owner of {worker}", Digest(b"f" * 32), list(outputs), found, list(outputs.values()), False)


def trusting() -> Checks:
    """A machine whose check passed an honest answer before."""
    checks = Checks()
    checks.handle(came("zoe", {99: WRONG}))
    assert checks.handle(Judged(99, D[WRONG], NO)) == [Vouch(99)]
    assert checks.handle(Vouched(99, YES)) == [Refused(99, NodeId("zoe"), D[WRONG], NO.words, True)]
    return checks


def test_a_right_output_goes_on_and_a_wrong_one_does_not() -> None:
    checks = trusting()
    event = came("bob", {0: RIGHT, 1: WRONG})
    assert checks.handle(event) == [Judge(0, NodeId("bob"), D[RIGHT], RIGHT), Judge(1, NodeId("bob"), D[WRONG], WRONG)]
    assert checks.waiting == 2
    (passed,) = checks.handle(Judged(0, D[RIGHT], YES))
    assert isinstance(passed, Passed) and passed.judged
    assert (passed.arrived.indices, passed.arrived.outputs, passed.arrived.worker) == ([0], [RIGHT], "bob")
    assert checks.handle(Judged(1, D[WRONG], NO)) == [Refused(1, NodeId("bob"), D[WRONG], NO.words, True)]
    assert checks.waiting == 0 and not checks.faults


def test_an_output_is_judged_once_however_many_give_it() -> None:
    checks = trusting()
    checks.handle(came("bob", {0: RIGHT}))
    assert checks.handle(came("eve", {0: RIGHT})) == []
    both = checks.handle(Judged(0, D[RIGHT], YES))
    assert [p.arrived.worker for p in both if isinstance(p, Passed)] == ["bob", "eve"]
    event = came("fay", {0: RIGHT})
    assert checks.handle(event) == [Passed(event, True)], "known by now"
    assert checks.handle(Judged(0, D[RIGHT], NO)) == [], "nobody asked again"


def test_nobody_is_refused_before_an_honest_answer_passed() -> None:
    checks = Checks()
    checks.handle(came("bob", {0: WRONG, 1: WRONG}))
    assert checks.handle(Judged(0, D[WRONG], NO)) == [Vouch(0)]
    assert checks.handle(Judged(1, D[WRONG], NO)) == [], "one own run at a time"
    assert checks.handle(came("eve", {0: WRONG})) == []
    refused = checks.handle(Vouched(0, YES))
    assert [(r.index, r.worker) for r in refused if isinstance(r, Refused) and r.proven] == [(0, "bob"), (0, "eve"), (1, "bob")]


def test_a_check_that_refuses_the_requesters_own_result_is_the_jobs_fault_and_is_asked_no_more() -> None:
    checks = Checks()
    event = came("bob", {0: WRONG, 1: RIGHT})
    checks.handle(event)
    checks.handle(Judged(0, D[WRONG], NO))
    faulty, *passed = checks.handle(Vouched(0, NO))
    assert faulty == CheckFaulty("it refuses this machine's own result too: judge.py:right says no", True)
    assert [(p.arrived.indices, p.judged) for p in passed if isinstance(p, Passed)] == [([0], False), ([1], False)]
    later = came("eve", {0: WRONG, 5: RIGHT})
    assert checks.handle(later) == [Passed(later, False)]
    assert checks.handle(Judged(1, D[RIGHT], NO)) == []


def test_where_no_own_result_can_be_made_replicas_are_made_again_and_nobody_is_blamed() -> None:
    checks = Checks()
    checks.handle(came("bob", {0: WRONG}))
    checks.handle(Judged(0, D[WRONG], NO))
    for _ in range(2):
        assert checks.handle(Vouched(0, None)) == [Vouch(0)]
    assert checks.handle(Vouched(0, RAISES)) == [Refused(0, NodeId("bob"), D[WRONG], NO.words, False)]


def test_an_output_that_the_check_stumbles_over_is_compared_instead_and_the_check_is_reported_once() -> None:
    """Else a liar would end every job that has a check, with one output made for it."""
    checks = trusting()
    checks.handle(came("eve", {0: WRONG, 1: WRONG}))
    faulty, passed = checks.handle(Judged(0, D[WRONG], RAISES))
    assert faulty == CheckFaulty(RAISES.words, False)
    assert isinstance(passed, Passed) and not passed.judged and passed.arrived.indices == [0]
    assert len(checks.handle(Judged(1, D[WRONG], RAISES))) == 1
    checks.handle(came("bob", {0: RIGHT}))
    (good,) = checks.handle(Judged(0, D[RIGHT], YES))
    assert isinstance(good, Passed) and good.judged, "others are judged as before"
    for number in range(50):
        checks.handle(came("eve", {number + 2: WRONG}))
        checks.handle(Judged(number + 2, D[WRONG], Ruling(Said.BROKEN, f"raises {number}")))
    assert len(checks.faults) == CheckRules().faults_max


def test_a_machine_that_cannot_run_the_check_says_so_and_holds_nobody_up() -> None:
    checks = Checks()
    checks.handle(came("bob", {0: RIGHT, 1: RIGHT}))
    faulty, *passed = checks.handle(Judged(0, D[RIGHT], CANNOT))
    assert faulty == CheckFaulty(CANNOT.words, True) and len(passed) == 2 and checks.waiting == 0


def test_failures_and_what_is_too_much_are_not_judged() -> None:
    failed = Outcome(None, Failure(FailureKind.EXCEPTION, "ValueError")).output()
    checks = Checks(CheckRules(held_max=2, asked_max=1))
    event = came("bob", {0: failed})
    assert checks.handle(event) == [Passed(event, False)]
    effects = checks.handle(came("eve", dict.fromkeys(range(5), WRONG)))
    assert [(type(e), getattr(e, "index", None)) for e in effects] == [(Passed, None), (Judge, 0)]
    assert isinstance(effects[0], Passed) and effects[0].arrived.indices == [2, 3, 4]
    assert checks.handle(Judged(0, D[WRONG], YES))[1:] == [Judge(1, NodeId("eve"), D[WRONG], WRONG)]


def test_large_outputs_are_asked_for_by_their_digest_and_decided_blocks_are_forgotten() -> None:
    checks = trusting()
    large = Digest(b"l" * 32)
    assert checks.handle(came("bob", {7: None}, {7: large})) == [Judge(7, NodeId("bob"), large, None)]
    assert checks.handle(Abandoned([7])) == [] and checks.waiting == 0
    assert checks.handle(Judged(7, large, YES)) == []


def test_what_a_function_may_answer() -> None:
    def said(value: object) -> Ruling:
        return ruling(Outcome(canon.encode(value)), "judge.py:right")

    assert said(True) == YES and said(False) == NO
    assert said("row 3 is not sorted\x1b[2J\nx") == Ruling(Said.NO, "judge.py:right: row 3 is not sorted [2J x")
    for value, words in ((None, "answers nothing"), (1, "answers 1"), ("", "answers ''"), ([True], "answers [True]")):
        assert said(value).said is Said.BROKEN and words in said(value).words
    text = 'Traceback …\n  File "judge.py", line 2, in right\nKeyError: \'x\'\n'
    assert ruling(Outcome(None, Failure(FailureKind.EXCEPTION, "KeyError", text)), "judge.py:right") == RAISES
    for kind in FailureKind:
        assert ruling(Outcome(None, Failure(kind)), "e").said is Said.BROKEN
    assert twice(NO, NO, "e") is NO and twice(NO, RAISES, "e") is RAISES
    assert twice(NO, YES, "e") == Ruling(Said.BROKEN, "e answers now this and now that")


def test_a_blocks_draw_is_its_own_and_the_secrets() -> None:
    draws = {draw_of(secret, index) for secret in (b"a" * 32, b"b" * 32) for index in range(100)}
    assert len(draws) == 200 and max(draws) < 1 << 64
