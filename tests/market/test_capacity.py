"""What is allotted is never more than there is, whatever is taken and given back in whatever order."""

from __future__ import annotations

import random

import pytest

from ctorrent.market.capacity import Allotment, Capacity
from ctorrent.model.job import MIB, Needs
from ctorrent.model.offer import Gpu
from ctorrent.model.trade import No, NoReason

BIG = Gpu(0, "big", "A100", 40_000 * MIB, 40_000 * MIB, "550", "8.0", 30.0, 0.0)
SMALL = Gpu(1, "small", "T4", 15_000 * MIB, 15_000 * MIB, "550", "7.5", 30.0, 0.0)
ONE = Needs(memory_bytes=100 * MIB)


def test_slots_until_it_is_full_and_again_after_a_release() -> None:
    capacity = Capacity(2, 1000 * MIB)
    first = capacity.take(ONE)
    assert isinstance(first, Allotment) and isinstance(capacity.take(ONE), Allotment)
    assert capacity.take(ONE) == No(NoReason.BUSY, "0 of 1 slots free")
    assert capacity.release(first)
    assert not capacity.release(first), "given back once"
    assert isinstance(capacity.take(ONE), Allotment)


def test_all_slots_of_a_bid_or_none() -> None:
    capacity = Capacity(3, 1000 * MIB)
    assert capacity.slots_for(ONE) == 3
    assert capacity.take(ONE, 4) == No(NoReason.BUSY, "3 of 4 slots free")
    assert capacity.cores_free == 3


def test_memory_may_be_what_is_short() -> None:
    assert Capacity(8, 250 * MIB).slots_for(ONE) == 2


def test_gpus_are_lent_whole_by_device_the_smallest_that_fits() -> None:
    capacity = Capacity(8, 1000 * MIB, (BIG, SMALL))
    small = capacity.take(Needs(memory_bytes=0, gpu=1))
    assert isinstance(small, Allotment) and small.gpus == ("small",)
    big = capacity.take(Needs(memory_bytes=0, gpu=1))
    assert isinstance(big, Allotment) and big.gpus == ("big",)
    assert isinstance(capacity.take(Needs(memory_bytes=0, gpu=1)), No)
    assert capacity.gpus_free == ()
    capacity.release(big)
    assert isinstance(capacity.take(Needs(memory_bytes=0, gpu=1, compute_capability="8.0")), Allotment)


@pytest.mark.parametrize("needs", [Needs(cpu=0), Needs(cpu=-1), Needs(memory_bytes=-5), Needs(gpu=-1)])
def test_impossible_needs_get_nothing(needs: Needs) -> None:
    assert isinstance(Capacity(8, 1000 * MIB, (BIG,)).take(needs), No)


def oversold(seed: int) -> str:
    """A random day of taking and giving back; the first oversale in words, or ""."""
    rng = random.Random(seed)
    capacity = Capacity(8, 1000 * MIB, (BIG, SMALL))
    held: list[Allotment] = []
    for _ in range(60):
        if held and rng.random() < 0.4:
            capacity.release(held.pop(rng.randrange(len(held))))
            continue
        needs = Needs(rng.randint(1, 4), rng.choice([0, 100, 600]) * MIB, rng.choice([0, 0, 1, 2]))
        got = capacity.take(needs, rng.randint(1, 3))
        if isinstance(got, Allotment):
            held.append(got)
        cores = sum(a.needs.cpu * a.slots for a in held)
        memory = sum(a.needs.memory_bytes * a.slots for a in held)
        devices = [uuid for a in held for uuid in a.gpus]
        if cores > 8 or memory > 1000 * MIB or len(devices) != len(set(devices)):
            return f"seed {seed}: {cores} cores, {memory} bytes, {devices}"
        if len(devices) != sum(a.needs.gpu * a.slots for a in held):
            return f"seed {seed}: devices were promised and not lent"
    return ""


def test_never_oversold_in_any_order() -> None:
    assert [found for found in map(oversold, range(200)) if found] == []


def test_the_sweep_finds_a_capacity_that_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Capacity, "cores_free", property(lambda self: self.cores))
    assert any(oversold(seed) for seed in range(200))


def test_the_sweep_finds_a_capacity_that_lends_devices_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Capacity, "gpus_free", property(lambda self: tuple(g.uuid for g in self.gpus)))
    monkeypatch.setattr(Capacity, "check", lambda self: None)
    assert any(oversold(seed) for seed in range(200))
