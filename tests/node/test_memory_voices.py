"""What somebody said who was found out since is not repeated to the next job."""

from __future__ import annotations

import pytest

from ctorrent.model.entry import ProofKind
from ctorrent.testing import fake_sandbox
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import FakeSwarm, Member
from tests.node.test_lives import KILLED, story
from tests.node.test_memory import ask, ran, remembered
from tests.node.test_stories import friends

ALONE = "verify: {replicas: 1}\n"  # whom the asker's own machine can do without anybody


async def lied_to(swarm: FakeSwarm) -> tuple[Member, Member, Member, list[object]]:
    """ann remembers four values that ben and cat made up together."""
    ann, ben, cat = await friends(swarm, "ann", "ben", "cat")
    for liar in (ben, cat):
        liar.sandbox.behaviour = Behaviour(lie=1.0)
    first = await ask(ann, range(4), work=False)
    await remembered(ann, 4)
    return ann, ben, cat, first["values"]


async def answered_anew(swarm: FakeSwarm, ann: Member, lies: list[object]) -> None:
    before = ran(swarm)
    again = await ask(ann, range(4), ALONE)
    assert again["state"] == "settled" and ran(swarm) - before == 4
    assert not set(map(str, again["values"])) & set(map(str, lies))
    await remembered(ann, 4)
    before = ran(swarm)
    third = await ask(ann, range(4), ALONE)
    assert third["values"] == again["values"] and ran(swarm) == before, "the right ones are remembered in their place"
    assert len(ann.journal.scan("memory")) == len(ann.journal.scan("memory-age")) == 4


def test_one_held_liar_is_enough_to_ask_again() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, ben, _, lies = await lied_to(swarm)
        trust = ann.node.scribe.trust
        trust.proven(ProofKind.RERUN.value, ben.id, b"place", ann.id)
        assert trust.held(ben.id)
        await answered_anew(swarm, ann, lies)

    story(main)


def test_a_liar_is_known_over_a_restart() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, ben, _, lies = await lied_to(swarm)
        trust = ann.node.scribe.trust
        trust.proven(ProofKind.RERUN.value, ben.id, b"place", ann.id)
        await ann.journal.commit(trust.due())
        await swarm.crash(ann, KILLED)
        await swarm.start(ann)
        await answered_anew(swarm, ann, lies)

    story(main)


def test_what_it_said_before_it_was_held_does_not_come_back_with_it() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, ben, _, lies = await lied_to(swarm)
        trust = ann.node.scribe.trust
        trust.proven(ProofKind.RERUN.value, ben.id, b"place", ann.id)
        case = trust.reputation.quarantine.case(trust.reputation.blamed(ben.id))
        written = ann.node.scribe.book.written
        ann.node.scribe.book.written = lambda: written() + case.until  # type: ignore[method-assign, union-attr]
        trust.look()
        assert not trust.held(ben.id)
        await answered_anew(swarm, ann, lies)

    story(main)


def test_a_friend_that_is_none_any_more_is_asked_no_more_from_memory() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, _, cat, lies = await lied_to(swarm)
        owner = ann.node.people.known[cat.id].owner
        await ann.node.door.friend_remove(str(owner))
        await answered_anew(swarm, ann, lies)

    story(main)


def test_voices_that_are_still_fine_are_kept() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *_, dan = await friends(swarm, "ann", "ben", "cat", "dan")
        away = dan.node.people.owner
        await swarm.crash(dan, KILLED)
        first = await ask(ann, range(4), work=False)
        await remembered(ann, 4)
        ann.node.scribe.trust.proven(ProofKind.RERUN.value, dan.id, b"place", ann.id)
        await ann.node.door.friend_remove(str(away))
        before = ran(swarm)
        assert (await ask(ann, range(4)))["values"] == first["values"] and ran(swarm) == before

    story(main)


def test_what_read_the_clock_is_never_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_sandbox, "CLOCK", fake_sandbox.SAME_ALWAYS)

    async def main(swarm: FakeSwarm) -> None:
        ann, *_ = await friends(swarm, "ann", "ben", "cat")
        assert (await ask(ann, range(4)))["replicas_done"] == 8
        assert (await ask(ann, range(4), "seed: 5\n"))["replicas_done"] == 8
        assert (await ask(ann, range(4), "seed: 5\n"))["replicas_done"] == 8
        assert ann.node.requester.memory.entries == 0

    story(main)
