"""What a job will take and cost on the machines that are known. Pure.

It assumes: blocks take as long as the one that was rehearsed, on a core like this machine's, scaled by measured speed
(a machine that was not measured counts as one like this); each machine gives this job all the slots it offers, and
can run it; no replica is asked for beyond the policy's count; nobody leaves; transfers hide behind computing. Blocks
larger than the smallest, which is the one rehearsed, make it take longer than said.
Nodes on one machine share its cores. One owner runs at most one replica of a block, so of r replicas the largest
owners cannot do more than one each: the rate is the least over m of (sum of all but the m largest) / (r - m).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ctorrent.market.price import REFERENCE_GFLOPS

UNIT_S = 0.002  # a process and its frames
REPLICA_S = 0.0002  # the requester's part in a replica: 5,841 empty blocks a second, tests/benchmarks
SETUP_S = 1.5  # looking for workers, and their sandboxes
TARGET_S = 0.05  # of a unit, as dispatch.Rules.unit_target_s
START_SHARE = 4.0  # a unit's blocks take this many times as long as its process's start, as dispatch.words.tuned
TARGET_MAX_S = 10.0
UNIT_BLOCKS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Machine:
    """A node that may take part. slots: blocks at once; speed: of one, beside a core of this machine."""

    owner: str
    slots: int
    speed: float = 1.0
    price: float = 0.0  # credits per reference core-hour
    gflops: float = 0.0  # of a core; 0: not measured
    here: bool = False  # it runs on this machine


@dataclass(frozen=True, slots=True)
class Work:
    """A job. block_s: one block in a process that runs; start_s: a process until its first block begins."""

    blocks: int
    block_s: float
    start_s: float = 0.0
    cpu: int = 1
    coalesce: bool = True


@dataclass(frozen=True, slots=True)
class Estimate:
    """seconds: of the whole job. speedup: beside this machine alone, on all its cores, each block once."""

    machines: int
    owners: int
    replicas: int
    seconds: float
    alone_s: float
    credits: float

    @property
    def speedup(self) -> float:
        return self.alone_s / self.seconds


def estimate(work: Work, machines: Sequence[Machine], cores: int, replicas: int) -> Estimate | None:
    """None where fewer owners than replicas are known. cores: of this machine."""
    able = [machine for machine in machines if machine.slots > 0]
    share = _share_here(able, work, cores)
    slots = sum(machine.slots for machine in able)
    each_s = _each_s(work, replicas, slots)
    rates: list[float] = []  # of each machine, replicas a second
    owners: dict[str, float] = {}
    for machine in able:
        rate = machine.slots * machine.speed / each_s * (share if machine.here else 1.0)
        rates.append(rate)
        owners[machine.owner] = owners.get(machine.owner, 0.0) + rate
    if len(owners) < replicas:
        return None
    per_s = min(_rate(sorted(owners.values(), reverse=True), replicas), 1 / (REPLICA_S * replicas))
    waves = math.ceil(work.blocks * replicas / slots) * slots / sum(rates)  # a few long blocks do not divide evenly
    seconds = SETUP_S + work.start_s + max(work.blocks / per_s, waves)
    return Estimate(len(able), len(owners), replicas, seconds, alone_s(work, cores), _credits(work, able, rates, replicas))


def alone_s(work: Work, cores: int) -> float:
    """This machine on all its cores, each block once, in a pool of processes."""
    at_once = max(1, min(work.blocks, cores // max(1, work.cpu)))
    return max(1e-3, work.start_s + math.ceil(work.blocks / at_once) * work.block_s)


def _share_here(machines: Sequence[Machine], work: Work, cores: int) -> float:
    """Of a core, what each busy slot on this machine gets."""
    busy = sum(machine.slots * work.cpu for machine in machines if machine.here)
    return min(1.0, cores / busy) if busy else 1.0


def _each_s(work: Work, replicas: int, slots: int) -> float:
    """Seconds of a slot for one block, with its part of its unit's start."""
    size = 1.0
    if work.coalesce:
        target = max(TARGET_S, min(TARGET_MAX_S, START_SHARE * work.start_s))
        size = (target - work.start_s) / max(work.block_s, 1e-6) / 2  # they grow to it, and shrink towards the end
        size = min(size, UNIT_BLOCKS_MAX, work.blocks * replicas / (2 * max(1, slots)))
    return work.block_s + (work.start_s + UNIT_S) / max(1.0, size)


def _rate(owners: Sequence[float], replicas: int) -> float:
    """Blocks a second, of owners' replicas a second in falling order."""
    return min(sum(owners[most:]) / (replicas - most) for most in range(replicas))


def _credits(work: Work, machines: Sequence[Machine], rates: Sequence[float], replicas: int) -> float:
    hours = work.blocks * replicas * work.block_s * work.cpu / 3600
    total = 0.0
    for machine, rate in zip(machines, rates, strict=True):
        reference = machine.gflops / REFERENCE_GFLOPS if machine.gflops > 0 else 1.0
        total += hours * rate / sum(rates) / machine.speed * reference * machine.price
    return total
