"""Whatever a peer says in a meeting: the machine does not raise, does not loop, and keeps to its rings."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from ctorrent import canon
from ctorrent.errors import Malformed
from ctorrent.ledger.chain import Accept, Chain
from ctorrent.ledger.summary import DEPTH, Line, Prefix, Slice
from ctorrent.ledger.sync import Answer, Compare, Done, Found, Given, Heard, Sync, Tick, Took, Want
from ctorrent.ledger.words import from_words, to_words
from ctorrent.model.ids import Digest, OwnerId, Ring, RingKind

from .logs import PUBLIC, author, entry, holding, log

SECRET = Ring(RingKind.FRIENDS, OwnerId("own_secret"))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**64 - 1) | st.floats() | st.binary(max_size=40) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=20,
)
NUMBERS = st.integers(0, 12) | st.integers(0, 2**62)
AUTHORS = st.integers(0, 4).map(author)
DIGESTS = st.binary(min_size=32, max_size=32).map(Digest) | st.just(log(author(1), 3)[2].id)
PREFIXES = st.integers(0, DEPTH).flatmap(lambda d: st.integers(0, 16**d - 1).map(lambda digits: Prefix(d, digits)))
SLICES = st.builds(Slice, PREFIXES, NUMBERS, DIGESTS)
LINES = st.builds(Line, AUTHORS, st.integers(0, 3), NUMBERS, DIGESTS, NUMBERS)
RINGS = st.sampled_from([PUBLIC, SECRET])
FOUND = st.builds(
    Found, PREFIXES, st.lists(SLICES, max_size=4).map(tuple), st.lists(LINES, max_size=6).map(tuple), st.booleans()
)
MESSAGES = (
    st.builds(Compare, RINGS, st.lists(SLICES, max_size=5).map(tuple))
    | st.builds(Answer, RINGS, st.lists(FOUND, max_size=3).map(tuple))
    | st.builds(Want, AUTHORS, st.integers(0, 3), NUMBERS, NUMBERS, st.booleans())
    | st.just(Done())
)
ENTRIES = st.builds(
    entry, AUTHORS, st.integers(0, 8), DIGESTS, incarnation=st.integers(0, 3), kind=st.sampled_from([1, 7, 99]), ring=RINGS,
    body=st.binary(max_size=3),
)  # fmt: skip
GIVEN = st.builds(Given, st.lists(ENTRIES, max_size=5).map(tuple), st.integers(0, 3), st.integers(0, 1))
EVENTS = st.lists(MESSAGES.map(Heard) | GIVEN | st.just(Tick()), max_size=25)


def a_chain() -> Chain:
    return holding(
        log(author(1), 5), log(author(2), 3, ring=SECRET), log(author(2), 4, incarnation=2), *(log(author(n), 2) for n in range(5, 60))
    )


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.booleans())
def test_no_event_makes_a_meeting_raise_or_tell_what_it_must_not(events: list, opener: bool) -> None:
    chain = a_chain()
    sync = Sync(chain, author(9), (PUBLIC,), opener, 0.0)
    effects = sync.start()
    for event in events:
        found = sync.handle(event, 1.0)
        assert len(found) < 2000
        effects += found
    for effect in effects:
        match effect:
            case Took(Accept(signed)):
                assert signed.entry.ring == PUBLIC
            case _ if hasattr(effect, "want") and effect.want.from_seq <= effect.want.to_seq:
                assert chain.ring(effect.want.author, effect.want.incarnation) == PUBLIC


@settings(max_examples=150, deadline=None)
@given(PLAIN)
def test_words_are_a_message_or_malformed(words: object) -> None:
    with suppress(Malformed):
        from_words(words)


@settings(max_examples=100, deadline=None)
@given(MESSAGES)
def test_every_message_comes_back_as_it_went(message: object) -> None:
    assert from_words(canon.decode(canon.encode(to_words(message)))) == message


@settings(max_examples=100, deadline=None)
@given(st.lists(ENTRIES, max_size=40))
def test_a_chain_survives_any_entries_and_stays_within_its_limits(entries: list) -> None:
    chain = Chain()
    for one in entries:
        chain.add(one, author(9))
    for who in list(chain.authors()):
        assert chain.parked(who) <= chain.rules.parked_per_author
        for head in chain.heads(who):
            fork = chain.forked_at(who, head.incarnation)
            assert not fork or head.seq < fork
