"""Two nodes meet: they end alike, say little about what they share, and nothing about rings the other is not in."""

from __future__ import annotations

import random
from collections import deque

from ctorrent import canon
from ctorrent.errors import Malformed
from ctorrent.ledger.chain import Accept, Chain, ForkProof, Refuse
from ctorrent.ledger.summary import ROOT, Line, Prefix
from ctorrent.ledger.sync import (
    Answer,
    Charge,
    Compare,
    Done,
    End,
    Found,
    Give,
    Given,
    Heard,
    Send,
    Serve,
    Sync,
    Tick,
    Took,
    Want,
    parcels,
)  # fmt: skip
from ctorrent.ledger.words import from_words, to_words
from ctorrent.model.entry import SignedEntry
from ctorrent.model.ids import OwnerId, Ring, RingKind

from .logs import PUBLIC, author, entry, holding, log

FRIENDS = Ring(RingKind.FRIENDS, OwnerId("own_a"))


class Side:
    """One node's half of a meeting: its chain, the entries it stores, what it put on the wire."""

    def __init__(self, *logs: list[SignedEntry]) -> None:
        self.chain = Chain()
        self.held: dict[bytes, SignedEntry] = {}
        self.proofs: dict[tuple[str, int], list[SignedEntry]] = {}
        self.took: list[object] = []
        self.charges: list[str] = []
        self.bytes = 0
        self.messages = 0
        for entries in logs:
            for one in entries:
                self.keep(self.chain.add(one))

    def keep(self, effects) -> None:
        for effect in effects:
            self.took.append(effect)
            if isinstance(effect, Accept):
                self.held[effect.entry.id] = effect.entry
            elif isinstance(effect, ForkProof):
                first = effect.held_entry or self.held[effect.held]
                self.proofs[effect.author, effect.incarnation] = [first, effect.other]

    def serve(self, want: Want) -> list[SignedEntry]:
        ids = [self.chain.id_at(want.author, want.incarnation, s) for s in range(want.from_seq, want.to_seq + 1)]
        entries = [self.held[i] for i in ids if i is not None]
        return entries + (self.proofs.get((want.author, want.incarnation), []) if want.proof else [])


def meet(left: Side, right: Side, left_rings=(PUBLIC,), right_rings=(PUBLIC,)) -> tuple[str, str]:
    """Run a whole meeting over encoded bytes; returns why each side ended it."""
    sides = (left, right)
    syncs = (Sync(left.chain, author(1001), left_rings, True, 0.0), Sync(right.chain, author(1000), right_rings, False, 0.0))
    known = {**left.held, **right.held, **{e.id: e for s in sides for pair in s.proofs.values() for e in pair}}
    by_body = {e.sealed.body: e for e in known.values()}
    wire: deque[tuple[int, bytes]] = deque()
    why = ["?", "?"]

    def perform(me: int, effects) -> None:
        for effect in effects:
            match effect:
                case Send(message):
                    say(me, message)
                case Serve(want, answers):
                    for give in parcels([e.sealed for e in sides[me].serve(want)], answers):
                        say(me, give)
                case Took(taken):
                    sides[me].keep([taken])
                case Charge(_, words):
                    sides[me].charges.append(words)
                case End(words):
                    why[me] = words

    def say(me: int, message) -> None:
        raw = canon.encode(to_words(message))
        sides[me].bytes += len(raw)
        sides[me].messages += 1
        wire.append((1 - me, raw))

    perform(0, syncs[0].start())
    while wire:
        me, raw = wire.popleft()
        message = from_words(canon.decode(raw))
        if isinstance(message, Give):
            event = Given(tuple(by_body[s.body] for s in message.entries), message.answers)
        else:
            event = Heard(message)
        perform(me, syncs[me].handle(event, 0.0))
    return why[0], why[1]


def same(left: Side, right: Side, ring: Ring = PUBLIC) -> bool:
    return left.chain.summary(ring).slice(ROOT) == right.chain.summary(ring).slice(ROOT)


def test_two_empty_nodes_say_almost_nothing() -> None:
    left, right = Side(), Side()
    assert meet(left, right) == ("", "")
    assert left.bytes + right.bytes < 100


def test_each_gets_what_it_lacks() -> None:
    a, b, c = log(author(1), 5), log(author(2), 7), log(author(3), 4)
    left, right = Side(a, b[:3]), Side(a[:2], b, c)
    assert meet(left, right) == ("", "")
    assert same(left, right)
    assert len(left.held) == len(right.held) == 16
    assert not left.charges and not right.charges


def test_a_newcomer_gets_everything_in_pieces() -> None:
    logs = [log(author(n), 5) for n in range(100)] + [log(author(200), 3000)]
    left, right = Side(), Side(*logs)
    assert meet(left, right) == ("", "")
    assert same(left, right) and len(left.held) == 3500
    newcomer = Side()
    assert meet(left, newcomer) == ("", ""), "and when it is the one who is dialled"
    assert same(left, newcomer)


def test_common_entries_cost_kilobytes_whatever_their_number() -> None:
    common = [log(author(n), 10) for n in range(1000)]
    news = [log(author(n), 11)[10:] for n in range(0, 1000, 250)]
    left, right = Side(*common), Side(*common, *news)
    assert meet(left, right) == ("", "")
    assert same(left, right)
    assert left.bytes + right.bytes < 32 << 10
    before = left.bytes + right.bytes
    meet(left, right)
    assert left.bytes + right.bytes - before < 150, "nothing new: one fingerprint"


