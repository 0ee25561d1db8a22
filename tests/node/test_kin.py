"""An owner changes its key: friends go on being friends, the old key is refused, and it holds after everybody restarts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
import trio

from ctorrent.model.entry import EntryKind, Rotation
from ctorrent.model.identity import Certificate
from ctorrent.model.ids import Ring, RingKind, owner_id
from ctorrent.model.session import FriendRequest
from ctorrent.node.kin import Kin
from ctorrent.node.people import ROTATIONS_MAX
from ctorrent.seal import Signer
from ctorrent.testing import simulate
from ctorrent.testing.fake_keys import FakeKeys
from ctorrent.testing.fake_swarm import FakeSwarm, Member, open_swarm
from ctorrent.wire import codec
from tests.node.test_ledger_disk import friends
from tests.node.test_ledger_pruning import MEETING_S, votes
from tests.node.test_stories import until

PUBLIC = Ring(RingKind.PUBLIC)


def rotated(member: Member, number: int) -> tuple[Signer, bytes]:
    """Another key for a member's owner, and what both keys sign."""
    new = Signer(number.to_bytes(32, "big"))
    old = member.keys.owner
    return new, codec.seal_rotation(Rotation(owner_id(old.public), owner_id(new.public), 1_700_000_000), old, new)


async def changes(swarm: FakeSwarm, member: Member, number: int) -> None:
    """A member's node ends, its owner's key is replaced, and it starts again and tells."""
    new, body = rotated(member, number)
    await swarm.crash(member, survivors=1 << 20)
    member.keys = FakeKeys(member.keys.node, new)
    await swarm.start(member)
    await member.node.scribe.write(PUBLIC, EntryKind.ROTATION, body)
    swarm.net.mesh()
    await trio.sleep(MEETING_S)


def test_friendship_passes_to_the_new_key_and_the_old_is_refused() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, (ben, cat) = await friends(swarm, "ben", "cat")
        old, node = ann.owner, ann.id
        assert ben.node.people.is_friend(old)
        await changes(swarm, ann, 77)
        assert ann.owner != old and ann.id == node
        for one in (ben, cat):
            assert one.node.people.is_friend(ann.owner) and not one.node.people.is_friend(old)
            assert one.node.people.known[ann.id].owner == ann.owner
        await swarm.crash(ben, survivors=1 << 20)
        await swarm.start(ben)
        assert ben.node.people.is_friend(ann.owner) and ben.node.people.replaced == {old: ann.owner}, "over a restart"

    run(main)


def test_of_two_new_keys_the_first_one_heard_binds() -> None:
    """Who stole the old key makes another: it is told, and believed by nobody who knew."""

    async def main(swarm: FakeSwarm) -> None:
        ann, (ben, eve) = await friends(swarm, "ben", "eve")
        old = ann.owner
        _, stolen = rotated(ann, 666)
        await changes(swarm, ann, 77)
        await eve.node.scribe.write(PUBLIC, EntryKind.ROTATION, stolen)
        await trio.sleep(MEETING_S)
        assert ben.node.people.replaced[old] == ann.owner
        assert ben.node.people.is_friend(ann.owner)

    run(main)


def test_every_log_says_whose_node_wrote_it() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, (ben,) = await friends(swarm, "ben")
        await votes(ann, ben, 1)
        assert ben.node.kin.owner_of(ann.id) == ann.owner
        kinds = [row["kind"] for row in await ben.node.door.ledger()]
        assert kinds == ["incarnation", "certificate", "tally"]
        await changes(swarm, ann, 78)
        assert ben.node.kin.owner_of(ann.id) == ann.owner
        wrong = codec.encode_sealed(ben.node.people.certificate)
        await ann.node.scribe.write(PUBLIC, EntryKind.CERTIFICATE, wrong)
        await trio.sleep(MEETING_S)
        assert ben.node.kin.owner_of(ann.id) == ann.owner, "another's certificate says nothing"

    run(main)


def test_a_circle_of_new_keys_is_not_walked_for_ever() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, (ben,) = await friends(swarm, "ben")
        one, other = Signer(b"1" * 32), Signer(b"2" * 32)
        first = codec.seal_rotation(Rotation(owner_id(one.public), owner_id(other.public), 0), one, other)
        back = codec.seal_rotation(Rotation(owner_id(other.public), owner_id(one.public), 0), other, one)
        for body in (first, back, b"nonsense", first):
            await ann.node.scribe.write(PUBLIC, EntryKind.ROTATION, body)
        await trio.sleep(5)
        kin: Any = ben.node.kin
        assert isinstance(kin, Kin) and kin.newest(owner_id(one.public)) == owner_id(other.public)

    run(main)


