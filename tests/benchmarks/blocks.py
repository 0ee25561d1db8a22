"""What a block costs, beside others on the same work in the same run.

    python -m tests.benchmarks.blocks [--json FILE] [--quick] [--rounds N]

Rounds alternate the systems; figures are medians over rounds, with the least and the most. Encryption, signatures,
journal and jail are on in every row of ours, and asserted (machine.secured). See systems.py for who runs what.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import machine, systems

ROUNDS, ROUNDS_QUICK = 3, 1
PROFILE = """Why a target of ours was missed is in the details of its row: first_s is submit to the first block back (announce,
bid, award, opening the sandboxes), settled_s to the last; what follows is rows travelling to the caller. node_cpu_s is
what the requester's and the two workers' own processes used, sandboxes apart: near settled_s, that process is the limit."""
IDLE_S, IDLE_QUICK_S = 30.0, 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the verdict. `least`: the figure must reach the bound, not stay below it."""

    name: str
    figure: float
    bound: float
    least: bool
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.figure >= self.bound if self.least else self.figure <= self.bound

    def line(self) -> str:
        sign = "≥" if self.least else "≤"
        return f"{'OK  ' if self.met else 'MISS'}  {self.name}: {self.figure:.4g}{self.unit} (target {sign} {self.bound:g}{self.unit})"


class Figures:
    """Blocks a second by (system, load), one for each round."""

    def __init__(self) -> None:
        self.rates: dict[tuple[str, str], list[float]] = {}
        self.details: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.missing: dict[str, str] = {}

    def add(self, system: str, load: str, rate: float, detail: dict[str, Any] | None = None) -> None:
        self.rates.setdefault((system, load), []).append(rate)
        self.details.setdefault((system, load), []).append(detail or {})

    def median(self, system: str, load: str) -> float | None:
        rates = self.rates.get((system, load))
        return statistics.median(rates) if rates else None

    def ratio(self, load: str, system: str, ours: str = "ctorrent") -> float | None:
        """Ours over theirs; None where either is missing."""
        mine, theirs = self.median(ours, load), self.median(system, load)
        return mine / theirs if mine and theirs else None

    def lines(self) -> Iterable[str]:
        for (system, load), rates in sorted(self.rates.items(), key=lambda item: (item[0][1], item[0][0])):
            spread = f"{min(rates):,.1f} … {max(rates):,.1f}"
            detail = self.details[system, load][-1]
            yield f"  {load:<9} {system:<20} {statistics.median(rates):>10,.1f} /s   {spread}   {detail or ''}".rstrip()
        for system, why in sorted(self.missing.items()):
            yield f"  {system}: not measured: {why}"


def compare(figures: Figures, quick: bool, rounds: int) -> None:
    """Every system on every load, in turn, round by round."""
    all_loads = systems.loads(quick)
    for turn in range(rounds):
        makers: list[Callable[[], Any]] = [systems.Pool, systems.Dask, systems.Ray, systems.Ours]
        for make in makers[turn % 4 :] + makers[: turn % 4]:
            _one_system(figures, make, all_loads)
        exchanges = len(all_loads[-1].data)
        figures.add("transport alone", "megabyte", machine.transport(exchanges))


def _one_system(figures: Figures, make: Callable[[], Any], all_loads: tuple[systems.Load, ...]) -> None:
    try:
        system = make().__enter__()
    except ImportError as error:
        figures.missing[make.name] = f"{error} (pip install '.[bench]')"  # type: ignore[attr-defined]
        return
    try:
        for load in all_loads:
            tell(f"{system.name}: {load.blocks} x {load.name}")
            system.run(load.small())
            took = system.run(load)
            figures.add(system.name, load.name, load.blocks / took.seconds, took.detail)
        if isinstance(system, systems.Ours):
            tell("ctorrent: busy, two replicas")
            took = system.run(all_loads[0], replicas=2)
            figures.add("ctorrent, 2 replicas", "busy", all_loads[0].blocks / took.seconds, took.detail)
            machine.secured(system.swarm)
    finally:
        system.__exit__(None, None, None)


def verdict(figures: Figures, alone: dict[str, float]) -> list[Target]:
    """A line for each target that could be measured."""
    found = [
        ("200 x 100 ms busy, of ProcessPool's rate", figures.ratio("busy", "pool"), 0.95, True, ""),
        ("10,000 empty, times dask's rate", figures.ratio("empty", "dask"), 3.0, True, ""),
        ("10,000 empty, times Ray's rate", figures.ratio("empty", "ray"), 1.0, True, ""),
        ("200 x 1 MiB in and out, times dask's rate", figures.ratio("megabyte", "dask"), 1.0, True, ""),
        ("200 x 1 MiB in and out, of transport alone", figures.ratio("megabyte", "transport alone"), 0.5, True, ""),
        ("cost of 2 replicas, times 1", figures.ratio("busy", "ctorrent, 2 replicas"), 2.1, False, ""),
        ("idle node with 8 peers, memory", alone.get("idle_mb"), 130.0, False, " MB"),
        ("idle node with 8 peers, of a core", alone.get("idle_percent"), 1.0, False, " %"),
        ("ctorrent --help", alone.get("help_s"), 0.3, False, " s"),
        ("block in a warm sandbox adds", alone.get("sandbox_ms"), 1.0, False, " ms"),
    ]
    return [Target(name, figure, bound, least, unit) for name, figure, bound, least, unit in found if figure is not None]


def by_itself(quick: bool) -> dict[str, float]:
    tell("a warm sandbox, `ctorrent --help`, an idle node with 8 peers")
    resting = machine.idle(IDLE_QUICK_S if quick else IDLE_S)
    return {
        "sandbox_ms": 1e3 * machine.sandbox_seconds(100 if quick else 500),
        "help_s": machine.help_seconds(),
        "idle_mb": resting["mb"],
        "idle_percent": resting["percent"],
    }


def tell(words: str) -> None:
    print(f"… {words}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of blocks, beside other systems.")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--quick", action="store_true", help="one round of a fifth of the work")
    parser.add_argument("--rounds", type=int, help=f"instead of {ROUNDS}; {ROUNDS_QUICK} with --quick")
    options = parser.parse_args()
    begun = time.monotonic()
    figures = Figures()
    alone = by_itself(options.quick)
    try:
        compare(figures, options.quick, options.rounds or (ROUNDS_QUICK if options.quick else ROUNDS))
    except KeyboardInterrupt:  # what was measured until then is worth telling
        tell("interrupted: figures of the rounds so far")
    targets = verdict(figures, alone)
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    where += ", QUICK: a fifth of the blocks, so starting up weighs five times as much" if options.quick else ""
    print(f"Blocks a second, all results in hand (median, least … most); {where}; {time.monotonic() - begun:.0f} s")
    print("ctorrent: a requester that does not work and two workers of one slot; replicas 1; Noise, signatures, journal, jail on")
    print(*figures.lines(), sep="\n")
    print(*(target.line() for target in targets), sep="\n")
    if not all(target.met for target in targets):
        print(PROFILE)
    if options.json:
        rows = [{"system": s, "load": w, "rates": r, "details": figures.details[s, w]} for (s, w), r in figures.rates.items()]
        verdicts = [{**asdict(target), "met": target.met} for target in targets]
        content = {"machine": where, "rows": rows, "missing": figures.missing, "alone": alone, "targets": verdicts}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
