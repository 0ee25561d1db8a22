"""net.map beside the block benchmark: the same 10,000 calls that do nothing, on the same three nodes, in turns.

    python -m tests.benchmarks.net_map [--rounds N] [--calls N]
    python -m tests.benchmarks.net_map --cell     # 20,000 dicts in, a table of 20,000 rows out, on a node of the program's own

Both begin with what a person has in hand (a job file; a function and a list) and end with all results in hand. The
ratio is of medians over rounds; replicas 1, jail, Noise, signatures and journal on, as in blocks.py.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time

import ctorrent
from tests.benchmarks import systems, work

TARGET = 1.3
CELL_ROWS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description="net.map of many small calls, beside the same blocks of a job file.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--cell", action="store_true")
    options = parser.parse_args()
    if options.cell:
        _cell()
        return
    load = systems.Load("empty", work.empty, options.calls)
    blocks: list[float] = []
    mapped: list[float] = []
    used: dict[int, list[float]] = {0: [], 1: []}
    with systems.Ours() as ours:
        ours.run(load.small())
        for turn in range(options.rounds):
            for one, (seconds, worked) in in_turns(ours, load, turn).items():
                (blocks if one else mapped).append(seconds)
                used[one].append(worked)
            print(f"  round {turn + 1}: blocks {blocks[-1]:.2f} s, net.map {mapped[-1]:.2f} s (load {os.getloadavg()[0]:.1f})", flush=True)
    ratio = statistics.median(mapped) / statistics.median(blocks)
    print(f"{options.calls:,} calls, medians of {options.rounds}: blocks {statistics.median(blocks):.2f} s, net.map {statistics.median(mapped):.2f} s")
    spent = statistics.median(used[0]) / statistics.median(used[1])
    print(f"processor time of the caller and the three nodes, sandboxes apart, which a busy machine moves less: {spent:.2f} times")
    print(f"{'OK  ' if ratio <= TARGET else 'MISS'}  net.map, times the block benchmark: {ratio:.2f} (target ≤ {TARGET})")


def in_turns(ours: systems.Ours, load: systems.Load, turn: int) -> dict[int, tuple[float, float]]:
    """One round: 0 is net.map, 1 the block benchmark; seconds by the clock, and of processors, of each."""
    found = {}
    for one in (0, 1) if turn % 2 else (1, 0):
        before = _cpu(ours)
        seconds = ours.run(load).seconds if one else _map(ours, load.blocks)
        found[one] = (seconds, _cpu(ours) - before)
    return found


def simulate(beta: float, gamma: float, people: int) -> dict[str, float]:
    """An epidemic of fifty days."""
    well, ill, peak = people - 1.0, 1.0, 0.0
    for _ in range(50):
        new = beta * well * ill / people
        well, ill = well - new, ill + new - gamma * ill
        peak = max(peak, ill)
    return {"peak": peak, "left": well}


def _cell() -> None:
    """What a notebook's cell does, as it is written there."""
    settings = [{"beta": 0.1 + at % 100 / 200, "gamma": 0.05 + at // 100 / 4000, "people": 1000} for at in range(CELL_ROWS)]
    with tempfile.TemporaryDirectory(prefix="ctcell-", ignore_cleanup_errors=True) as folder:
        begun = time.perf_counter()
        with ctorrent.connect(folder) as net:
            there = time.perf_counter()
            table = net.map(simulate, settings).table()
            took = time.perf_counter() - there
        rows = len(table["peak"])
    assert rows == CELL_ROWS, rows
    own, node = (resource.getrusage(who).ru_maxrss >> 10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"{rows:,} rows in {took:.1f} s, after {there - begun:.1f} s until the node was there (load {os.getloadavg()[0]:.1f})")
    print(f"most memory: {own} MB here, {node} MB the node")


def _cpu(ours: systems.Ours) -> float:
    return time.process_time() + sum(ours._cpu())


def _map(ours: systems.Ours, calls: int) -> float:
    begun = time.perf_counter()
    values = ours.swarm.net.map(work.empty, range(calls), replicas=1).values()
    took = time.perf_counter() - begun
    assert len(values) == calls and not any(values)
    return took


if __name__ == "__main__":
    main()
