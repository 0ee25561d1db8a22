"""An owner changes its key twice: what it earned and what is thought of it follow through both, heard in one go or apart."""

from __future__ import annotations

import pytest
import trio

from ctorrent.ledger.quarantine import Cause
from ctorrent.model.entry import EntryKind, Rotation
from ctorrent.model.ids import Digest, Ring, RingKind, owner_id
from ctorrent.seal import Signer
from ctorrent.testing import simulate
from ctorrent.testing.fake_keys import FakeKeys
from ctorrent.testing.fake_swarm import FakeSwarm, Member, open_swarm
from ctorrent.wire import codec
from tests.node.test_credit import row, settled_with, strangers
from tests.node.test_ledger_pruning import MEETING_S
from tests.node.test_stories import until

PUBLIC = Ring(RingKind.PUBLIC)


def chain(member: Member, count: int) -> tuple[list[Signer], list[bytes]]:
    """Keys that follow an owner's, each signed for by the one before it."""
    signers, bodies = [member.keys.owner], []
    for number in range(count):
        signers.append(Signer(bytes([70 + number]) * 32))
        old, new = signers[-2:]
        bodies.append(codec.seal_rotation(Rotation(owner_id(old.public), owner_id(new.public), 1_700_000_000), old, new))
    return signers[1:], bodies


async def tells(swarm: FakeSwarm, member: Member, key: Signer, bodies: list[bytes]) -> None:
    await swarm.crash(member, survivors=1 << 20)
    member.keys = FakeKeys(member.keys.node, key)
    await swarm.start(member)
    for body in bodies:
        await member.node.scribe.write(PUBLIC, EntryKind.ROTATION, body)
    swarm.net.mesh()
    await trio.sleep(MEETING_S)


@pytest.mark.parametrize("apart", [False, True])
def test_credit_and_reputation_follow_through_two_rotations(apart: bool) -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben, cat, dan = members = await strangers(swarm, "ann", "ben", "cat", "dan")
            await settled_with(members, ann, 12)
            before, record = await row(ann, ben), ann.node.scribe.trust.standing(ben.id, False).record
            assert before["balance"] < 0 and record.agreed > 0
            first = ben.owner
            ann.node.scribe.trust.reputation.quarantine.proven(first, Cause.RERUN, Digest(b"p" * 32), 0, ())
            keys, bodies = chain(ben, 2)
            if apart:
                await tells(swarm, ben, keys[0], bodies[:1])
            await tells(swarm, ben, keys[1], bodies)
            await until(lambda: all(one.node.kin.newest(first) == ben.owner for one in (ann, cat, dan)))
            for _ in range(2):  # as it runs, and again from its journal, before it meets Ben
                assert ann.node.kin.newest(first) == ben.owner == owner_id(keys[1].public)
                rows = {one["person"]: one for one in await ann.node.door.credit()}
                assert rows[ben.owner]["balance"] == before["balance"] and first not in rows
                found = ann.node.scribe.trust.standing(ben.id, False)
                assert found.record.agreed == record.agreed
                assert ann.node.scribe.trust.reputation.owner_of(ben.id) == ben.owner
                await trio.sleep(5)  # the case is written down by then
                if not _:
                    assert ann.node.scribe.trust.held(ben.id), "nor does a new key, or two, end a quarantine"
                    await swarm.crash(ben)
                    await swarm.crash(ann, survivors=1 << 20)
                    await swarm.start(ann)
            assert cat.node.kin.newest(first) == dan.node.kin.newest(first) == ben.owner

    simulate.run(1, main)
