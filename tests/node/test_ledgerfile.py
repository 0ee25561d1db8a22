"""What a person reads of an entry in a file that was refused."""

from __future__ import annotations

import time
from dataclasses import replace

from ctorrent.ledger.chain import NOTHING
from ctorrent.model.entry import Entry
from ctorrent.model.ids import Ring, RingKind
from ctorrent.testing import simulate
from ctorrent.testing.fake_keys import keys
from ctorrent.testing.fake_swarm import open_swarm
from ctorrent.wire import codec
from tests.node.test_reading import log_of


def test_what_is_no_entry_and_what_is_not_its_authors_are_told_in_words() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann")
            garbage = await ann.node.door.ledger_import([b"\xff" * 300])
            assert (garbage["refused"], garbage["why"]) == (1, "what stands there, of 300 bytes, is no ledger entry")
            sealed = codec.seal_entry(Entry(ann.id, 0, 1, NOTHING, 99, Ring(RingKind.PUBLIC), b"", ann.clock.unix()), ann.keys.node).sealed
            forged = await ann.node.door.ledger_import([codec.encode_sealed(replace(sealed, signature=bytes(64)))])
            assert (forged["refused"], forged["why"]) == (1, "an entry's signature does not hold")

    simulate.run(1, main)


def test_what_is_held_already_costs_no_signatures_check_but_another_signature_does() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann")
            entries = log_of(keys("dave"), 256, ann.id)
            raw = [codec.encode_sealed(one.sealed) for one in entries]
            costs = []
            for word in ("new", "known"):
                began = time.process_time()
                assert (await ann.node.door.ledger_import(raw))[word] == 256
                costs.append(time.process_time() - began)
            assert costs[0] > 3 * costs[1], f"{costs[0]:.4f} s for what is new, {costs[1]:.4f} s for the same once more"
            forged = codec.encode_sealed(replace(entries[9].sealed, signature=bytes(64)))
            assert (await ann.node.door.ledger_import([forged]))["refused"] == 1, "the same words under a signature that does not hold"

    simulate.run(2, main)
