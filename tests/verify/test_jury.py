"""Stories of one job's jury: who must agree, what is drawn, whose word counts, and when it is final."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import Equality
from ctorrent.model.result import Verdict, output_digest
from ctorrent.verify.words import (
    Abandoned,
    Disputed,
    Expelled,
    FetchOutput,
    JobNondeterministic,
    Known,
    NeedReplicas,
    NextOwner,
    NoReplica,
    OutputFetched,
    Pardoned,
    Remembered,
    Rerun,
    RerunLost,
    Restored,
    Resume,
    SelfCheck,
    SelfCheckFailed,
    Settled,
    Standing,
    Total,
    Voice,
    Voted,
)
from tests.verify.jurors import (
    BARE,
    ECONOMY,
    LIAR,
    ME,
    A,
    Agreed,
    B,
    C,
    D,
    E,
    both,
    chance,
    drawn,
    indices,
    jury,
    of,
    quiet,
)
from tests.verify.test_quorum import F, came, checked, failed, out

# -- one after the other ----------------------------------------------------------------------------------------------


def test_strict_asks_for_the_second_owner_when_the_first_has_committed() -> None:
    made, (block,) = jury(), quiet(1)
    assert made.handle(came(A, out(1), block)) == [NextOwner([block])]
    agreed = made.handle(came(B, out(1), block))
    assert agreed == [Agreed([block], [output_digest(out(1))], [out(1)], [(A, B)], False, True, provisional=True)]


def test_three_replicas_come_one_by_one() -> None:
    made, (block,) = jury(replicas=3), quiet(1)
    assert made.handle(came(A, out(1), block)) == [NextOwner([block])]
    assert made.handle(came(B, out(1), block)) == [NextOwner([block])]
    assert indices(made.handle(came(C, out(1), block)), Agreed) == [block]


def test_in_economy_newcomers_answer_twice_and_the_established_alone() -> None:
    made, (one, two) = jury(ECONOMY, established=(A,)), quiet(2)
    assert indices(made.handle(came(A, out(1), one)), Agreed) == [one]
    assert made.handle(came(B, out(1), two)) == [NextOwner([two])]
    assert indices(made.handle(came(C, out(1), two)), Agreed) == [two]


def test_an_established_owner_beside_a_newcomer_is_enough() -> None:
    made, (block,) = jury(ECONOMY, established=(A,)), quiet(1)
    made.handle(came(B, out(1), block))
    assert indices(made.handle(came(A, out(1), block)), Agreed) == [block]


def test_a_newcomer_is_established_after_ten_checks_and_what_waits_for_a_second_stands() -> None:
    made, blocks = jury(ECONOMY), quiet(11)
    made.handle(came(A, out(1), *blocks))
    effects = made.handle(came(B, out(1), *blocks[:10]))
    assert {e.worker for e in of(effects, Standing)} == {A, B}
    assert indices(effects, Agreed) == [*blocks[:10], blocks[10]]


def test_one_owner_has_one_voice() -> None:
    made, (block,) = jury(), quiet(1)
    made.handle(came(A, out(1), block))
    assert made.handle(came(B, out(1), block, owner="own_a")) == []
    assert indices(made.handle(came(C, out(1), block)), Agreed) == [block]


# -- draws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.03, 0.3])
def test_strict_audits_exactly_what_the_secret_draws(share: float) -> None:
    made, blocks = jury(replace(BARE, strict_share=share)), list(range(300))
    effects = both(made, blocks)
    asked = of(effects, NeedReplicas)
    assert [e.index for e in asked] == [i for i in blocks if chance(i) < share]
    assert all(e.drawn and not e.alone and e.avoid_owners == ("own_a", "own_b") for e in asked)


def test_economy_audits_lone_answers_by_how_long_their_worker_was_right() -> None:
    made = jury(ECONOMY, established=(A, B))  # 30 in a row: 1/30 is less than the floor
    made.handle(Known(B, "own_b", 12))
    lone = [e.index for e in of(made.handle(came(A, out(1), *range(400))), NeedReplicas)]
    assert lone == [i for i in range(400) if chance(i) < ECONOMY.floor]
    fresh = jury(ECONOMY)
    fresh.handle(Known(C, "own_c", 10))
    more = [e.index for e in of(fresh.handle(came(C, out(1), *range(400))), NeedReplicas)]
    assert more == [i for i in range(400) if chance(i) < 0.1]


def test_the_first_agreed_blocks_are_the_requesters_own_to_run_two_at_a_time() -> None:
    made, blocks = jury(replace(BARE, own_first=3)), quiet(5)
    effects = both(made, blocks)
    assert [e.index for e in of(effects, SelfCheck)] == blocks[:2]
    assert [e.index for e in of(made.handle(checked(blocks[0], 1)), SelfCheck)] == blocks[2:3]
    assert of(made.handle(checked(blocks[1], 1)), SelfCheck) == []
    made.handle(checked(blocks[2], 1))
    assert not made.checking


def test_what_the_requester_answered_itself_it_does_not_run_once_more() -> None:
    made, (block,) = jury(replace(BARE, own_first=3)), quiet(1)
    made.handle(came(ME, out(1), block))
    assert of(made.handle(came(B, out(1), block)), SelfCheck) == []


# -- disagreement -----------------------------------------------------------------------------------------------------


def test_a_third_owner_decides_between_two_and_nobody_is_voted_against_for_one_mistake() -> None:
    made, (block,) = jury(replace(BARE, window_strict=0)), quiet(1)
    made.handle(Total(1, True))
    made.handle(came(A, out(1), block))
    assert made.handle(came(B, out(2), block)) == [NeedReplicas(block, 1, False, ("own_a", "own_b"), drawn=True)]
    effects = made.handle(came(C, out(1), block))
    assert indices(effects, Agreed) == indices(effects, Settled) == [block]
    assert {e.worker: e.verdict for e in of(effects, Voted)} == {A: Verdict.AGREED, C: Verdict.AGREED}
    assert of(effects, Expelled) == []


def test_the_first_who_differ_are_asked_again_and_who_takes_it_back_was_wrong() -> None:
    made, (block,) = jury(replace(BARE, reruns_first=1)), quiet(1)
    made.handle(came(A, out(1), block))
    assert made.handle(came(B, out(2), block)) == [Rerun(block, (A, B))]
    assert made.handle(came(A, out(1), block)) == []
    assert indices(made.handle(came(B, out(1), block)), Agreed) == [block]
    assert made._audit.workers[B].wrong == 1
    assert made._audit.workers[A].wrong == 0


def test_what_came_out_otherwise_when_run_alone_is_not_held_against_its_worker() -> None:
    made, (block,) = jury(replace(BARE, reruns_first=1)), quiet(1)
    made.handle(came(A, out(1), block, alone=False))
    made.handle(came(B, out(2), block, alone=False))
    made.handle(came(A, out(1), block))
    made.handle(came(B, out(1), block))
    assert made._audit.workers[B].wrong == 0


def test_who_does_not_answer_again_is_not_waited_for() -> None:
    made, (block,) = jury(replace(BARE, reruns_first=1)), quiet(1)
    made.handle(came(A, out(1), block))
    made.handle(came(B, out(2), block))
    made.handle(came(A, out(1), block))
    assert of(made.handle(RerunLost(block, B)), NeedReplicas) == [NeedReplicas(block, 1, False, ("own_a", "own_b"), drawn=True)]
    assert made.handle(RerunLost(block, B)) == made.handle(RerunLost(7, B)) == []


def test_an_agreement_that_an_audit_denies_waits_for_the_requesters_own_run() -> None:
    made, (block,) = jury(), drawn(1)
    both(made, [block], value="lie")
    assert made.handle(came(C, out("truth"), block)) == [SelfCheck(block)]
    effects = made.handle(checked(block, "truth"))
    assert [(e.indices, e.workers) for e in of(effects, Agreed)] == [([block], [(C, ME)])]


def test_the_requesters_own_run_is_outvoted_by_three_only() -> None:
    made, (block,) = jury(replace(BARE, own_first=9), established=(ME,)), quiet(1)
    made.handle(came(A, out("x"), block))
    assert SelfCheck(block) in made.handle(came(B, out("y"), block))
    ask = made.handle(checked(block, "mine"))
    assert of(ask, NeedReplicas) == []  # alone against single voices: its word
    assert [e.workers for e in of(ask, Agreed)] == [[(ME,)]]

    made, (block,) = jury(replace(BARE, own_first=9)), quiet(1)
    assert SelfCheck(block) in both(made, [block], value="x")
    assert of(made.handle(checked(block, "mine")), NeedReplicas)  # two against it
    assert indices(made.handle(came(C, out("x"), block)), Agreed) == []  # three: what was said stays as it is
    assert [r.worker for r in made._docket.cases[block].result or []] == [A, B, C]


def test_without_any_majority_it_is_disputed_within_the_limit() -> None:
    made, (block,) = jury(replicas_max=4), quiet(1)
    asked = [made.handle(came(worker, out(n), block)) for n, worker in enumerate((A, B, C, D))][-1]
    assert asked == [SelfCheck(block)]  # the requester's own run would decide it
    effects = made.handle(SelfCheckFailed(block, "no such device"))
    assert [(e.index, e.workers) for e in of(effects, Disputed)] == [(block, (A, B, C, D))]
    assert made.handle(came(E, out(1), block)) == []


def test_bytes_are_fetched_only_where_digests_differ() -> None:
    made, (block,) = jury(), quiet(1)
    large = came(A, out(1), block)
    made.handle(replace(large, outputs=(None,)))
    assert made.handle(came(B, out(2), block)) == [FetchOutput(block, A, output_digest(out(1)))]
    assert of(made.handle(OutputFetched(block, A, None)), NextOwner) == [NextOwner([block])]  # as if it had never come
    assert indices(made.handle(came(C, out(2), block)), Agreed) == [block]


# -- expulsion --------------------------------------------------------------------------------------------------------


def lies(made: object, blocks: list[int], honest: tuple = (A, B)) -> list:  # type: ignore[type-arg]
    """The liar differs from two that agree in each of these blocks."""
    effects = []
    for block in blocks:
        effects += made.handle(came(LIAR, out("lie"), block))  # type: ignore[attr-defined]
        effects += made.handle(came(honest[0], out(block), block))  # type: ignore[attr-defined]
        effects += made.handle(came(honest[1], out(block), block))  # type: ignore[attr-defined]
    return effects


def test_a_liar_is_expelled_after_own_runs_bore_others_out_and_not_before() -> None:
    made = jury(replace(BARE, anchors=1, own_first=1))
    first, *blocks = quiet(9)
    assert SelfCheck(first) in both(made, [first], value=5)
    assert of(lies(made, blocks), Expelled) == []
    made.handle(checked(first, 5))
    (expelled,) = of(lies(made, quiet(1, 5000)), Expelled)
    assert expelled.worker == LIAR
    assert "8 of its 8" in expelled.why


TRIED = replace(BARE, outvoted_rate=0.5)  # no number of wrong answers convicts by itself


def test_before_anybody_is_expelled_the_requester_runs_one_of_its_disputed_blocks() -> None:
    made, blocks = jury(TRIED), quiet(4)
    effects = lies(made, blocks)
    assert not of(effects, Expelled)
    (asked,) = of(effects, SelfCheck)  # one at a time, the newest of those that made it suspect
    assert asked.index == blocks[2]
    assert of(made.handle(checked(asked.index, asked.index)), Expelled)
    assert made._docket.cases[blocks[2]].result is not None


def test_whom_colluders_outvoted_the_requesters_own_run_clears() -> None:
    made, blocks = jury(TRIED), quiet(3)
    (asked,) = of(lies(made, blocks), SelfCheck)
    effects = made.handle(checked(asked.index, "lie"))
    (agreed,) = of(effects, Agreed)
    assert agreed.outputs == [out("lie")]
    assert not of(effects, Expelled)
    assert made._audit.workers[LIAR].wrong == 2
    assert made._audit.workers[A].wrong == 1


def test_where_the_requester_cannot_run_blocks_the_rate_alone_convicts() -> None:
    made, blocks = jury(TRIED), quiet(7)
    effects = lies(made, blocks[:3])
    for block in blocks[3:6]:
        (asked,) = of(effects, SelfCheck)
        effects = made.handle(SelfCheckFailed(asked.index, "no such device")) + lies(made, [block])
    assert [e.worker for e in of(effects, Expelled)] == [LIAR]


def test_after_a_wrong_answer_trust_takes_twice_as_many_checks() -> None:
    made, (wrong, *blocks) = jury(ECONOMY), quiet(31)
    made.handle(came(B, out("slip"), wrong))
    both(made, [wrong], C, A)
    both(made, blocks[:19], B, D)
    assert [made._audit.established(name) for name in (B, D)] == [False, True]
    both(made, blocks[19:20], B, E)
    assert made._audit.established(B)


def test_coming_back_does_not_mend_a_wrong_answer() -> None:
    made, (wrong,) = jury(ECONOMY, established=(LIAR,)), quiet(1)
    made.handle(came(A, out(1), wrong))
    made.handle(came(LIAR, out("lie"), wrong))
    made.handle(came(B, out(1), wrong))
    assert not made._audit.established(LIAR)
    made.handle(Known(LIAR, f"own_{LIAR}", 30))
    assert not made._audit.established(LIAR)


def test_the_expelled_lose_their_voice_and_what_is_short_of_voices_is_run_again_by_others() -> None:
    made, blocks = jury(), quiet(8)
    held, *rest = blocks
    both(made, [held], LIAR, C, "maybe")
    made.handle(came(LIAR, out("open"), 9999))  # a second owner was asked for it already
    effects = lies(made, rest)
    assert [e.worker for e in of(effects, Expelled)] == [LIAR]
    (asked,) = [e for e in of(effects, NeedReplicas) if e.index in (held, 9999)]
    assert (asked.index, asked.avoid_owners) == (held, ("own_c", "own_liar"))
    (again,) = of(made.handle(came(B, out("open"), 9999)), NeedReplicas)
    assert again.avoid_owners == ("own_b", "own_liar")
    assert indices(made.handle(came(D, out("maybe"), held)), Agreed) == []  # as was said
    assert [r.worker for r in made._docket.cases[held].result or []] == [C, D]


def test_a_provisional_answer_flips_when_its_voices_were_liars() -> None:
    made, (held, *rest) = jury(), quiet(8)
    both(made, [held], LIAR, C, "lie")
    assert of(lies(made, rest), Expelled)
    made.handle(came(D, out("truth"), held))  # C stands alone against D: a third decides
    effects = [*made.handle(SelfCheckFailed(held, "busy")), *made.handle(came(E, out("truth"), held))]
    assert [(e.indices, e.outputs) for e in of(effects, Agreed)] == [([held], [out("truth")])]
    assert "agreed otherwise than before" in made.story(held)


def test_votes_are_cast_at_settling_and_only_against_the_expelled() -> None:
    made, blocks = jury(), quiet(8)
    assert of(lies(made, blocks), Voted) == []
    effects = made.handle(Total(len(blocks), True))
    assert sorted(indices(effects, Settled)) == blocks
    against = [e for e in of(effects, Voted) if e.verdict is Verdict.DISPUTED]
    assert [(e.worker, sorted(e.indices)) for e in against] == [(LIAR, blocks[:3])]  # the rest it said when it was out


def test_an_exact_difference_across_environments_is_no_vote() -> None:
    other = Digest(b"o" * 32)
    made, blocks = jury(equal=Equality.EXACT), quiet(8)
    effects = []
    for block in blocks:
        effects += made.handle(came(LIAR, out("lie"), block, fp=other))
        effects += both(made, [block], value=block)
    assert of(effects, Expelled)
    effects = made.handle(Total(len(blocks), True))
    assert all(e.verdict is Verdict.AGREED for e in of(effects, Voted))


def test_an_honest_mistake_expels_nobody_but_all_on_its_word_alone_is_run_once_more() -> None:
    made, blocks = jury(ECONOMY, established=(A, B, C)), quiet(4)
    assert indices(made.handle(came(A, out(1), *blocks)), Agreed) == blocks
    (audited,) = drawn(1)
    assert of(made.handle(came(A, out("oops"), audited)), NeedReplicas)
    made.handle(came(B, out("right"), audited))
    effects = made.handle(came(C, out("right"), audited))
    assert of(effects, Expelled) == []
    assert Standing(A, False) in effects
    effects += made.handle(Total(len(blocks) + 1, True))
    again: list[int] = []
    while asked := [e.index for e in of(effects, NeedReplicas)]:  # some at once, the rest in the last round
        again += asked
        effects = made.handle(came(D, out(1), *asked))
    assert sorted(again) == blocks
    assert made._docket.finals == len(blocks) + 1


def test_an_answer_that_a_check_held_until_its_worker_was_expelled_counts_as_lost() -> None:
    made, (held, *rest) = jury(), quiet(9)
    made.handle(came(C, out(3), held))
    lies(made, rest)
    assert of(made.handle(came(LIAR, out(3), held)), NextOwner) == [NextOwner([held])]
    assert of(made.handle(came(LIAR, out(3), 9999)), NextOwner) == [NextOwner([9999])]


# -- when it is final -------------------------------------------------------------------------------------------------


def test_a_window_closes_after_so_many_checks_passed() -> None:
    made = jury(replace(ECONOMY, window=3), established=(A, B))
    alone = quiet(1)
    made.handle(came(A, out(1), *alone))
    for number, block in enumerate(quiet(3, 1000)):
        made.handle(came(C, out(2), block))  # a newcomer's, whom A bears out
        assert (alone[0] in indices(made.handle(came(A, out(2), block)), Settled)) == (number == 2)


def test_a_newcomers_checks_make_nothing_of_its_own_final() -> None:
    made, blocks = jury(replace(ECONOMY, window=3)), quiet(9)
    assert indices(both(made, blocks), Settled) == []
    assert len(indices(both(made, quiet(3, 2000)), Settled)) > 0  # established by now


def test_in_the_last_round_what_is_credible_is_final_and_the_rest_is_run_again() -> None:
    made, (one, two) = jury(ECONOMY, established=(A, B)), quiet(2)
    made.handle(came(A, out(1), one))
    made.handle(came(B, out(1), two))
    (audited,) = drawn(1)
    made.handle(came(A, out("oops"), audited))
    effects = made.handle(Total(3, True))
    assert of(effects, Settled) == []  # an audit is out
    made.handle(came(C, out("right"), audited))
    assert one not in indices(made.handle(came(D, out("right"), audited)), Settled)  # A's lone one is run again
    assert one in indices(made.handle(came(E, out(1), one)), Settled)
    assert made._docket.finals == 3


def test_a_failure_that_two_show_is_final_at_once_and_one_alone_is_not() -> None:
    made, (block,) = jury(ECONOMY, established=(A,)), quiet(1)
    assert made.handle(came(A, failed(), block)) == [NextOwner([block])]
    (agreed, *votes) = made.handle(came(B, failed(), block))
    assert agreed == Agreed([block], [output_digest(failed())], [failed()], [(A, B)], True, True)
    assert {v.worker for v in votes} == {A, B}  # type: ignore[union-attr]
    assert made.handle(came(C, out(1), block)) == []


# -- who is left ------------------------------------------------------------------------------------------------------


def test_where_no_other_owner_comes_one_answer_is_enough() -> None:
    made, (one, two) = jury(), quiet(2)
    made.handle(Total(2, True))
    made.handle(came(A, out(1), one))
    effects = made.handle(NoReplica([one, two]))
    assert [(e.indices, e.cross_validated) for e in of(effects, Agreed)] == [([one], False)]
    effects = made.handle(came(A, out(1), two))
    assert indices(effects, Agreed) == [two]
    assert indices(effects, Settled) == [one, two]
    assert of(effects, Voted) == []


def test_where_no_answer_counts_and_nobody_comes_the_requester_runs_it_itself() -> None:
    made, (held, *rest) = jury(), quiet(8)
    made.handle(came(LIAR, out("lie"), held))
    assert of(lies(made, rest), Expelled)
    assert made.handle(NoReplica([held])) == [SelfCheck(held)]
    assert [e.workers for e in of(made.handle(checked(held, "mine")), Agreed)] == [[(ME,)]]


def test_and_where_it_cannot_the_block_is_disputed_rather_than_waited_for() -> None:
    made, (held, *rest) = jury(), quiet(8)
    made.handle(came(LIAR, out("lie"), held))
    lies(made, rest)
    made.handle(NoReplica([held]))
    (disputed,) = of(made.handle(SelfCheckFailed(held, "no sandbox")), Disputed)
    assert disputed.words == "no owner is left whose answer counts"


def test_a_lone_answer_of_who_erred_once_does_not_keep_the_job_from_its_end() -> None:
    made, (lone, *_) = jury(ECONOMY, established=(A, B, C)), quiet(1)
    made.handle(NoReplica([lone]))
    made.handle(came(A, out(1), lone))
    (audited,) = drawn(1)
    made.handle(came(A, out("oops"), audited))
    made.handle(came(B, out("right"), audited))
    made.handle(came(C, out("right"), audited))
    assert sorted(indices(made.handle(Total(2, True)), Settled)) == sorted([lone, audited])


def test_the_requesters_worker_and_its_own_run_are_one_voice() -> None:
    """Its node answered in the ordinary way: an agreement that is denied still gets the run that it trusts."""
    made, (block,) = jury(), drawn(1)
    both(made, [block], A, ME, "x")
    assert made.handle(came(C, out("y"), block)) == [SelfCheck(block)]
    effects = made.handle(checked(block, "x"))
    assert made._docket.cases[block].voices() == 3
    assert of(effects, SelfCheck) == of(effects, Disputed) == []


def voice(worker: NodeId, value: object = 1) -> Voice:
    return Voice(worker, f"own_{worker}", F, output_digest(out(value)))


# -- restarts ---------------------------------------------------------------------------------------------------------


def test_after_a_restart_what_was_provisional_waits_for_its_draws_and_no_more() -> None:
    made, (one,), (audited,) = jury(), quiet(1), drawn(1)
    voices = [voice(A), voice(B)]
    made.handle(Abandoned([7]))
    assert made.handle(Restored(one, output_digest(out(1)), voices)) == []
    effects = made.handle(Restored(audited, output_digest(out(1)), voices))
    assert effects == [NeedReplicas(audited, 1, False, ("own_a", "own_b"), drawn=True)]
    assert made.handle(Total(3, True)) == []
    effects = made.handle(came(C, out(1), audited))
    assert indices(effects, Agreed) == []
    assert sorted(indices(effects, Settled)) == sorted([one, audited])


def test_after_a_restart_a_lone_word_of_whom_the_ledger_does_not_know_is_run_again() -> None:
    made, (one, two) = jury(ECONOMY), quiet(2)
    made.handle(Known(A, "own_a", 30))
    made.handle(Known(B, "own_b", 0))
    assert made.handle(Restored(one, output_digest(out(1)), [voice(A)])) == []
    effects = made.handle(Restored(two, output_digest(out(1)), [voice(B)]))
    assert [e.index for e in of(effects, NeedReplicas)] == [two]
    assert indices(made.handle(Total(2, True)), Settled) == []
    assert sorted(indices(made.handle(came(C, out(1), two)), Settled)) == [one, two]


def test_a_block_that_was_decided_elsewhere_is_closed() -> None:
    made, (block,) = jury(), quiet(1)
    made.handle(came(A, out(1), block))
    made.handle(Abandoned([block]))
    assert made.handle(came(B, out(1), block)) == []
    assert made.handle(Restored(block, output_digest(out(1)), [voice(A)])) == []


# -- a program at fault -----------------------------------------------------------------------------------------------


def test_a_program_that_wavers_is_paused_and_nobody_is_blamed_then_or_later() -> None:
    made, effects = jury(replace(BARE, reruns_first=16)), []
    pairs = [(A, B), (B, C), (C, A)]
    for at, block in enumerate(quiet(9)):
        for life in (1, 2):
            for worker in pairs[at % 3]:
                effects += made.handle(came(worker, out([block, worker, life]), block))
        if at == 3:
            assert of(effects, JobNondeterministic) == []  # all three may be in league
            made.handle(checked(of(effects, SelfCheck)[0].index, 1, 2))
    (paused,) = of(effects, JobNondeterministic)
    assert "same machines" in paused.words
    before = made.paused
    made.handle(Resume())
    assert (before, made.paused) == (True, False)
    for block in quiet(8, 4000):
        effects += made.handle(came(LIAR, out("lie"), block))
        effects += both(made, [block], value=block)
    effects += made.handle(Total(17, True))
    assert of(effects, Expelled) == []
    assert all(e.verdict is Verdict.AGREED for e in of(effects, Voted))


def test_a_program_that_differs_by_machine_is_paused() -> None:
    """Everybody stands by an answer of his own, the requester too."""
    made, effects = jury(replicas_max=3), []
    for block in quiet(8):
        for worker in (A, B, C):
            effects += made.handle(came(worker, out([block, worker]), block))
    (paused,) = of(effects, JobNondeterministic)
    assert "machine to machine" in paused.words


def test_two_own_runs_that_differ_speak_against_the_program() -> None:
    made, (block,) = jury(replace(BARE, own_first=1)), quiet(1)
    assert SelfCheck(block) in both(made, [block])
    assert made.handle(checked(block, 1, 2)) == [SelfCheck(block)]  # once may be bad memory
    effects = made.handle(checked(block, 3, 4))
    (paused,) = of(effects, JobNondeterministic)
    assert "run twice on one machine" in paused.words


def test_who_was_expelled_is_pardoned_when_it_turns_out_to_be_the_program() -> None:
    made = jury(replace(BARE, anchors=1, own_first=10))
    first, *blocks = quiet(9)
    both(made, [first], value=5)
    made.handle(checked(first, 5))
    effects = lies(made, blocks)
    assert [e.worker for e in of(effects, Expelled)] == [LIAR]
    one, other = (asked.index for asked in of(effects, SelfCheck))
    assert not of(made.handle(checked(one, 1, 2)), Pardoned)
    effects = made.handle(checked(other, 3, 4))
    assert of(effects, JobNondeterministic) and of(effects, Pardoned) == [Pardoned(LIAR)]
    assert Remembered(LIAR, "lia", 0, 0, 0, False, False) in [replace(e, owner="lia") for e in made.take_learned() if isinstance(e, Remembered)]
    made.handle(Resume())
    assert not of(lies(made, quiet(8, 4000)), Expelled)


def test_an_own_run_that_differed_once_is_made_again_and_counts() -> None:
    made, (block,) = jury(replace(BARE, own_first=1)), quiet(1)
    both(made, [block], value="x")
    made.handle(checked(block, "x", "bad memory"))
    assert of(made.handle(checked(block, "x")), JobNondeterministic) == [] and not made.paused
    assert made._audit.backed == 1


def test_in_economy_an_answer_that_the_check_could_not_judge_does_not_stand_alone() -> None:
    """Else who is trusted need only make the check stumble, and nobody would look."""
    made, (one, two) = jury(ECONOMY, established=(A,)), quiet(2)
    unjudged = replace(came(A, out(1), one), judged=False)
    assert indices(made.handle(unjudged), NextOwner) == [one]
    assert indices(made.handle(came(B, out(1), one)), Agreed) == [one]
    assert indices(made.handle(came(A, out(1), two)), Agreed) == [two]


def test_in_strict_only_who_was_right_before_anybody_else_answered_makes_answers_final() -> None:
    """B says what A said: a leaky requester told it. Its audits say nothing of what it would say by itself."""
    made, (asked,), blocks = jury(replace(BARE, window_strict=1)), drawn(1), quiet(2, share=0.03)
    both(made, [asked])
    made.handle(came(C, out(1), asked))  # the audit: A led
    assert indices(both(made, blocks[:1], C, B), Settled) == []
    (more,) = [index for index in drawn(2) if index != asked]
    both(made, [more], D, B)
    assert indices(made.handle(came(E, out(1), more)), Settled) == [more], "D led; B followed twice"
    late = quiet(3, 5000, share=0.03)
    both(made, late[:1], A, B)
    assert indices(both(made, late[1:2], E, B), Settled) == []
    (third,) = [index for index in drawn(3) if index not in (asked, more)]
    both(made, [third], A, D)
    assert sorted(indices(made.handle(came(B, out(1), third)), Settled)) == sorted([third, late[0]]), "A's window closed, not that of B and E"
