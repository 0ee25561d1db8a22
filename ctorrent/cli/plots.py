"""Plots as SVG, inside a page: no script, sizes in a fixed box that scales with the page, colours by class.

Blue and vermilion of Okabe and Ito ("Color Universal Design", 2008) tell right from wrong to every eye; what is wrong is
hatched as well. Every text is escaped here; a plot has at most a few thousand marks, however large the job.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ctorrent.cli import show

Plain = dict[str, Any]
WIDTH = 720  # units of the box; a phone shows them smaller
LABEL = 160  # room for a worker's name
LANES_MAX = 8  # units at once that are drawn below one another; more are drawn as columns of how busy it was
WORKERS_MAX = 40  # lines; the rest is counted
MARKS_MAX = 1500
LANE, GAP = 12.0, 8.0
NAME_CHARS = 23  # of 6 units each, about
HERE = " (here)"  # behind a worker's name: it is the requester's own


def text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(words)}</text>'


def rect(x: float, y: float, width: float, height: float, style: str, title: str = "") -> str:
    inside = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{max(width, 0.6):.2f}" height="{max(height, 0.0):.2f}" class="{style}">{inside}</rect>'


def box(height: float, parts: Iterable[str], label: str) -> str:
    """One plot. label: what a reader that cannot see it is told."""
    inside = "\n".join(parts)
    return f'<div class="plot"><svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label, quote=True)}">\n{inside}\n</svg></div>\n'


def clipped(name: str) -> str:
    if len(name) <= NAME_CHARS:
        return name
    end = HERE if name.endswith(HERE) else ""
    return f"{name[: NAME_CHARS - 1 - len(end)]}…{end}"


def ticks(most: float, count: int = 6) -> list[float]:
    """Round numbers from 0 to `most`, of seconds: 1, 2, 5, and what clocks have."""
    if not most > 0:
        return [0.0]
    steps = [base * 10.0**power for power in range(-4, 2) for base in (1, 2, 5)][:-1]
    steps += [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800]
    step = next((one for one in sorted(steps) if most / one <= count), math.ceil(most / count / 86400) * 86400)
    return [number * step for number in range(int(most / step + 1e-9) + 1)]


def clock(seconds: float) -> str:
    """A tick's label: 0.5 s, 20 s, 5 min, 1.5 h, 2 d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds / size * 10 % 5 < 1e-6:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _axis(most: float, scale: float, top: float, bottom: float) -> list[str]:
    marks = [LABEL + at * scale for at in ticks(most)]
    lines = [f'<line x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" class="grid"/>' for x in marks]
    words = [text(x, bottom + 14, clock(at), "small", "middle") for x, at in zip(marks, ticks(most), strict=True)]
    return lines + words


# -- who computed when ------------------------------------------------------------------------------------------------


def time_line(found: Plain, names: dict[int, str], wall_s: float) -> str:
    """A line per worker: each unit where it ran while there are few, else how busy it was."""
    workers = [worker for worker in found["workers"] if worker["done"]][:WORKERS_MAX]
    end = max([wall_s, *(span[4] for span in found["spans"])]) or 1.0
    scale = (WIDTH - LABEL - 12) / end
    exact = found["complete"] and len(found["spans"]) <= MARKS_MAX
    of: dict[int, list[list[float]]] = {worker["number"]: [] for worker in workers}
    for span in found["spans"] if exact else ():
        if span[0] in of:
            of[int(span[0])].append(span)
    parts: list[str] = []
    y = 6.0
    for worker in workers:
        lanes = _lanes(of[worker["number"]]) if exact else []
        drawn = _units(lanes, y, scale) if 0 < len(lanes) <= LANES_MAX else _columns(worker, found["column_s"], end, y, scale)
        height = LANE * len(lanes) if 0 < len(lanes) <= LANES_MAX else 2.5 * LANE
        name = names[worker["number"]]
        parts.append(f"<g><title>{escape(name)}</title>{text(LABEL - 8, y + height / 2 + 4, clipped(name), 'label', 'end')}</g>")
        parts += drawn
        y += height + GAP
    parts = _axis(end, scale, 2.0, y) + parts
    return box(y + 22, parts, f"Time line of {len(workers)} workers over {end:.3g} seconds")


def _lanes(spans: Sequence[Sequence[float]]) -> list[list[Sequence[float]]]:
    """Units that ran at once go below one another."""
    lanes: list[list[Sequence[float]]] = []
    for span in sorted(spans, key=lambda span: (span[3], span[4])):
        slack = max(0.02, 0.2 * (span[4] - span[3]))  # a unit's beginning is its arrival less the time that it took: not exact
        for lane in lanes:
            if lane[-1][4] <= span[3] + slack:
                lane.append(span)
                break
        else:
            if len(lanes) > LANES_MAX:
                break
            lanes.append([span])
    return lanes


def _units(lanes: list[list[Sequence[float]]], y: float, scale: float) -> list[str]:
    drawn = []
    for row, lane in enumerate(lanes):
        for _, first, count, began, ended, wrong in lane:
            blocks = f"block {first:.0f}" if count == 1 else f"{count:.0f} blocks from {first:.0f}"
            words = f"{blocks}: {began:.2f} s to {ended:.2f} s{', disputed' if wrong else ''}"
            width = max(0.8, (ended - began) * scale - 0.6)
            drawn.append(rect(LABEL + began * scale, y + row * LANE + 1, width, LANE - 2, "wrong" if wrong else "unit", words))
    return drawn


