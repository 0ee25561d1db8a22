"""Units that the requester runs as their worker did: what such a trial forgives, and what it does not."""

from __future__ import annotations

from dataclasses import replace

from ctorrent.model.ids import Digest
from ctorrent.verify.jury import Jury
from ctorrent.verify.words import CoalesceOff, RanTogether, Remembered, RunTogether, SelfChecked

from .jurors import BARE, ME, A, B, came, jury, of, out

OWN_RUNS = replace(BARE, own_first=1)


def lost_to_an_own_run() -> Jury:
    """A ran block 0 with others, and the requester's own run bears B out."""
    made = jury(OWN_RUNS)
    made.handle(came(A, out(2), 0, alone=False))
    asked = made.handle(came(B, out(1), 0))
    assert of(asked, RunTogether) == [RunTogether(0, A)]
    made.handle(SelfChecked(0, ME, f"own_{ME}", Digest(b"f"), (out(1), out(1))))
    assert remembered(made).witnessed
    return made


def remembered(made: Jury) -> Remembered:
    (found,) = [one for one in made.take_learned() if isinstance(one, Remembered) and one.worker == A]
    return found


def test_what_an_own_run_showed_of_a_worker_is_forgiven_with_the_rest_where_the_program_leaks() -> None:
    made = lost_to_an_own_run()
    effects = made.handle(RanTogether(0, A, ((out(2), out(1)),)))
    assert of(effects, CoalesceOff)
    found = remembered(made)
    assert (found.wrong, found.witnessed) == (0, False), "else colluders could outvote it later, and no own run would be asked"


def test_a_trial_that_shows_nothing_or_was_not_asked_for_forgives_nothing() -> None:
    made = lost_to_an_own_run()
    assert not of(made.handle(RanTogether(0, B, ((out(2), out(1)),))), CoalesceOff), "nobody asked for B's"
    assert not of(made.handle(RanTogether(0, A, None)), CoalesceOff)
    assert not of(made.handle(RanTogether(0, A, ((out(2), out(1)),))), CoalesceOff), "it is over"
    assert not [one for one in made.take_learned() if isinstance(one, Remembered)]
