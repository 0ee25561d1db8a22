"""How large a run is: machines, blocks, seeds; the long form that is published, the short one, and the gate's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Form:
    """Shares are of 1, times in simulated seconds."""

    name: str
    workers: int
    blocks: int
    steady_from: int  # overhead is also told of blocks from this index on: trust has been earned by then
    seeds: int
    rows: tuple[str, ...] = ()  # empty: all
    policies: tuple[str, ...] = ()  # empty: all
    hostile: float = 0.2
    honest_error: float = 0.002  # of an honest worker's blocks: bad memory, say; another run of the block is right again
    block_s: tuple[float, float] = (0.8, 1.2)
    expected_block_s: float = 1.0  # what the rehearsal told: sizes first units
    expected_start_s: float = 1.25  # of a process: units then take 5 s, so 4 or 5 blocks
    limit_s: float = 3600.0  # ten times what it should take: a job that takes longer has hung, and is counted as it stands


LONG = Form("long", 200, 40_000, 10_000, 8)
MEDIUM = Form("medium", 100, 10_000, 4_000, 2)
SHORT = Form("short", 40, 4_000, 2_000, 2, rows=("always-wrong", "sleeper", "coordinated"))
SMOKE = Form("smoke", 20, 800, 400, 1, rows=("always-wrong",), policies=("strict", "economy", "quorum-2"))
FORMS = {form.name: form for form in (LONG, MEDIUM, SHORT, SMOKE)}
