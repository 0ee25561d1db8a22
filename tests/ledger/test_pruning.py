"""Stories of logs that are cut behind their author's checkpoint: who cut, who never saw the rest, who forked before."""

from __future__ import annotations

import random

import pytest

from ctorrent.ledger.chain import Accept, Chain, Cut, Duplicate, ForkProof, Ignored, Parked, Refuse, Whole
from ctorrent.ledger.rules import LedgerRules
from ctorrent.model.entry import EntryKind, Head, SignedEntry
from ctorrent.model.ids import OwnerId, Ring, RingKind

from .logs import PUBLIC, author, entry, log, more, read, summed
from .test_sync import Side, meet, same

ALICE, RELAY = author(1), author(99)


def chained(*logs: list[SignedEntry], settle: bool = True, begins: bool = True) -> tuple[Chain, list[object]]:
    chain, effects = Chain(read=read), []
    for entries in logs:
        for one in entries:
            effects += put(chain, one, settle, begins)
    return chain, effects


def put(chain: Chain, one: SignedEntry, settle: bool = True, begins: bool = True) -> list[object]:
    """Add an entry as a node does: what is complete is found right, and settled."""
    effects: list[object] = []
    for effect in chain.add(one, RELAY, begins):
        effects.append(effect)
        if isinstance(effect, Whole) and settle:
            effects += chain.settle(effect)
    return effects


def head(one: SignedEntry) -> Head:
    return Head(one.entry.author, one.entry.incarnation, one.entry.seq, one.id)


def test_a_log_is_cut_behind_the_last_checkpoint_but_one() -> None:
    first = summed(log(ALICE, 10))
    second = summed(more(first, 5))
    chain, effects = chained(first)
    assert effects[-1] == Whole(PUBLIC, head(first[9]), 1)
    assert chain.id_at(ALICE, 0, 1) == first[0].id, "one checkpoint alone cuts nothing"
    chain, effects = chained(second)
    assert effects[-1] == Cut(PUBLIC, head(first[9]), 1, ())
    assert chain.head(ALICE, 0) == head(second[-1])
    assert chain.id_at(ALICE, 0, 9) is None and chain.id_at(ALICE, 0, 10) == first[9].id
    assert chain.line(ALICE, 0).low == 11  # type: ignore[union-attr]
    assert chain.unsummed(ALICE, PUBLIC) == (1, 0), "the checkpoint's own entry"


def test_earlier_logs_of_the_ring_go_with_it_and_those_of_other_rings_stay() -> None:
    other = Ring(RingKind.SWARM, OwnerId("own_x"))
    old = [log(ALICE, 4, incarnation=i) for i in (1, 2, 3)]
    elsewhere = log(ALICE, 2, incarnation=4, ring=other)
    first = summed(log(ALICE, 1, incarnation=5))
    second = summed(more(first, 3))
    chain, effects = chained(*old, elsewhere, second)
    assert effects[-1] == Cut(PUBLIC, head(first[0]), 1, (1, 2, 3), 12)
    assert chain.incarnations(ALICE) == [4, 5]
    assert len(chain.summary(PUBLIC)) == 1
    (ignored,) = chain.add(old[0][0], RELAY)
    assert isinstance(ignored, Ignored), "nobody is charged for an entry that is of no more use"
    late, effects = chained(second, elsewhere, *old)
    assert late.incarnations(ALICE) == [4, 5], "in any order"


def test_parts_count_only_in_a_row_and_only_where_they_stand_right() -> None:
    _, effects = chained(summed(log(ALICE, 3), parts=3)[:-1])
    assert not any(isinstance(effect, Whole) for effect in effects)
    _, effects = chained(summed(log(ALICE, 3), parts=3))
    assert effects[-1] == Whole(PUBLIC, Head(ALICE, 0, 3, log(ALICE, 3)[-1].id), 3)
    entries = log(ALICE, 5)
    for wrong in (head(entries[2]), Head(author(2), 0, 5, entries[4].id), Head(ALICE, 1, 5, entries[4].id), Head(ALICE, 0, 5, entries[0].id)):
        _, effects = chained(summed(entries, head=wrong))
        assert [type(effect) for effect in effects] == [Accept] * 6, "chained, and weighing nothing"
    torn = summed(log(ALICE, 3), parts=2)
    broken = [*torn[:-1], entry(ALICE, 5, torn[-2].id)]
    tail = entry(ALICE, 6, broken[-1].id, kind=EntryKind.CHECKPOINT, body=torn[-1].entry.body)
    _, effects = chained([*broken, tail])
    assert not any(isinstance(effect, Whole) for effect in effects), "a tally between two parts"