def _columns(worker: Plain, column_s: float, end: float, y: float, scale: float) -> list[str]:
    """How many units ran at once, by time: full height is the most that this worker ever ran."""
    busy = [seconds / column_s for seconds in worker["busy"]]
    most = max([1.0, *busy])
    height = 2.5 * LANE
    steps = [f"M{LABEL} {y + height:.1f}"]
    for number, level in enumerate(busy):
        left, right = (LABEL + min(at * column_s, end) * scale for at in (number, number + 1))
        top = y + height * (1 - level / most)
        steps.append(f"L{left:.1f} {top:.1f}L{right:.1f} {top:.1f}")
    right = LABEL + min(len(busy) * column_s, end) * scale
    steps.append(f"L{right:.1f} {y + height:.1f}Z")
    base = f'<line x1="{LABEL}" y1="{y + height:.1f}" x2="{WIDTH - 12}" y2="{y + height:.1f}" class="grid"/>'
    words = f"at most {most:.3g} at once; {sum(worker['busy']):.0f} s of work"
    return [base, f'<path d="{"".join(steps)}" class="unit"><title>{escape(words)}</title></path>']


# -- block times ------------------------------------------------------------------------------------------------------


def histogram(times: Sequence[Sequence[float]]) -> str:
    """Replicas by how long they took; the axis is logarithmic."""
    if not times:
        return ""
    times = [(low or high / 1.33, high, count) for low, high, count in times]  # the first bucket begins at 0, which no logarithm reaches
    lowest = min(low for low, _, _ in times)
    highest = max(*(high for _, high, _ in times), lowest)
    if highest < 10 * lowest:  # a decade at least, with what there is in its middle
        middle = math.sqrt(lowest * highest)
        lowest, highest = middle / math.sqrt(10), middle * math.sqrt(10)
    left, bottom, height = 48.0, 150.0, 130.0
    scale = (WIDTH - left - 24) / math.log10(highest / lowest)

    def place(seconds: float) -> float:
        return left + scale * max(0.0, math.log10(max(seconds, lowest) / lowest))

    most = max(count for _, _, count in times)
    parts = [
        f'<line x1="{left}" y1="{bottom}" x2="{WIDTH - 24}" y2="{bottom}" class="grid"/>',
        text(left - 6, bottom - height + 4, f"{most:,.0f}", "small", "end"), text(left - 6, bottom, "0", "small", "end"),
    ]  # fmt: skip
    for low, high, count in times:
        words = f"{count:,.0f} took {took(low)} to {took(high)}"
        x = place(low)
        parts.append(rect(x + 0.5, bottom - height * count / most, place(high) - x - 1, height * count / most, "unit", words))
    for at in _decades(lowest, highest):
        x = place(at)
        parts += [f'<line x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 4}" class="tick"/>', text(x, bottom + 18, _spoken(at), "small", "middle")]
    return box(bottom + 26, parts, "Histogram of block times")


def took(seconds: float) -> str:
    """A block's time: 14 µs, 25 ms, and from a tenth of a second as durations are elsewhere."""
    if 0 < seconds < 0.1:
        return f"{seconds * 1e6:.3g} µs" if seconds < 0.001 else f"{seconds * 1000:.3g} ms"
    return show.duration(seconds)


def _decades(lowest: float, highest: float) -> list[float]:
    """Ticks of a logarithmic axis: with 2 and 5 in between where there is room."""
    between = (1, 2, 5) if highest / lowest < 200 else (1,)
    powers = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    return [base * 10.0**power for power in powers for base in between if lowest * 0.99 <= base * 10.0**power <= highest * 1.01]


def _spoken(seconds: float) -> str:
    return f"{seconds * 1e6:g} µs" if seconds < 0.0009999 else f"{seconds * 1000:g} ms" if seconds < 0.9999 else f"{round(seconds):,} s"


# -- bars -------------------------------------------------------------------------------------------------------------


def bars(rows: Sequence[tuple[str, Sequence[tuple[float, str, str]], str]], label: str) -> str:
    """A bar per row: its name, its parts (size, class, title), and words behind it. HTML, so that it folds on a phone."""
    most = max((sum(size for size, _, _ in found) for _, found, _ in rows), default=0) or 1.0
    lines = []
    for name, found, words in rows[:WORKERS_MAX]:
        inside = "".join(
            f'<i class="{style}" style="width:{100 * size / most:.2f}%" title="{escape(title, quote=True)}"></i>' for size, style, title in found if size > 0
        )
        lines.append(f'<div class="name">{escape(name)}</div><div class="bar">{inside}</div><div class="words">{escape(words)}</div>')
    more = f'<p class="soft">and {len(rows) - WORKERS_MAX:,} more</p>' if len(rows) > WORKERS_MAX else ""
    return f'<div class="bars" role="img" aria-label="{escape(label, quote=True)}">{"".join(lines)}</div>{more}\n'
