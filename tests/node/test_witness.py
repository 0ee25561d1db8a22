"""Whom the witness asks, and when: strangers' votes neither stall its questions nor push out what weighs more."""

from __future__ import annotations

import trio

from ctorrent.model.entry import EntryKind, SignedEntry, Tally
from ctorrent.model.ids import NodeId, OwnerId
from ctorrent.node.turns import Turns
from ctorrent.node.witness import WitnessRules
from ctorrent.seal import digest
from ctorrent.testing import simulate
from ctorrent.testing.fake_swarm import Member, open_swarm
from ctorrent.wire import codec
from tests.node.test_evidence import until
from tests.node.test_proofs import PUBLIC, Silence, three


async def vote(by: Member, against: Member, number: int) -> SignedEntry:
    """Negative, and standing on nothing."""
    tag, root = (digest(f"ctorrent/testing/{what}/1", number.to_bytes(4, "big")) for what in ("tag", "root"))
    tally = Tally(tag, against.id, OwnerId(""), 0, 5, 0, "", root)
    return await by.node.scribe.write(PUBLIC, EntryKind.TALLY, codec.encode_tally(tally))


def test_strangers_that_answer_nothing_keep_no_friend_waiting() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben, _ = await three(swarm)
            strangers = [await swarm.add(f"stranger{number}") for number in range(6)]
            ben.node.witness._turns = Turns(at_once=2)
            for one in (ann, *strangers):
                swarm.net.link(one.id, ben.id)
            silences = [Silence(one) for one in strangers]
            for number in range(20):
                for stranger in strangers:
                    await vote(stranger, ben, number)
            await until(lambda: sum(one.open for one in silences) == 2)
            ben.node.witness._rules = rules = WitnessRules(delay_s=5.0)
            began, friends = trio.current_time(), Silence(ann)
            for number in range(2):
                await vote(ann, strangers[0], 100 + number)
            await until(lambda: len(friends.asked) == 2)
            assert friends.asked[0] - began < rules.answer_s + 2 * rules.look_s, "as soon as a place is free"
            assert friends.asked[1] - friends.asked[0] < rules.answer_s + 2 * rules.look_s, "before strangers that wait longer"
            assert sum(map(len, (one.asked for one in silences))) <= 6
            await trio.sleep(300)
            assert all(one.asked for one in silences) and max(one.peak for one in silences) == 1

    simulate.run(21, main)


def test_votes_of_strangers_push_out_none_that_is_worth_a_question() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben, eve = await three(swarm)
            ben.node.witness._rules = WitnessRules(pending_max=16)
            swarm.net.link(eve.id, ben.id)
            kept = [await vote(ann, eve, number) for number in range(3)]
            for number in range(10, 40):  # about somebody else, and about the reader itself
                await vote(eve, ann, number)
                await vote(eve, ben, number)
            await trio.sleep(2)
            waiting = ben.node.witness._waiting
            assert all(signed.id in waiting for signed in kept) and 8 < len(waiting) <= 16

    simulate.run(22, main)


def test_turns_go_round() -> None:
    ann, ben, cat = map(NodeId, ("ann", "ben", "cat"))
    turns: Turns[str] = Turns(at_once=2)
    due = [(ann, 0.0, "a1"), (ann, 0.0, "a2"), (ben, 0.0, "b1"), (cat, 0.0, "c1")]
    assert turns.take(due) == ["a1", "b1"] and turns.take(due) == []
    turns.done(ann)
    assert turns.take(due[1:]) == ["c1"], "ann was asked already"
    turns.done(ben)
    assert turns.take([(ann, 0.0, "a2"), (ben, 0.5, "b2")]) == ["b2"], "who matters goes first"