def test_a_newcomer_takes_a_log_that_begins_at_a_checkpoint() -> None:
    entries = more(summed(log(ALICE, 10), parts=2), 3)
    chain, effects = chained(entries[10:])
    assert [type(effect) for effect in effects] == [Accept, Accept, Whole, Cut, Accept, Accept, Accept]
    assert chain.head(ALICE, 0) == head(entries[-1])
    assert chain.floor(ALICE, PUBLIC) == head(entries[9])
    whole, _ = chained(entries)
    assert chain.line(ALICE, 0) == whole.line(ALICE, 0), "and stands where those stand who hold it all"


def test_gossip_alone_never_makes_a_log_begin_late() -> None:
    entries = summed(log(ALICE, 10))
    parked, request = Chain(read=read).add(entries[-1], RELAY)
    assert isinstance(parked, Parked) and (request.from_seq, request.to_seq) == (1, 10)
    assert isinstance(Chain(read=read).add(entries[5], RELAY, begins=True)[0], Parked), "and no other entry is a beginning"
    middle = summed(log(ALICE, 10), parts=2)[-1]
    assert isinstance(Chain(read=read).add(middle, RELAY, begins=True)[0], Parked), "nor a checkpoint's second part"


def test_what_was_held_before_a_jump_is_behind_it() -> None:
    entries = summed(log(ALICE, 10))
    chain, effects = chained(entries[:4], entries[10:])
    assert isinstance(effects[-1], Cut) and effects[-1].head == head(entries[9])
    assert chain.head(ALICE, 0) == head(entries[-1])
    assert isinstance(chain.add(entries[7], RELAY)[0], Ignored)
    assert chain.add(entries[9], RELAY) == [Duplicate(entries[9].id)], "the one that the checkpoint names is known"


def test_a_fork_behind_the_cut_is_proven_by_its_two_entries() -> None:
    entries = more(summed(log(ALICE, 10)), 2)
    rival = entry(ALICE, 6, entries[4].id, body=b"another story")
    chain, _ = chained(entries[10:])
    assert isinstance(chain.add(rival, RELAY)[0], Ignored)
    assert chain.add(entries[5], RELAY) == [ForkProof(ALICE, 0, 6, rival.id, rival, entries[5])]
    assert chain.forked_at(ALICE, 0) == 6 and chain.head(ALICE, 0) is None, "the checkpoint came after: it weighs nothing"
    assert [type(chain.add(one)[0]) for one in entries[:6]] == [Accept] * 5 + [Ignored], "what came before is welcome"


def test_a_fork_at_the_checkpoint_itself_leaves_nothing_of_a_cut_log() -> None:
    entries = summed(log(ALICE, 10))
    rival = entry(ALICE, 11, entries[9].id, body=b"another story")
    chain, _ = chained(entries[10:])
    (proof,) = chain.add(rival, RELAY)
    assert isinstance(proof, ForkProof) and proof.seq == 11
    assert chain.head(ALICE, 0) is None and chain.line(ALICE, 0).low == 0  # type: ignore[union-attr]


def test_strays_from_behind_a_cut_are_bounded() -> None:
    chain = Chain(LedgerRules(strays_max=4), read=read)
    entries = summed(log(ALICE, 40))
    put(chain, entries[-1])
    for one in entries[:39]:
        assert isinstance(chain.add(one, RELAY)[0], Ignored)
    assert len(chain._strays) == 4 and chain.parked(ALICE) == 0


