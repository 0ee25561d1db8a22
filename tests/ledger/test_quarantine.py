"""Who is held, when, and the way back."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ctorrent.canon import decode, encode
from ctorrent.ledger.quarantine import Blame, Case, Cause, Phase, Quarantine, describe, from_words, to_words
from ctorrent.ledger.trust_rules import QuarantineRules
from ctorrent.model.ids import Digest

RULES = QuarantineRules()
OWNER = "own_x"
PROOF = Digest(b"p" * 32)


def chance_of_being_held(rate: float, blocks: int) -> float:
    """Exactly: the distribution of the sum after each block, with all that reached the limit taken out."""
    up, top = int(RULES.wrong), int(RULES.held_at)
    sums = np.zeros(top)
    sums[0], held = 1.0, 0.0
    for _ in range(blocks):
        fresh = np.zeros(top)
        fresh[:-1] = (1 - rate) * sums[1:]
        fresh[0] += (1 - rate) * sums[0]
        fresh[up:] += rate * sums[: top - up]
        held += rate * float(sums[top - up :].sum())
        sums = fresh
    return held


def test_no_honest_worker_is_held_in_ten_thousand_blocks() -> None:
    assert chance_of_being_held(0.002, 10_000) < 1e-5, "the requirement is 1e-4; an owner with ten machines stays below it"
    assert chance_of_being_held(0.0, 10_000) == 0


@pytest.mark.parametrize(("rate", "blocks", "least"), [(1.0, 5, 1.0), (0.3, 60, 0.99), (0.05, 600, 0.99), (0.02, 10_000, 0.99)])
def test_cheats_are_held_soon(rate: float, blocks: int, least: float) -> None:
    assert chance_of_being_held(rate, blocks) >= least


def test_blocks_that_come_in_tallies_are_never_judged_harder_than_one_by_one() -> None:
    """So the exact figure is an upper bound, however verdicts are bundled."""
    dice = random.Random(7)
    for _ in range(300):
        blocks = [dice.random() < 0.05 for _ in range(dice.randrange(1, 400))]
        single, bundled = Quarantine(), Quarantine()
        for wrong in blocks:
            single.verdicts(OWNER, not wrong, wrong, 0)
        at = 0
        while at < len(blocks):
            some = blocks[at : at + dice.randrange(1, 60)]
            bundled.verdicts(OWNER, some.count(False), some.count(True), 0)
            at += len(some)
        if bundled.phase(OWNER, 0) is Phase.HELD:
            assert single.phase(OWNER, 0) is Phase.HELD
        assert single.phase(OWNER, 0) is Phase.HELD or (bundled.case(OWNER) or Case(OWNER)).sum <= (single.case(OWNER) or Case(OWNER)).sum


def test_a_long_good_name_buys_no_wrong_blocks() -> None:
    sleeper = Quarantine()
    sleeper.verdicts(OWNER, 100_000, 0, 1)
    assert sleeper.verdicts(OWNER, 0, 4, 2) is not None and sleeper.phase(OWNER, 2) is Phase.FREE
    sleeper.verdicts(OWNER, 3, 2, 3)
    assert sleeper.phase(OWNER, 3) is Phase.HELD


def held(at: int = 100) -> Quarantine:
    quarantine = Quarantine()
    assert quarantine.verdicts(OWNER, 2, 6, at) is not None
    return quarantine


def test_the_way_back_is_a_rest_and_a_trial_and_each_time_the_rest_is_twice_as_long() -> None:
    quarantine, at = held(), 100
    for offence in (1, 2, 3):
        case = quarantine.case(OWNER)
        assert case is not None and (case.offences, case.until - case.since) == (offence, RULES.rest_entries << (offence - 1))
        assert quarantine.verdicts(OWNER, 1000, 50, at) is None, "what was under way when the door closed counts for nothing"
        assert quarantine.phase(OWNER, case.until - 1) is Phase.HELD and quarantine.phase(OWNER, case.until) is Phase.TRIAL
        at = case.until
        quarantine.verdicts(OWNER, 60, 1, at)
        assert quarantine.phase(OWNER, at) is Phase.TRIAL, "one slip on trial is no relapse"
        quarantine.verdicts(OWNER, 0, 2, at)
        assert quarantine.phase(OWNER, at) is Phase.HELD, "two in a row are"
    at = quarantine.case(OWNER).until  # type: ignore[union-attr]
    quarantine.verdicts(OWNER, 99, 0, at)
    assert quarantine.phase(OWNER, at) is Phase.TRIAL
    quarantine.verdicts(OWNER, 1, 0, at)
    assert quarantine.phase(OWNER, at) is Phase.FREE and "quarantined 4 times" in describe(quarantine.case(OWNER), at)  # type: ignore[arg-type]


def test_a_proof_holds_at_once_and_counts_once_whoever_tells_it() -> None:
    quarantine = Quarantine()
    case = quarantine.proven(OWNER, Cause.EQUIVOCATION, PROOF, 10)
    assert case is not None and case.phase(10) is Phase.HELD and case.until == 10 + RULES.rest_proven
    assert quarantine.proven(OWNER, Cause.EQUIVOCATION, PROOF, 11) is None
    quarantine.proven(OWNER, Cause.FORK, Digest(b"q" * 32), 12)
    assert quarantine.case(OWNER).offences == 1, "one rest for what came to light together"  # type: ignore[union-attr]
    assert quarantine.proven(OWNER, Cause.EQUIVOCATION, PROOF, 50_000) is None, "nor is it news when its rest is over"
    assert quarantine.phase(OWNER, 50_000) is Phase.TRIAL


def blamed(wrong: float, term: int = 0, at: int = 100, proof: Digest | None = None) -> list[Blame]:
    return [Blame(OWNER, term, at, wrong, proof)]


def test_who_was_held_for_what_was_no_fault_of_its_own_is_let_go() -> None:
    for quarantine, kept in ((held(), 0.0), (held(), 1.0)):
        case = quarantine.relieved(OWNER, 0, blamed(6 - kept), 101)
        assert case is not None and (case.phase(101), case.offences, case.sum) == (Phase.FREE, 0, kept * RULES.wrong)
        quarantine.verdicts(OWNER, 0, 5 - kept, 102)
        assert quarantine.phase(OWNER, 102) is Phase.HELD, "what is left counts on"
    assert held().relieved(OWNER, 0, blamed(1), 101) is None, "five are enough without the sixth"
    assert held().relieved(OWNER, 1, blamed(6), 101) is None, "of another offence"
    late = held()
    until = late.case(OWNER).until  # type: ignore[union-attr]
    late.verdicts(OWNER, 10, 1, until)
    case = late.relieved(OWNER, 0, blamed(6), until)
    assert case is not None and (case.phase(until), case.offences, case.wrong) == (Phase.FREE, 0, 1), "its rest is over: it never was"
    free = Quarantine()
    assert free.relieved(OWNER, 0, blamed(6), 1) is None, "nothing is held against it"
    free.verdicts(OWNER, 0, 3, 1)
    assert (case := free.relieved(OWNER, 0, blamed(2), 2)) is not None and (case.sum, case.wrong) == (RULES.wrong, 1)


def test_what_right_blocks_made_good_is_not_taken_from_what_came_after() -> None:
    quarantine = Quarantine()
    quarantine.verdicts(OWNER, 0, 3, 1)
    quarantine.verdicts(OWNER, 500, 0, 2)
    quarantine.verdicts(OWNER, 0, 5, 3)
    assert quarantine.phase(OWNER, 3) is Phase.HELD
    assert quarantine.relieved(OWNER, 0, blamed(3, at=1), 4) is None
    assert quarantine.relieved(OWNER, 0, blamed(5, at=3), 4) is not None and quarantine.phase(OWNER, 4) is Phase.FREE


def test_a_proof_that_was_none_is_lifted_and_told_again_no_news() -> None:
    other, third = Digest(b"q" * 32), Digest(b"r" * 32)
    quarantine = Quarantine()
    term = quarantine.term(OWNER, 10, True)
    quarantine.proven(OWNER, Cause.RERUN, PROOF, 10)
    assert term == quarantine.term(OWNER, 11, True) == 0 and quarantine.term(OWNER, 11, False) is None
    assert quarantine.relieved(OWNER, 0, blamed(9), 11) is None, "wrong blocks do not lift it"
    assert quarantine.relieved(OWNER, 0, blamed(0, proof=PROOF), 11) is not None and quarantine.phase(OWNER, 11) is Phase.FREE
    assert quarantine.proven(OWNER, Cause.RERUN, PROOF, 12) is None
    quarantine.proven(OWNER, Cause.FORK, other, 13)
    quarantine.proven(OWNER, Cause.RERUN, third, 14)
    assert quarantine.relieved(OWNER, 0, blamed(0, proof=third), 15) is None, "another proof stands"


def test_who_is_held_twice_for_one_program_is_free_when_both_are_taken_back() -> None:
    quarantine = held()
    quarantine.proven(OWNER, Cause.RERUN, PROOF, 101)
    quarantine = Quarantine(cases=[from_words(decode(encode(to_words(one)))) for one in quarantine.cases()])
    assert quarantine.case(OWNER).offences == 2  # type: ignore[union-attr]
    case = quarantine.relieved(OWNER, 1, blamed(0, 1, 101, PROOF), 102)
    assert case is not None and (case.phase(102), case.offences, case.cause) == (Phase.HELD, 1, Cause.RATE)
    case = quarantine.relieved(OWNER, 0, blamed(6), 102)
    assert case is not None and (case.phase(102), case.offences) == (Phase.FREE, 0)


def test_a_second_offence_that_was_none_leaves_it_on_trial() -> None:
    quarantine = held()
    at = quarantine.case(OWNER).until  # type: ignore[union-attr]
    quarantine.verdicts(OWNER, 0, 3, at)
    assert quarantine.phase(OWNER, at) is Phase.HELD
    case = quarantine.relieved(OWNER, 1, blamed(2, 1, at), at)
    assert case is not None and (case.phase(at), case.offences) == (Phase.TRIAL, 1)


def test_a_case_says_why_since_when_and_the_way_back_and_survives_a_restart() -> None:
    quarantine = held()
    case = quarantine.case(OWNER)
    assert case is not None
    assert describe(case, 200) == "6 of the last 8 blocks checked here were wrong, since entry 100 of this node's ledger. Back on trial after 412 more entries there"
    quarantine.proven(OWNER, Cause.RERUN, PROOF, 300, ("net_10.1.2",))
    again = Quarantine(cases=[from_words(decode(encode(to_words(one)))) for one in quarantine.cases()])
    assert again.cases() == quarantine.cases() and again.owners_of("net_10.1.2") == 1
    assert again.proven(OWNER, Cause.RERUN, PROOF, 400) is None


def test_memory_is_bounded_and_cases_go_last() -> None:
    quarantine = Quarantine(QuarantineRules(owners_max=10))
    quarantine.verdicts(OWNER, 0, 9, 1)
    for number in range(100):
        quarantine.verdicts(f"own_{number}", 0, 1, 1)
    assert quarantine.phase(OWNER, 1) is Phase.HELD and len(quarantine._cases) == 10