def invented(first: int, count: int) -> list[bytes]:
    """Rotations of keys that nobody has to do with."""
    pairs = [(Signer((2 * n + 1000).to_bytes(32, "big")), Signer((2 * n + 1001).to_bytes(32, "big"))) for n in range(first, first + count)]
    return [codec.seal_rotation(Rotation(owner_id(old.public), owner_id(new.public), 0), old, new) for old, new in pairs]


def test_invented_keys_crowd_out_no_friends_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctorrent.node.kin.SUCCESSORS_MAX", 8)
    monkeypatch.setattr("ctorrent.node.kin.GIVE_WAY", 2)

    async def main(swarm: FakeSwarm) -> None:
        ann, (ben, eve) = await friends(swarm, "ben", "eve")
        old = ann.owner
        for first in (0, 50):
            for body in invented(first, 20):
                await eve.node.scribe.write(PUBLIC, EntryKind.ROTATION, body)
            await trio.sleep(5)
            if not first:
                await changes(swarm, ann, 77)
            assert ben.node.people.is_friend(ann.owner) and ben.node.people.replaced[old] == ann.owner
            assert len(ben.node.people.replaced) == len(ben.journal.scan("successor")) <= 8
        last = codec.open_rotation(invented(69, 1)[0])
        assert ben.node.kin.newest(last.old) == last.new, "strangers' oldest give way to their newest"

    run(main)


def test_rotations_heard_the_wrong_way_round_lead_to_the_newest_key() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, (ben,) = await friends(swarm, "ben")
        keys = [ann.keys.owner, *(Signer(bytes([n]) * 32) for n in range(1, 41))]
        owners = [owner_id(key.public) for key in keys]
        steps = [Rotation(one, other, 0) for one, other in pairwise(owners)]
        bodies = [codec.seal_rotation(step, *both) for step, both in zip(steps, pairwise(keys), strict=True)]
        for body in (bodies[1], bodies[0]):
            await ann.node.scribe.write(PUBLIC, EntryKind.ROTATION, body)
        await until(lambda: ben.node.kin.newest(owners[0]) == owners[2], 5)
        assert ben.node.people.friends() == (owners[2],)
        for body in bodies[2:]:
            await ann.node.scribe.write(PUBLIC, EntryKind.ROTATION, body)
        await until(lambda: ben.node.people.friends() == (owners[-1],), 5)
        assert ben.node.kin.newest(owners[0]) == owners[ROTATIONS_MAX], "it is not walked without an end"
        assert ben.node.kin.newest(owners[-ROTATIONS_MAX]) == owners[-1]

    run(main)


def test_who_is_no_friend_any_more_before_its_rotation_is_written_down_stays_none() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, (ben,) = await friends(swarm, "ben")
        new, body = rotated(ann, 77)
        await ann.node.scribe.write(PUBLIC, EntryKind.ROTATION, body)
        await until(lambda: ben.node.people.is_friend(owner_id(new.public)), 5)
        await ben.node.people.unfriend(owner_id(new.public))
        await trio.sleep(5)
        await swarm.crash(ben, survivors=1 << 20)
        await swarm.start(ben)
        assert ben.node.people.replaced == {ann.owner: owner_id(new.public)} and not ben.node.people.friends()

    run(main)


@pytest.mark.parametrize("turns", range(4))
def test_who_is_made_a_friend_while_it_asks_is_a_friend(turns: int) -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, ben = await swarm.add("ann"), await swarm.add("ben")
        people = ann.node.people

        def asks(key: Signer) -> FriendRequest:
            return FriendRequest(codec.seal_certificate(Certificate(owner_id(key.public), ben.id, ann.clock.unix(), 0, "b"), key), "b")

        first, second, third = [Signer(word * 32) for word in (b"1", b"2", b"3")]
        await people.asked(ben.id, asks(first))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(people.asked, ben.id, asks(second))
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            nursery.start_soon(people.asked, ben.id, asks(third))
            await people.befriend(owner_id(second.public))
        for _ in range(2):
            states = {owner: person.state for owner, person in ann.node.people.persons.items()}
            assert states.pop(owner_id(second.public)) == "friend" and list(states.values()) in ([], ["asks"]), states
            await swarm.crash(ann, survivors=1 << 20)
            await swarm.start(ann)

    run(main)


def run(main: Callable[[FakeSwarm], Awaitable[None]]) -> None:
    async def simulated(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            await main(swarm)

    simulate.run(11, simulated)
