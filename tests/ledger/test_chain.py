"""Stories of one author's log: in order, out of order, forked, flooded."""

from __future__ import annotations

import random

import pytest

from ctorrent.ledger.chain import Accept, Chain, Duplicate, ForkProof, Ignored, Parked, Refuse, Request
from ctorrent.ledger.rules import LedgerRules
from ctorrent.model.entry import EntryKind, Head
from ctorrent.model.ids import OwnerId, Ring, RingKind

from .logs import author, entry, holding, log

ALICE, RELAY = author(1), author(99)


def test_entries_in_order_are_accepted_once() -> None:
    chain, (one, two) = Chain(), log(ALICE, 2)
    assert chain.add(one, RELAY) == [Accept(one)]
    assert chain.add(two, RELAY) == [Accept(two)]
    assert chain.add(two, RELAY) == [Duplicate(two.id)]
    assert chain.head(ALICE, 0) == Head(ALICE, 0, 2, two.id)


def test_an_entry_beyond_a_gap_is_parked_and_the_gap_requested_from_its_sender() -> None:
    chain, entries = Chain(), log(ALICE, 5)
    chain.add(entries[0])
    assert chain.add(entries[4], RELAY) == [Parked(entries[4].id), Request(ALICE, 0, 2, 4, RELAY)]
    assert chain.add(entries[3], RELAY) == [Parked(entries[3].id)], "the gap was already requested"
    assert chain.add(entries[1]) == [Accept(entries[1])]
    assert chain.add(entries[2]) == [Accept(e) for e in entries[2:]], "what waited follows at once"
    assert chain.parked(ALICE) == 0


def test_any_order_of_arrival_ends_the_same() -> None:
    entries = log(ALICE, 30)
    for seed in range(20):
        shuffled = entries[:]
        random.Random(seed).shuffle(shuffled)
        chain = holding(shuffled)
        assert chain.head(ALICE, 0) == Head(ALICE, 0, 30, entries[-1].id)
        assert chain.parked(ALICE) == 0


def test_a_wrong_predecessor_is_parked_and_its_rival_requested_until_the_fork_is_proven() -> None:
    one, two = log(ALICE, 2)
    rival = entry(ALICE, 2, one.id, body=b"another story")
    three = entry(ALICE, 3, rival.id)
    chain = holding([one, two])
    assert chain.add(three, RELAY) == [Parked(three.id), Request(ALICE, 0, 2, 2, RELAY)]
    assert chain.add(rival, RELAY) == [ForkProof(ALICE, 0, 2, two.id, None, rival)]
    assert chain.forked_at(ALICE, 0) == 2
    assert chain.parked(ALICE) == 0, "what lies behind the fork no longer waits"


def test_a_fork_keeps_what_came_before_and_silences_what_comes_after() -> None:
    entries = log(ALICE, 4)
    rival = entry(ALICE, 3, entries[1].id, body=b"another story")
    chain = holding(entries)
    assert chain.add(rival, RELAY) == [ForkProof(ALICE, 0, 3, entries[2].id, None, rival)]
    assert chain.head(ALICE, 0) == Head(ALICE, 0, 2, entries[1].id)
    assert isinstance(chain.add(entries[3], RELAY)[0], Ignored), "neither stored nor charged to who passes it on"
    assert chain.add(entries[1], RELAY) == [Duplicate(entries[1].id)]
    fresh = log(ALICE, 2, incarnation=7, after=entries[1].id)
    assert [chain.add(e) for e in fresh] == [[Accept(e)] for e in fresh], "never a life sentence"
    assert chain.forked_at(ALICE, 0) == 3 and not chain.forked_at(ALICE, 7)


def test_two_rivals_that_both_wait_prove_the_fork_without_their_predecessors() -> None:
    left, right = entry(ALICE, 5, author_id(1)), entry(ALICE, 5, author_id(2))
    chain = Chain()
    chain.add(left, RELAY)
    assert chain.add(right, RELAY) == [ForkProof(ALICE, 0, 5, left.id, left, right)]
    entries = log(ALICE, 5)
    assert [type(e) for one in entries for e in chain.add(one)] == [Accept] * 4 + [Ignored]


def test_a_rival_that_waited_is_found_when_its_place_is_filled() -> None:
    entries = log(ALICE, 3)
    rival = entry(ALICE, 3, author_id(1))
    chain = holding(entries[:1])
    chain.add(rival, RELAY)
    chain.add(entries[1])
    accept, proof, request = chain.add(entries[2])
    assert accept == Accept(entries[2])
    assert proof == ForkProof(ALICE, 0, 3, entries[2].id, entries[2], rival)
    assert request == Request(ALICE, 0, 1, 2, None), "the rival names another predecessor: the branches part earlier"


def test_the_search_for_a_forks_first_entry_goes_backwards() -> None:
    left, right = log(ALICE, 9), log(ALICE, 9, body=b"right")
    chain = holding(left)
    proof, request = chain.add(right[8], RELAY)
    assert isinstance(proof, ForkProof) and proof.seq == 9
    assert request == Request(ALICE, 0, 1, 8, RELAY)
    seqs = [e.seq for one in reversed(right[:8]) for e in chain.add(one, RELAY) if isinstance(e, ForkProof)]
    assert seqs == [8, 7, 6, 5, 4, 3, 2, 1]
    assert chain.head(ALICE, 0) is None


def test_an_entry_of_a_future_kind_passes_through() -> None:
    one = entry(ALICE, 1, kind=4711, body=b"from the future")
    two = entry(ALICE, 2, one.id)
    chain = Chain()
    assert chain.add(one, RELAY) == [Accept(one)]
    assert chain.add(two, RELAY) == [Accept(two)]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (entry(ALICE, 0), "outside any log"),
        (entry(ALICE, 1, incarnation=1 << 32, kind=EntryKind.INCARNATION), "outside any log"),
        (entry(ALICE, 1, incarnation=1), "does not begin with its opening entry"),
        (entry(ALICE, 1, b"x" * 32), "with a predecessor"),
        (entry(ALICE, 1, body=b"x" * (17 << 10)), "bytes"),
    ],
)
def test_what_no_honest_node_passes_on_is_charged_to_the_relayer(bad, words) -> None:
    (refused,) = Chain().add(bad, RELAY)
    assert isinstance(refused, Refuse) and refused.peer == RELAY
    assert words in refused.why


def test_a_log_keeps_its_ring() -> None:
    (one,) = log(ALICE, 1)
    other = entry(ALICE, 2, one.id, ring=Ring(RingKind.SWARM, OwnerId("own_x")))
    (refused,) = holding([one]).add(other, RELAY)
    assert isinstance(refused, Refuse)


def test_parking_is_bounded_per_author_and_in_all() -> None:
    chain = Chain(LedgerRules(parked_per_author=4, parked_total=6))
    for seq in range(10, 20):
        chain.add(entry(ALICE, seq, author_id(seq)), RELAY)
    assert chain.parked(ALICE) == 4, "the oldest gave way"
    for number in range(2, 10):
        chain.add(entry(author(number), 5, author_id(1)), RELAY)
    assert sum(chain.parked(author(n)) for n in range(1, 10)) == 6


def test_logs_per_author_are_bounded() -> None:
    chain = Chain(LedgerRules(logs_per_author=2))
    kinds = [type(chain.add(entry(ALICE, 1, incarnation=i, kind=EntryKind.INCARNATION))[0]) for i in range(1, 4)]
    assert kinds == [Accept, Accept, Ignored]


def author_id(number: int):
    """Some id that names no entry."""
    return entry(author(number), 1).id
