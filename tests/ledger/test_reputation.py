"""What a node thinks of workers: from testimony it trusts, and from nothing else."""

from __future__ import annotations

import pytest

from ctorrent.ledger.beta import below, lower_bound
from ctorrent.ledger.reputation import Reputation
from ctorrent.ledger.tally import Counts
from ctorrent.ledger.trust_rules import ReputationRules
from ctorrent.model.entry import Tally
from ctorrent.model.ids import Digest, OwnerId

from .logs import author, entry

ME, FRIEND, STRANGER, WORKER = author(0), author(1), author(2), author(3)


def tally(worker, agreed: int, disputed: int = 0, invalid: int = 0) -> Tally:
    return Tally(Digest(b"t" * 32), worker, OwnerId("own_w"), agreed, disputed, invalid, "cpu", b"r" * 32)


def told(reputation: Reputation, signer, *tallies: Tally, first: int = 1) -> None:
    for seq, one in enumerate(tallies, first):
        reputation.learn(entry(signer, seq), one)


def test_the_bound_agrees_with_known_quantiles() -> None:
    # scipy 1.14: beta.ppf(0.05, a, b)
    for (good, bad), expected in {
        (0, 0): 0.05, (10, 0): 0.76159581, (100, 0): 0.970774846, (10, 5): 0.451652919, (95, 5): 0.898731028, (3, 40): 0.031651121,
    }.items():  # fmt: skip
        assert lower_bound(good, bad, 0.95) == pytest.approx(expected, abs=1e-8), (good, bad)
        assert below(lower_bound(good, bad, 0.95), good + 1, bad + 1) == pytest.approx(0.05, abs=1e-9)
    assert lower_bound(1e5, 10.0, 0.95) > 0.999
    for refused in ((-1, 0, 0.95), (0, 0, 1.0)):
        with pytest.raises(ValueError):
            lower_bound(*refused)


def test_own_experience_makes_an_established_worker() -> None:
    reputation = Reputation(ME)
    assert reputation.record(WORKER).newcomer
    told(reputation, ME, tally(WORKER, 50))
    record = reputation.snapshot()[WORKER]
    assert not record.newcomer and record.lower_bound > 0.9 and record.blocks == 50


def test_strangers_weigh_nothing_neither_good_nor_bad() -> None:
    reputation = Reputation(ME, {FRIEND: 0.5})
    told(reputation, ME, tally(WORKER, 50))
    before = reputation.record(WORKER)
    told(reputation, STRANGER, tally(WORKER, 0, 10_000))
    for sybil in range(100, 1100):
        told(reputation, author(sybil), tally(author(sybil + 1), 1000))
    assert reputation.record(WORKER) == before
    assert all(reputation.record(author(s)).blocks == 0 for s in range(100, 1101))


def test_a_friends_word_counts_for_as_much_as_it_is_trusted() -> None:
    reputation = Reputation(ME, {FRIEND: 0.5})
    told(reputation, FRIEND, tally(WORKER, 20, 4, 2))
    record = reputation.record(WORKER)
    assert (record.agreed, record.disputed) == (10.0, 2.0), "a complaint that nobody else makes stands for two blocks"
    reputation.trust({})
    assert reputation.record(WORKER).blocks == 0


def test_nobody_vouches_for_itself() -> None:
    reputation = Reputation(ME, {FRIEND: 1.0})
    told(reputation, FRIEND, tally(FRIEND, 1000))
    assert reputation.record(FRIEND).blocks == 0


def test_later_tallies_make_earlier_ones_fade() -> None:
    reputation = Reputation(ME)
    told(reputation, ME, tally(WORKER, 0, 50), *[tally(WORKER, 10)] * 100)
    record = reputation.record(WORKER)
    assert record.disputed == pytest.approx(50 * 0.97**100)
    assert record.lower_bound > 0.95
    lines = reputation.why(WORKER)
    assert [line.seq for line in lines[:2]] == [101, 100] and lines[0].weight == 1.0
    assert sum(line.weight * line.counts.agreed for line in lines) == pytest.approx(record.agreed)


def test_verdicts_not_yet_told_count_at_once() -> None:
    reputation = Reputation(ME)
    assert reputation.snapshot({WORKER: Counts(30, 0, 0)})[WORKER].blocks == 30


def test_a_fork_takes_back_what_was_said_after_it_and_is_remembered() -> None:
    reputation = Reputation(ME, {FRIEND: 1.0})
    told(reputation, FRIEND, tally(WORKER, 10), tally(WORKER, 0, 100))
    reputation.forked(FRIEND, 0, 2)
    assert reputation.record(WORKER).disputed == 0
    assert reputation.record(WORKER).agreed == 10
    assert reputation.snapshot()[FRIEND].forks == 1


def test_memory_is_bounded_and_strangers_go_first() -> None:
    rules = ReputationRules(pairs_max=5, workers_max=5, testimonies_max=4)
    reputation = Reputation(ME, {FRIEND: 0.5}, rules)
    told(reputation, ME, tally(WORKER, 1))
    told(reputation, FRIEND, *[tally(WORKER, 1)] * 10)
    assert reputation.record(WORKER).blocks > 1
    for stranger in range(50, 90):
        told(reputation, author(stranger), tally(WORKER, 1))
        told(reputation, author(stranger), *[tally(author(stranger + n), 1) for n in range(100, 104)], first=2)
    lines = reputation.why(WORKER)
    assert {ME, FRIEND} <= {line.author for line in lines}, "no flood of strangers makes this node forget what it saw"
    assert sum(line.author == FRIEND for line in lines) == 4
    for worker in range(100, 120):
        told(reputation, ME, tally(author(worker), 1))
    assert len(reputation.snapshot()) == 5