def test_rings_are_not_mixed() -> None:
    ours, theirs = log(author(1), 3), log(author(2), 3, ring=FRIENDS, incarnation=1)
    left, right = Side(), Side(ours, theirs)
    assert meet(left, right, (PUBLIC, FRIENDS), (PUBLIC,)) == ("", "")
    assert {e.entry.ring for e in left.held.values()} == {PUBLIC}
    snoop = Sync(right.chain, author(9), (PUBLIC,), False, 0.0)
    (served,) = snoop.handle(Heard(Want(author(2), 1, 1, 3, True)), 0.0)
    assert served == Serve(Want(author(2), 1, 1, 0, False), 1), "a want for another ring's log gets an empty answer"


def test_an_entry_of_a_ring_not_shared_is_charged() -> None:
    (one,) = log(author(2), 1, ring=FRIENDS, incarnation=1)
    sync = Sync(Chain(), author(9), (PUBLIC,), True, 0.0)
    sync.start()
    (took, *_) = sync.handle(Given((one,), 0), 0.0)
    assert isinstance(took, Took) and isinstance(took.effect, Refuse) and took.effect.peer == author(9)


def test_a_fork_is_found_where_it_began_and_known_to_both() -> None:
    common = log(author(1), 4)
    lefts, rights = common[:], common[:]
    for seq in range(5, 9):
        lefts.append(entry(author(1), seq, lefts[-1].id, body=b"left"))
        rights.append(entry(author(1), seq, rights[-1].id, body=b"right"))
    for a, b in ((lefts, rights), (lefts, rights[:7]), (lefts[:6], rights)):
        left, right = Side(a), Side(b)
        for _ in range(3):
            assert meet(left, right) == ("", "")
        assert left.chain.forked_at(author(1), 0) == right.chain.forked_at(author(1), 0) == 5
        assert same(left, right)
        assert not left.charges and not right.charges
        bystander = Side(common)
        meet(bystander, left)
        assert bystander.chain.forked_at(author(1), 0) == 5, "the proof travels on"


def test_random_holdings_converge_in_one_meeting() -> None:
    for seed in range(30):
        dice = random.Random(seed)
        logs = [log(author(n), dice.randrange(1, 12), incarnation=dice.randrange(3)) for n in range(dice.randrange(1, 80))]
        left = Side(*(entries[: dice.randrange(len(entries) + 1)] for entries in logs))
        right = Side(*(entries[: dice.randrange(len(entries) + 1)] for entries in logs))
        assert meet(left, right) == ("", ""), seed
        assert same(left, right), seed


def test_silence_and_nonsense_end_a_meeting() -> None:
    sync = Sync(holding(log(author(1), 2)), author(9), (PUBLIC,), True, 0.0)
    sync.start()
    assert sync.handle(Tick(), 29.0) == []
    assert sync.handle(Tick(), sync.deadline) == [End("the peer said nothing for too long")]
    assert sync.handle(Heard(Done()), 31.0) == []
    other = Sync(Chain(), author(9), (PUBLIC,), True, 0.0)
    other.start()
    charge, end = other.handle(Heard(Answer(PUBLIC, (Found(Prefix(2, 5)),))), 0.0)
    assert isinstance(charge, Charge) and isinstance(end, End)
    answerer = Sync(Chain(), author(9), (PUBLIC,), False, 0.0)
    charge, end = answerer.handle(Heard(Compare(PUBLIC, ())), 0.0)
    assert isinstance(charge, Charge) and isinstance(end, End)


def test_a_peer_that_boasts_of_entries_it_has_not_is_left_in_peace_and_the_meeting_ends() -> None:
    sync = Sync(Chain(), author(9), (PUBLIC,), True, 0.0)
    (ask,) = sync.start()
    boast = Line(author(1), 0, 1 << 40, entry(author(1), 1).id, 0)
    answer = Answer(PUBLIC, (Found(ask.message.slices[0].prefix, lines=(boast,), whole=True),))
    assert sync.handle(Heard(answer), 0.0) == [Send(Want(author(1), 0, 1, 1024, False))]
    assert sync.handle(Given((), 1), 0.0) == [Send(Done())]
    assert sync.handle(Heard(Done()), 0.0) == [End("")]


def test_words_refuse_what_no_version_says() -> None:
    for words in (
        None, [], [True], [1, "public"], [1, "nonsense", []], [1, "public", [[9, 0, 0, b"x" * 32]]],
        [1, "public", [[1, 16, 0, b"x" * 32]]], [2, "public", [[0, 0, [], [[b"short", 0, 0, b"x" * 32, 0]], True]]],
        [3, b"k" * 32, -1, 1, 1, True], [3, b"k" * 32, 1.0, 1, 1, True], [4, [[b"", b""]], 0], [4, [], -1], "text",
    ):  # fmt: skip
        try:
            from_words(words)
        except Malformed:
            continue
        raise AssertionError(f"{words!r} was believed")
    assert from_words([6, "news"]) is None, "a newer version's kind is nobody's fault"
    assert from_words([5, "a newer field"]) == Done()
