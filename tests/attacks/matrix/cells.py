"""All runs of one row under one policy, put together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .judge import Measured
from .stats import Estimate, median, over_runs, share


@dataclass(frozen=True, slots=True)
class Cell:
    """Figures over seeds. wrong: share of settled blocks."""

    row: str
    policy: str
    seeds: tuple[int, ...]
    overhead: Estimate
    steady: Estimate
    wrong: Estimate
    settled: float  # share of blocks
    quarantined: tuple[int, ...]  # honest workers, by seed
    voted: int  # honest workers voted against, in all seeds
    caught_after: float  # median over liars, blocks; inf: more than half never were
    caught: float  # share of liars
    returns: float  # new identities a run
    states: tuple[str, ...]
    extra: tuple[dict[str, Any], ...]
    took_s: float


def gather(runs: Iterable[Measured]) -> dict[tuple[str, str], Cell]:
    """(row, policy) -> its cell."""
    held: dict[tuple[str, str], list[Measured]] = {}
    for run in sorted(runs, key=lambda run: (run.row, run.policy, run.seed)):
        held.setdefault((run.row, run.policy), []).append(run)
    return {key: _cell(found) for key, found in held.items()}


def _cell(runs: Sequence[Measured]) -> Cell:
    after = [math.inf if blocks is None else float(blocks) for run in runs for blocks in run.caught_after]
    lied = sum(run.hostile_lied for run in runs)
    return Cell(
        row=runs[0].row, policy=runs[0].policy, seeds=tuple(run.seed for run in runs),
        overhead=over_runs([run.overhead for run in runs]), steady=over_runs([run.steady for run in runs]),
        wrong=share([(run.wrong, run.settled) for run in runs]),
        settled=sum(run.settled for run in runs) / sum(run.blocks for run in runs),
        quarantined=tuple(run.quarantined for run in runs), voted=sum(run.voted for run in runs),
        caught_after=median(after), caught=sum(run.hostile_caught for run in runs) / lied if lied else math.nan,
        returns=sum(run.returns for run in runs) / len(runs), states=tuple(run.state for run in runs),
        extra=tuple(run.extra for run in runs), took_s=sum(run.took_s for run in runs),
    )  # fmt: skip