def test_an_entry_beyond_what_a_journal_can_hold_is_refused() -> None:
    far = entry(ALICE, (1 << 32) + 1, log(ALICE, 1)[0].id, kind=EntryKind.CHECKPOINT)
    (refused,) = Chain(read=read).add(far, RELAY, begins=True)
    assert isinstance(refused, Refuse)


def test_logs_that_are_summed_up_make_room_for_new_ones() -> None:
    chain = Chain(LedgerRules(logs_per_author=8), read=read)
    for start in range(1, 60):
        entries = log(ALICE, 2, incarnation=start)
        for one in summed(entries) if start % 3 == 0 else entries:
            assert isinstance(put(chain, one)[0], Accept), start
    assert len(chain.incarnations(ALICE)) <= 6


# meetings ------------------------------------------------------------------------------------------------------------


class Pruner(Side):
    """A node that cuts where it may."""

    def __init__(self, *logs: list[SignedEntry]) -> None:
        super().__init__()
        self.chain = Chain(read=read)
        for entries in logs:
            for one in entries:
                self.keep(self.chain.add(one, None, begins=True))

    def keep(self, effects) -> None:
        super().keep(effects)
        for effect in effects:
            if isinstance(effect, Whole):
                self.keep(self.chain.settle(effect))


def twice(who, between: int = 40, after: int = 5) -> list[SignedEntry]:
    """A log with two checkpoints: its first entries may go."""
    return more(summed(more(summed(log(who, between)), between)), after)


def test_a_newcomer_learns_from_a_node_that_cut() -> None:
    entries = twice(ALICE)
    for opens in (True, False):
        veteran, newcomer = Pruner(entries), Pruner()
        sides = (newcomer, veteran) if opens else (veteran, newcomer)
        assert meet(*sides) == ("", "")
        assert same(veteran, newcomer)
        assert newcomer.chain.head(ALICE, 0) == head(entries[-1])
        assert not newcomer.charges and not veteran.charges


def test_who_cut_and_who_did_not_have_nothing_to_say() -> None:
    entries = twice(ALICE)
    pruner, hoarder = Pruner(entries), Side(entries)
    assert same(pruner, hoarder)
    assert meet(pruner, hoarder) == ("", "")
    assert pruner.bytes + hoarder.bytes < 200


def test_one_that_was_away_jumps_to_where_the_others_begin() -> None:
    entries = twice(ALICE)
    for held in (1, 20, 39, 41, 60):
        for opens in (True, False):
            veteran, late = Pruner(entries), Pruner(entries[:held])
            sides = (late, veteran) if opens else (veteran, late)
            assert meet(*sides) == ("", "")
            assert same(veteran, late) and late.chain.head(ALICE, 0) == head(entries[-1]), (held, opens)
            assert not late.charges and not veteran.charges


def test_two_branches_that_were_both_cut_are_still_a_fork() -> None:
    common = log(ALICE, 5)
    branches = [more(summed(more(summed(more(common, 20, body)), 20, body)), 3, body) for body in (b"left", b"right")]
    left, right = Pruner(branches[0]), Pruner(branches[1])
    for _ in range(3):
        meet(left, right)
    assert left.chain.forked_at(ALICE, 0) == right.chain.forked_at(ALICE, 0) > 0
    assert same(left, right)


@pytest.mark.parametrize("seed", range(12))
def test_any_holdings_of_summed_logs_converge(seed: int) -> None:
    dice = random.Random(seed)
    logs = []
    for who in range(1, 8):
        entries = log(author(who), dice.randrange(1, 30))
        for _ in range(dice.randrange(4)):
            entries = more(summed(entries, parts=dice.randrange(1, 4)), dice.randrange(1, 30))
        logs.append(entries)
    left = Pruner(*(entries[: dice.randrange(len(entries) + 1)] for entries in logs))
    right = Pruner(*(entries[: dice.randrange(len(entries) + 1)] for entries in logs))
    for _ in range(2):
        assert meet(left, right) == ("", "")
    assert same(left, right)
    assert not left.charges and not right.charges
