"""What the matrix must show: every target, in one place, and whether a set of runs meets it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .cells import Cell
from .policies import POLICIES
from .rows import ROWS

Cells = Mapping[tuple[str, str], Cell]


@dataclass(frozen=True, slots=True)
class Limits:
    """Overhead as a factor, wrong as a share of settled blocks."""

    overhead: float
    wrong: float


# At 20 % hostile workers, 40,000 blocks, honest workers wrong in 0.2 % of blocks. "" is any row without a word of its own.
LONG = {
    "economy": {"": Limits(1.2, 0.003), "sleeper": Limits(1.2, 0.008), "whitewasher": Limits(1.5, 0.003)},
    "strict": {"": Limits(2.1, 0.0002), "coordinated": Limits(2.2, 0.001), "coordinated-rare": Limits(2.2, 0.0025)},
}
# 100 blocks a worker instead of 200: cold start and what is caught late weigh twice as much
MEDIUM = {
    "economy": {"": Limits(1.35, 0.004), "sleeper": Limits(1.45, 0.012), "whitewasher": Limits(1.7, 0.004)},
    "strict": {"": Limits(2.25, 0.0005), "coordinated": Limits(2.25, 0.001), "coordinated-rare": Limits(2.25, 0.0025)},
}
# likewise, and 40 instead of 160 honest ones: trust is earned over a third of the job
SHORT = {
    "economy": {"": Limits(1.6, 0.005), "sleeper": Limits(1.6, 0.02)},
    "strict": {"": Limits(2.3, 0.001), "coordinated": Limits(2.2, 0.002)},
}
# 40 blocks a worker: most of it is cold start
SMOKE = {"economy": {"": Limits(1.9, 0.01)}, "strict": {"": Limits(2.8, 0.0025)}}
LIMITS = {"long": LONG, "medium": MEDIUM, "short": SHORT, "smoke": SMOKE}
ALMOST_ALL = 0.99  # of blocks
WORSE = 1.05  # times a baseline's overhead is no more than its own
_HONEST = "what settles wrong are honest machines' own errors, in blocks that ran once; the intervals overlap"
WHY = {  # of targets that are missed in some form, as far as it was found out
    "coordinated-10: no worse than boinc": f"two liars in all eight seeds found a deciding majority: {_HONEST}",
    "bid-and-vanish: no worse than boinc": f"nobody lies there: {_HONEST}",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One target: met or not, with the figure. `words` names row and policy."""

    met: bool
    words: str
    figure: str
    target: str

    @property
    def why(self) -> str:
        """Of a missed one."""
        return "" if self.met else f"; why: {WHY.get(self.words, 'not known')}"

    def __str__(self) -> str:
        return f"{'OK  ' if self.met else 'MISS'}  {self.words}: {self.figure}  (target {self.target}{self.why})"


def judged(cells: Cells, form: str) -> list[Line]:
    """Every target that these runs can tell of."""
    lines: list[Line] = []
    for row in ROWS:
        for policy in POLICIES:
            if (row, policy) in cells and POLICIES[policy].ours:
                lines += _own(cells[row, policy], form)
        lines += _others(cells, row)
    return lines


def _own(cell: Cell, form: str) -> Iterator[Line]:
    row, where = ROWS[cell.row], f"{cell.row}, {cell.policy}"
    limits = LIMITS[form][cell.policy]
    limit = limits.get(row.kind, limits[""])
    if row.kind == "wavering":
        yield Line(all(s == "paused" for s in cell.states), f"{where}: reported nondeterministic", " ".join(sorted(set(cell.states))), "paused")
    else:
        whole = cell.settled > ALMOST_ALL  # a figure of a job that went nowhere is none
        ended = sum(state == "settled" for state in cell.states)
        yield Line(ended == len(cell.states), f"{where}: every block settled", f"{ended} of {len(cell.states)} runs", "all")
        yield Line(whole and cell.overhead.mean <= limit.overhead, f"{where}: overhead", f"{cell.overhead.mean:.3f} ×", f"≤ {limit.overhead:g} ×")
        yield Line(whole and cell.wrong.mean <= limit.wrong, f"{where}: wrong", percent(cell.wrong.mean), f"≤ {percent(limit.wrong)}")
    worst = max(cell.quarantined)
    yield Line(worst == 0, f"{where}: honest workers quarantined", f"{worst} in the worst seed", "0 in any")
    yield from _beyond(cell, where)


NONE_OF = {
    "ring_trust": "trust in the ring, as an uninvolved node sees it",
    "slandered": "honest workers that a third party thinks less of",
    "honest_charged": "honest nodes charged for what others did",
    "forks_unknown": "forkers whose fork the onlooker has no proof of",
    "victim_lacks": "entries that the eclipsed node lacks half a minute after it met one honest node",
    "victim_fooled": "verdicts that the eclipsed node took from those around it",
}


def _beyond(cell: Cell, where: str) -> Iterator[Line]:
    """What a row measures beside blocks: each must be nothing, in any seed."""
    for key, words in NONE_OF.items():
        found = [float(extra[key]) for extra in cell.extra if key in extra]
        if found:
            yield Line(max(found) == 0, f"{where}: {words}", f"{max(found):g}", "0")


def _others(cells: Cells, row: str) -> Iterator[Line]:
    """Against each baseline one of ours is at least as right at no more than its cost."""
    if ROWS[row].kind == "wavering":
        return  # there is no truth to be wrong about
    ours = [cells[row, name] for name, policy in POLICIES.items() if policy.ours and (row, name) in cells]
    for name, policy in POLICIES.items():
        if policy.ours or (row, name) not in cells or not ours:
            continue
        other = cells[row, name]
        good = [one for one in ours if one.settled > ALMOST_ALL and one.wrong.mean <= other.wrong.mean and one.overhead.mean <= WORSE * other.overhead.mean]
        shown = good or ours
        figure = "; ".join(f"{one.policy} {percent(one.wrong.mean)} at {one.overhead.mean:.2f} ×" for one in shown)
        target = f"≤ {percent(other.wrong.mean)} at ≤ {WORSE:g} × {other.overhead.mean:.2f}"
        yield Line(bool(good), f"{row}: no worse than {name}", figure, target)


def percent(part: float) -> str:
    """Three digits that say something: 12.3 %, 0.217 %, 0.0025 %."""
    return "0 %" if part == 0 else f"{100 * part:.3g} %"
