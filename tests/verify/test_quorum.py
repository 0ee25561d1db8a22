"""Stories of one job's quorum: agreement, evidence before blame, and when the program is to blame."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest

from ctorrent import canon
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import Equality, Verify
from ctorrent.model.result import Failure, FailureKind, Outcome, Verdict, output_digest
from ctorrent.verify.quorum import Quorum
from ctorrent.verify.waver import Wavering
from ctorrent.verify.words import (
    Abandoned,
    Agreed,
    Arrived,
    CoalesceOff,
    Disputed,
    Effect,
    Event,
    FetchOutput,
    JobNondeterministic,
    NeedReplicas,
    NoReplica,
    OutputFetched,
    Rerun,
    RerunLost,
    Resume,
    Rules,
    SelfCheck,
    SelfChecked,
    SelfCheckFailed,
    Total,
    Voted,
)

A, B, C, D, ME = (NodeId(name) for name in ("a", "b", "c", "d", "me"))
F, G = Digest(b"f" * 32), Digest(b"g" * 32)


def out(value: object) -> bytes:
    return Outcome(canon.encode(value)).output()


def failed(name: str = "ValueError", kind: FailureKind = FailureKind.EXCEPTION) -> bytes:
    return Outcome(None, Failure(kind, name)).output()


def came(worker: NodeId, output: bytes, *indices: int, alone: bool = True, fp: Digest = F, owner: str = "") -> Arrived:
    indices = indices or (0,)
    count = len(indices)
    return Arrived(worker, owner or f"own_{worker}", fp, indices, [output_digest(output)] * count, [output] * count, alone)


def checked(index: int, first: object, second: object | None = None, fp: Digest = F) -> SelfChecked:
    return SelfChecked(index, ME, "own_me", fp, (out(first), out(first if second is None else second)))


def agreed(indices: list[int], output: bytes, *workers: NodeId, failed: bool = False, cross: bool = True) -> Agreed:
    count = len(indices)
    return Agreed(indices, [output_digest(output)] * count, [output] * count, [workers] * count, failed, cross)


class Steadfast(Quorum):
    """Its workers, asked to run a block again, give the same answer at once."""

    def __init__(self, policy: Verify, rules: Rules | None = None) -> None:
        super().__init__(policy, rules)
        self.reruns: list[Rerun] = []
        self._answers: dict[tuple[NodeId, int], Arrived] = {}

    def handle(self, event: Event, now: float = 0.0) -> list[Effect]:
        if isinstance(event, Arrived):
            for index, digest, output in zip(event.indices, event.digests, event.outputs, strict=True):
                again = replace(event, indices=(index,), digests=(digest,), outputs=(output,), alone=True)
                self._answers[event.worker, index] = again
        effects: list[Effect] = []
        todo = deque([event])
        while todo:
            for effect in super().handle(todo.popleft(), now):
                if isinstance(effect, Rerun):
                    self.reruns.append(effect)
                    todo += [self._answers[worker, effect.index] for worker in effect.workers]
                else:
                    effects.append(effect)
        return effects


def steady(quorum: Quorum, first: int = 100, blocks: int = 8) -> None:
    """A job whose first blocks were agreed on: nothing speaks against the program."""
    indices = range(first, first + blocks)
    quorum.handle(came(C, out("x"), *indices))
    quorum.handle(came(D, out("x"), *indices))


# -- agreement --------------------------------------------------------------------------------------------------------


def test_two_owners_agree_and_both_are_voted_for() -> None:
    quorum = Quorum(Verify())
    assert quorum.handle(came(A, out(1), 0, 1, 2, alone=False)) == []
    assert quorum.handle(came(B, out(1), 0, 1, alone=False)) == [
        agreed([0, 1], out(1), A, B),
        Voted(A, Verdict.AGREED, [0, 1]),
        Voted(B, Verdict.AGREED, [0, 1]),
    ]
    assert list(quorum._ballots) == [2]


def test_floats_agree_within_the_tolerance_and_the_first_bytes_are_kept() -> None:
    quorum = Quorum(Verify())
    quorum.handle(came(A, out({"loss": 0.1})))
    assert quorum.handle(came(B, out({"loss": 0.1 + 1e-12})))[0] == agreed([0], out({"loss": 0.1}), A, B)


def test_what_is_decided_stays_decided() -> None:
    quorum = Quorum(Verify())
    quorum.handle(came(A, out(1)))
    quorum.handle(came(B, out(1)))
    assert quorum.handle(came(C, out(2))) == []
    assert quorum.handle(came(D, out(2))) == []
    quorum.handle(Abandoned((5,)))
    assert quorum.handle(came(C, out(2), 5)) == []


def test_one_owner_has_one_voice() -> None:
    quorum = Quorum(Verify())
    quorum.handle(came(A, out(1)))
    assert quorum.handle(came(A, out(1))) == []
    assert quorum.handle(came(B, out(1), owner="own_a")) == []
    assert quorum.handle(came(B, out(1)))[0] == agreed([0], out(1), A, B)


def test_one_replica_is_enough_where_the_job_says_so_and_nobody_is_voted_for() -> None:
    quorum = Quorum(Verify(replicas=1))
    assert quorum.handle(came(A, out(1))) == [agreed([0], out(1), A, cross=False)]


def test_with_one_owner_only_a_result_settles_unchecked_and_says_so() -> None:
    quorum = Quorum(Verify())
    quorum.handle(came(A, out(1), 0))
    assert quorum.handle(NoReplica((0, 1))) == [agreed([0], out(1), A, cross=False)]
    assert quorum.handle(came(A, out(1), 1)) == [agreed([1], out(1), A, cross=False)]


def test_large_outputs_are_fetched_only_where_digests_differ() -> None:
    quorum = Quorum(Verify())
    big, near = out(1.0), out(1.0 + 1e-12)
    quorum.handle(Arrived(A, "oa", F, (0, 1), [output_digest(big)] * 2, [None, None], True))
    effects = quorum.handle(Arrived(B, "ob", F, (0, 1), [output_digest(big), output_digest(near)], [None, None], True))
    assert effects[:2] == [FetchOutput(1, A, output_digest(big)), FetchOutput(1, B, output_digest(near))]
    assert isinstance(effects[2], Agreed) and effects[2].indices == [0] and effects[2].outputs == [None]
    assert quorum.handle(OutputFetched(1, A, big)) == []
    assert quorum.handle(OutputFetched(1, B, near))[0] == Agreed([1], [output_digest(big)], [big], [(A, B)], False, True)


def test_an_output_that_cannot_be_fetched_never_came() -> None:
    quorum = Quorum(Verify())
    quorum.handle(Arrived(A, "oa", F, (0,), [output_digest(b"1")], [None], True))
    quorum.handle(came(B, out(1)))
    assert quorum.handle(OutputFetched(0, A, None)) == [NeedReplicas(0, 1, True, ("own_b", "oa"))]
    assert quorum.handle(came(C, out(1)))[0] == agreed([0], out(1), B, C)


# -- failures ---------------------------------------------------------------------------------------------------------


def test_a_failure_that_two_owners_reproduce_is_the_programs() -> None:
    quorum = Quorum(Verify())
    quorum.handle(came(A, failed()))
    assert quorum.handle(came(B, failed()))[0] == agreed([0], failed(), A, B, failed=True)


def test_a_failure_that_one_shows_is_tried_elsewhere_and_blames_nobody() -> None:
    quorum = Quorum(Verify())
    quorum.handle(came(A, failed("", FailureKind.MEMORY)))
    assert quorum.handle(came(B, out(1))) == [NeedReplicas(0, 1, True, ("own_a", "own_b"))]
    assert quorum.handle(came(C, out(1))) == [
        agreed([0], out(1), B, C), Voted(B, Verdict.AGREED, [0]), Voted(C, Verdict.AGREED, [0]),
    ]  # fmt: skip


def test_with_one_replica_a_failure_needs_a_second_opinion() -> None:
    quorum = Quorum(Verify(replicas=1))
    assert quorum.handle(came(A, failed(), 0, 1)) == [
        NeedReplicas(0, 1, True, ("own_a",)), NeedReplicas(1, 1, True, ("own_a",)),
    ]  # fmt: skip
    assert quorum.handle(came(B, failed(), 0))[0] == agreed([0], failed(), A, B, failed=True)
    assert quorum.handle(came(B, out(1), 1)) == [NeedReplicas(1, 1, True, ("own_a", "own_b"))], "one against one"
    assert quorum.handle(came(C, out(1), 1))[0] == agreed([1], out(1), B, C)


def test_a_lone_owners_failure_is_reported_as_it_is() -> None:
    quorum = Quorum(Verify())
    quorum.handle(NoReplica((0,)))
    assert quorum.handle(came(A, failed())) == [agreed([0], failed(), A, failed=True, cross=False)]


# -- disputes ---------------------------------------------------------------------------------------------------------


def test_a_dispute_in_order_rerun_selfcheck_rerun_majority_vote() -> None:
    quorum = Quorum(Verify())
    steady(quorum)
    quorum.handle(came(A, out(1), alone=False))
    assert quorum.handle(came(B, out(7), alone=False)) == [Rerun(0, (A, B))]
    assert quorum.handle(came(A, out(1))) == []
    assert quorum.handle(came(B, out(7))) == [SelfCheck(0)]
    assert quorum.handle(checked(0, 1)) == [Rerun(0, (B,))], "whose answer is about to be held against it"
    assert quorum.handle(came(B, out(7))) == [
        agreed([0], out(1), A, ME),
        Voted(A, Verdict.AGREED, [0]),
        Voted(ME, Verdict.AGREED, [0]),
        Voted(B, Verdict.DISPUTED, [0]),
    ]


def test_who_was_found_out_needs_no_further_self_check() -> None:
    quorum = Steadfast(Verify())
    steady(quorum)
    for event in (came(A, out(1)), came(B, out(7)), checked(0, 1)):
        quorum.handle(event)
    quorum.handle(came(A, out(1), 1))
    assert quorum.handle(came(B, out(7), 1)) == [NeedReplicas(1, 1, True, ("own_a", "own_b"))]
    effects = quorum.handle(came(C, out(1), 1))
    assert effects[0] == agreed([1], out(1), A, C)
    assert effects[-1] == Voted(B, Verdict.DISPUTED, [1])


def test_coalescing_is_the_first_suspect_and_then_nobody_is_blamed() -> None:
    quorum = Quorum(Verify())
    quorum.handle(came(A, out(1), alone=False))
    assert quorum.handle(came(B, out(2), alone=False)) == [Rerun(0, (A, B))]
    quorum.handle(came(A, out(3)))
    effects = quorum.handle(came(B, out(3)))
    assert isinstance(effects[0], CoalesceOff)
    assert effects[1] == agreed([0], out(3), A, B)
    assert [e.verdict for e in effects if isinstance(e, Voted)] == [Verdict.AGREED, Verdict.AGREED]


def test_a_thousand_wrong_blocks_of_one_unit_are_not_all_run_again() -> None:
    quorum = Quorum(Verify())
    steady(quorum, first=5000, blocks=3000)
    many = tuple(range(1000))
    seen = quorum.handle(came(A, out(1), *many, alone=False)) + quorum.handle(came(B, out(7), *many, alone=False))
    assert [type(e) for e in seen] == [Rerun] * 16, "at once"
    for index in range(1000):  # both sides answer; the coordinator checks; a third owner gives the right answer
        answers = came(A, out(1), index), came(B, out(7), index), checked(index, 1), came(C, out(1), index)
        for event in (*answers, came(B, out(7), index)):
            seen += quorum.handle(event)
    assert sum(len(e.workers) for e in seen if isinstance(e, Rerun)) < 80
    assert not quorum._ballots
    assert sorted(i for e in seen if isinstance(e, Agreed) for i in e.indices) == list(many)
    blamed = {e.worker for e in seen if isinstance(e, Voted) and e.verdict is Verdict.DISPUTED}
    assert blamed == {B}


def test_where_a_majority_agrees_only_the_odd_one_and_those_who_ran_it_with_others_run_it_again() -> None:
    quorum = Quorum(Verify(replicas=3))
    quorum.handle(came(A, out(1), alone=True))
    quorum.handle(came(B, out(1), alone=False))
    assert quorum.handle(came(C, out(2), alone=True)) == [Rerun(0, (B, C))]


def test_who_never_ran_it_again_alone_is_not_voted_against() -> None:
    quorum = Quorum(Verify())
    steady(quorum)
    quorum.handle(came(A, out(1), alone=True))
    quorum.handle(came(B, out(2), alone=True))
    quorum.handle(came(A, out(1), alone=True))
    assert quorum.handle(RerunLost(0, B)) == [SelfCheck(0)]
    assert quorum.handle(checked(0, 1)) == [Rerun(0, (B,))], "a machine may have died meanwhile: once more"
    effects = quorum.handle(RerunLost(0, B))
    assert effects[0] == agreed([0], out(1), A, ME)
    assert Verdict.DISPUTED not in [e.verdict for e in effects if isinstance(e, Voted)]


# -- contradictions ---------------------------------------------------------------------------------------------------


def contradict(quorum: Quorum, worker: NodeId, index: int, *others: NodeId) -> list[Effect]:
    """A worker gives two answers to a block; the first other one answers steadily, and gives the right one."""
    seen = quorum.handle(came(worker, out(-1), index))
    seen += quorum.handle(came(others[0], out(index), index))
    assert seen[-1] == Rerun(index, (worker, others[0]))
    seen += quorum.handle(came(others[0], out(index), index))
    return seen + quorum.handle(came(worker, out(index), index))


def test_who_contradicts_itself_is_not_accused_and_its_newest_answer_counts() -> None:
    quorum = Quorum(Verify())
    steady(quorum)
    effects = contradict(quorum, B, 0, A)
    assert effects[1:] == [agreed([0], out(0), B, A), Voted(B, Verdict.AGREED, [0]), Voted(A, Verdict.AGREED, [0])]
    assert quorum.story(0)[-1] == "b gave two answers, alone both times: result is -1 and 0"


def test_who_loses_with_its_second_answer_is_not_accused_either() -> None:
    quorum = Quorum(Verify())
    steady(quorum)
    quorum.handle(came(A, out(1)))
    quorum.handle(came(B, out(7)))
    quorum.handle(came(A, out(1)))
    assert quorum.handle(came(B, out(8))) == [SelfCheck(0)]
    effects = quorum.handle(checked(0, 1))
    assert effects[0] == agreed([0], out(1), A, ME)
    assert {e.worker for e in effects if isinstance(e, Voted)} == {A, ME}
    assert quorum.withheld() == {}


def test_a_tolerance_is_a_tolerance_of_ones_own_answers_too() -> None:
    quorum = Quorum(Verify())
    steady(quorum)
    quorum.handle(came(A, out(1.0)))
    quorum.handle(came(B, out(7.0)))
    quorum.handle(came(A, out(1.0)))
    assert quorum.handle(came(B, out(7.0 + 1e-11))) == [SelfCheck(0)]
    assert quorum.handle(checked(0, 1.0)) == [Rerun(0, (B,))]
    assert Voted(B, Verdict.DISPUTED, [0]) in quorum.handle(came(B, out(7.0)))


def test_large_answers_are_fetched_to_be_compared_with_the_first() -> None:
    quorum = Quorum(Verify())
    one, other = out(1.0), out(2.0)
    for worker, output in ((A, one), (B, other)):
        quorum.handle(Arrived(worker, f"own_{worker}", F, (0,), [output_digest(output)], [None], True))
    quorum.handle(OutputFetched(0, A, one))
    assert quorum.handle(OutputFetched(0, B, other)) == [Rerun(0, (A, B))]
    quorum.handle(Arrived(A, "own_a", F, (0,), [output_digest(one)], [None], True))
    again = quorum.handle(Arrived(B, "own_b", F, (0,), [output_digest(one)], [None], True))
    assert again == [FetchOutput(0, B, output_digest(one))], "it differs from what B said first: by how much?"
    effects = quorum.handle(OutputFetched(0, B, one))
    assert isinstance(effects[0], Agreed) and effects[0].workers == [(A, B)]
    assert "gave two answers" in quorum.story(0)[-1]


def test_two_owners_that_contradict_themselves_are_the_programs_doing() -> None:
    quorum = Quorum(Verify())
    steady(quorum)
    assert not any(isinstance(e, JobNondeterministic) for e in contradict(quorum, A, 0, B))
    assert not any(isinstance(e, JobNondeterministic) for e in contradict(quorum, A, 1, B)), "again the same"
    words = [e.words for e in contradict(quorum, B, 2, A) if isinstance(e, JobNondeterministic)]
    assert words == [
        "result of block 2, run twice by one worker alone: result is -1 and 2: "
        "use the given seed, widen rtol, or verify: {replicas: 1}"
    ]


def test_a_few_among_very_many_owners_do_not_stop_the_job() -> None:
    quorum = Quorum(Verify())
    for worker in range(100):
        quorum.handle(came(NodeId(f"w{worker}"), out("x"), *range(1000 + worker, 1002 + worker)))
    assert not any(isinstance(e, JobNondeterministic) for i, w in enumerate((A, B, C)) for e in contradict(quorum, w, i, D))


def test_two_accidents_among_very_many_blocks_do_not_stop_the_job() -> None:
    quorum = Quorum(Verify())
    steady(quorum, blocks=5000)
    seen = contradict(quorum, A, 0, C) + contradict(quorum, B, 1, C)
    assert not any(isinstance(e, JobNondeterministic) for e in seen)


def test_who_contradicts_itself_again_and_again_where_nobody_else_does_is_voted_against() -> None:
    """It never gives an answer twice, so no block proves anything; all of them together do."""
    quorum, seen = Quorum(Verify()), list[Effect]()
    steady(quorum, blocks=100)
    for index in range(20):
        todo = deque[Event]([came(A, out(index), index), came(B, out(f"{index}"), index)])
        todo += [came(A, out(index), index), came(B, out(f"again {index}"), index), came(C, out(index), index)]
        while todo:
            effects = quorum.handle(todo.popleft())
            todo += [checked(e.index, e.index) for e in effects if isinstance(e, SelfCheck)]
            seen += effects
    assert not any(isinstance(e, JobNondeterministic) for e in seen)
    against = [e for e in seen if isinstance(e, Voted) and e.verdict is Verdict.DISPUTED]
    assert {e.worker for e in against} == {B}
    assert sorted(i for e in against for i in e.indices) == list(range(20))


def test_chance_decides_whether_one_wavers_by_itself() -> None:
    def found_after(workers: int) -> int:
        waver = Wavering(Rules())
        for number in range(workers):
            waver.heard(NodeId(f"w{number}"), f"own_{number}")
            waver.agreed(NodeId(f"w{number}"), 1000)
        for count in range(1, 100):
            waver.contradicted("own_0")
            if waver.is_unsteady(NodeId("w0")):
                return count
        return 100

    assert [found_after(n) for n in (1, 2, 4, 16)] == [100, 15, 8, 5], "n × n^-c <= 1e-4, but for its own share"


def test_no_majority_within_the_limit_is_disputed_in_words() -> None:
    quorum = Steadfast(Verify(replicas_max=3))
    steady(quorum)
    quorum.handle(came(A, out({"loss": [0.1]})))
    quorum.handle(came(B, out({"loss": [0.2]})))
    assert quorum.handle(SelfCheckFailed(0, "no sandbox")) == [NeedReplicas(0, 1, True, ("own_a", "own_b"))]
    assert quorum.handle(came(C, out({"loss": [0.3]}))) == [Disputed(0, 'result["loss"][0] is 0.1 and 0.2', (A, B, C))]


def test_two_owners_alone_that_differ_are_disputed() -> None:
    quorum = Steadfast(Verify())
    steady(quorum)
    quorum.handle(came(A, out(1)))
    quorum.handle(came(B, out(2)))
    quorum.handle(SelfCheckFailed(0, "no sandbox"))
    assert [type(e) for e in quorum.handle(NoReplica((0,)))] == [Disputed]


@pytest.mark.parametrize(("fingerprint", "blamed"), [(F, True), (G, False)])
def test_an_exact_difference_is_evidence_only_between_equal_environments(fingerprint: Digest, blamed: bool) -> None:
    quorum = Steadfast(Verify(equal=Equality.EXACT))
    steady(quorum)
    quorum.handle(came(A, out(1.0)))
    quorum.handle(came(B, out(1.5), fp=fingerprint))
    votes = [e for e in quorum.handle(checked(0, 1.0)) if isinstance(e, Voted)]
    assert (Voted(B, Verdict.DISPUTED, [0]) in votes) is blamed


def test_a_numeric_difference_is_evidence_across_environments() -> None:
    quorum = Steadfast(Verify())
    steady(quorum)
    quorum.handle(came(A, out(1.0)))
    quorum.handle(came(B, out(1.5), fp=G))
    assert Voted(B, Verdict.DISPUTED, [0]) in quorum.handle(checked(0, 1.0))


def test_the_coordinators_own_node_may_lose_but_is_not_voted_against() -> None:
    quorum = Steadfast(Verify())
    steady(quorum)
    quorum.handle(came(ME, out(2), owner="own_me"))
    assert quorum.handle(came(A, out(1))) == [SelfCheck(0)]
    assert quorum.handle(checked(0, 1)) == [NeedReplicas(0, 1, True, ("own_me", "own_a"))]
    effects = quorum.handle(came(B, out(1)))
    assert effects[0] == agreed([0], out(1), A, B)
    assert Verdict.DISPUTED not in [e.verdict for e in effects if isinstance(e, Voted)]


# -- the program is to blame ------------------------------------------------------------------------------------------


def test_a_block_that_differs_from_itself_pauses_the_job_and_nobody_is_voted_against() -> None:
    quorum = Steadfast(Verify())
    quorum.handle(came(A, out({"loss": 0.1})))
    quorum.handle(came(B, out({"loss": 0.2})))
    effects = quorum.handle(checked(0, {"loss": 0.3}, {"loss": 0.4}))
    assert len(effects) == 1 and isinstance(effects[0], JobNondeterministic)
    assert 'result["loss"] is 0.3 and 0.4: use the given seed' in effects[0].words
    assert quorum.paused


def test_when_most_of_the_first_blocks_differ_the_job_pauses_with_words() -> None:
    """Different pairs of owners differ on everything: no one of them explains it."""
    quorum = Steadfast(Verify(), Rules(self_checks_at_once=0))
    effects: list[Effect] = []
    pairs = [(A, B), (B, C), (C, D), (A, C), (A, D), (B, D), (A, B), (C, D)]
    for index, (one, other) in enumerate(pairs):
        quorum.handle(came(one, out(float(index)), index))
        effects = quorum.handle(came(other, out(float(index) + 0.5), index))
    assert effects[-1] == JobNondeterministic(
        "result of block 0: result is 0.0 and 0.5: use the given seed, widen rtol, or verify: {replicas: 1}"
    )


def test_one_bad_peer_among_many_explains_the_first_disagreements() -> None:
    quorum = Steadfast(Verify())
    seen: list[Effect] = []
    honest = (B, C, D)
    for index in range(8):
        seen += quorum.handle(came(A, out(-1), index))
        seen += quorum.handle(came(honest[index % 3], out(index), index))
    for index in (0, 1):
        seen += quorum.handle(checked(index, index))
    for index in range(2, 8):
        seen += quorum.handle(came(honest[(index + 1) % 3], out(index), index))
        seen += [e for i in range(8) for e in quorum.handle(checked(i, i))]
    assert not [e for e in seen if isinstance(e, JobNondeterministic)]
    against = [e for e in seen if isinstance(e, Voted) and e.verdict is Verdict.DISPUTED]
    assert {e.worker for e in against} == {A}
    assert sorted(i for e in against for i in e.indices) == list(range(8))


def test_votes_wait_for_the_first_blocks() -> None:
    quorum = Steadfast(Verify())
    for event in (came(A, out(1)), came(B, out(7)), checked(0, 1), checked(0, 1), checked(0, 1)):
        assert Voted(B, Verdict.DISPUTED, [0]) not in quorum.handle(event)
    seen: list[Effect] = []
    for event in (came(C, out("x"), *range(1, 9)), came(D, out("x"), *range(1, 9))):
        seen += quorum.handle(event)
    assert Voted(B, Verdict.DISPUTED, [0]) in seen


def test_a_short_job_is_judged_by_the_blocks_it_has() -> None:
    quorum = Steadfast(Verify())
    quorum.handle(Total(1, True))
    quorum.handle(came(A, out(1)))
    quorum.handle(came(B, out(7)))
    seen = quorum.handle(checked(0, 1))
    assert seen[:2] == [SelfCheck(0), agreed([0], out(1), A, ME)]
    assert quorum.checking, "with so little agreed on, more proof is wanted"
    seen = quorum.handle(checked(0, 1)) + quorum.handle(checked(0, 1))
    assert Voted(B, Verdict.DISPUTED, [0]) in seen
    assert not quorum.checking


def test_a_coordinator_that_cannot_check_withholds_its_votes() -> None:
    quorum = Steadfast(Verify())
    steady(quorum)
    seen: list[Effect] = []
    for index in range(5):
        for event in (came(A, out(1), index), came(B, out(7), index), came(C, out(1), index)):
            seen += quorum.handle(event)
            seen += quorum.handle(SelfCheckFailed(index, "no sandbox here"))
    assert sum(len(e.indices) for e in seen if isinstance(e, Agreed)) == 5
    assert Verdict.DISPUTED not in [e.verdict for e in seen if isinstance(e, Voted)]
    assert sum(isinstance(e, SelfCheck) for e in seen) == 3, "it asks no more when it was refused often enough"


def test_majorities_that_contradict_the_coordinators_own_runs_are_the_programs_doing() -> None:
    quorum = Steadfast(Verify(replicas=3), Rules(self_checks_at_once=8))
    steady_indices = range(100, 108)
    for worker in (A, B, C):
        quorum.handle(came(worker, out("x"), *steady_indices))
    seen: list[Effect] = []
    for index in (0, 1):
        for worker, answer in ((A, 1), (B, 1), (C, 2)):
            seen += quorum.handle(came(worker, out(answer), index))
        seen += quorum.handle(checked(index, 3))
        seen += quorum.handle(came(D, out(1), index))
    assert [e.words for e in seen if isinstance(e, JobNondeterministic)] == [
        "result of block 1, run here twice and by a majority elsewhere: result is 3 and 1: "
        "use the given seed, widen rtol, or verify: {replicas: 1}"
    ]
    assert Verdict.DISPUTED not in [e.verdict for e in seen if isinstance(e, Voted)]


def test_a_requester_who_goes_on_gets_majorities_but_no_votes_against_anybody() -> None:
    quorum = Steadfast(Verify())
    quorum.handle(came(A, out(1)))
    quorum.handle(came(B, out(2)))
    quorum.handle(checked(0, 3, 4))
    assert quorum.handle(Resume()) == [NeedReplicas(0, 1, True, ("own_a", "own_b"))]
    effects = quorum.handle(came(C, out(1)))
    assert effects[0] == agreed([0], out(1), A, C)
    assert {e.verdict for e in effects if isinstance(e, Voted)} == {Verdict.AGREED}
    assert quorum.handle(checked(0, 3, 4)) == [], "an answer that nobody waits for"


def test_nobody_can_make_it_raise() -> None:
    quorum = Quorum(Verify())
    for event in (
        RerunLost(9, A), OutputFetched(9, A, None), checked(9, 1), SelfCheckFailed(9, ""), NoReplica((-1,)),
        came(A, b"", -5), came(A, b"\x00\xc1"), came(B, b"\x00\xc2"), NoReplica(()), came(A, b"", 1 << 40),
    ):  # fmt: skip
        quorum.handle(event)
    assert quorum.story(0)[0].startswith("differs: ")
