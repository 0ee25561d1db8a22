"""The matrix as one picture: a panel a row, overhead to the right, wrong results upwards, down and left is better. SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from .cells import Cell
from .policies import POLICIES
from .rows import ROWS
from .targets import LIMITS

Cells = Mapping[tuple[str, str], Cell]
COLUMNS = 4
PANEL, HIGH = 236.0, 176.0  # one panel with its margins
LEFT, TOP, RIGHT, BOTTOM = 46.0, 24.0, 10.0, 30.0
X = (0.9, 3.3)
Y = (1e-5, 0.3)  # shares, on a log scale; below it is drawn on the lower edge
# Okabe and Ito, "Color Universal Design", 2008; each has a shape of its own, too
MARKS = {"strict": ("#0072B2", "square"), "economy": ("#009E73", "circle"), "quorum-2": ("#D55E00", "diamond"),
         "quorum-3": ("#CC79A7", "triangle"), "boinc": ("#555555", "cross")}  # fmt: skip
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#222}.t{font-weight:600}.s{font-size:9px;fill:#555}"
    ".g{stroke:#ddd;stroke-width:.6}.b{fill:none;stroke:#999;stroke-width:.8}.l{fill:#009E73;fill-opacity:.10}"
    ".m{fill:#0072B2;fill-opacity:.10}"
)


def drawn(cells: Cells, form: str) -> str:
    rows = [row for row in ROWS if any((row, policy) in cells for policy in POLICIES)]
    width, height = COLUMNS * PANEL, math.ceil(len(rows) / COLUMNS) * HIGH + 46
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="Overhead and wrong results of five policies under {len(rows)} attacks">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
    ]
    for number, row in enumerate(rows):
        parts += _panel(cells, row, form, PANEL * (number % COLUMNS), HIGH * (number // COLUMNS))
    parts += _legend(height - 18)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(at: float, left: float) -> float:
    return left + LEFT + (min(max(at, X[0]), X[1]) - X[0]) / (X[1] - X[0]) * (PANEL - LEFT - RIGHT)


def _y(at: float, top: float) -> float:
    low, high = math.log10(Y[0]), math.log10(Y[1])
    here = math.log10(min(max(at, Y[0]), Y[1]))
    return top + TOP + (high - here) / (high - low) * (HIGH - TOP - BOTTOM)


def _panel(cells: Cells, row: str, form: str, left: float, top: float) -> list[str]:
    x0, x1, y0, y1 = left + LEFT, left + PANEL - RIGHT, top + TOP, top + HIGH - BOTTOM
    parts = [f'<text class="t" x="{x0:.1f}" y="{y0 - 8:.1f}">{escape(row)}</text>']
    for policy, style in (("economy", "l"), ("strict", "m")):
        limits = LIMITS[form].get(policy, {})
        if limits and ROWS[row].kind != "wavering":
            limit = limits.get(ROWS[row].kind, limits[""])
            right, roof = _x(limit.overhead, left), _y(limit.wrong, top)
            parts.append(f'<rect class="{style}" x="{x0:.1f}" y="{roof:.1f}" width="{right - x0:.1f}" height="{y1 - roof:.1f}"/>')
    for share, label in ((1e-5, "0.001 %"), (1e-4, "0.01 %"), (1e-3, "0.1 %"), (1e-2, "1 %"), (1e-1, "10 %")):
        y = _y(share, top)
        parts.append(f'<line class="g" x1="{x0:.1f}" x2="{x1:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="s" text-anchor="end" x="{x0 - 3:.1f}" y="{y + 3:.1f}">{label}</text>')
    for factor in (1, 1.5, 2, 2.5, 3):
        x = _x(factor, left)
        parts.append(f'<line class="g" x1="{x:.1f}" x2="{x:.1f}" y1="{y0:.1f}" y2="{y1:.1f}"/>')
        parts.append(f'<text class="s" text-anchor="middle" x="{x:.1f}" y="{y1 + 11:.1f}">{factor:g} ×</text>')
    parts.append(f'<rect class="b" x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}"/>')
    for policy in POLICIES:
        cell = cells.get((row, policy))
        if cell is not None and cell.settled:
            parts += _point(cell, left, top)
    return parts


def _point(cell: Cell, left: float, top: float) -> list[str]:
    colour, shape = MARKS[cell.policy]
    x, y = _x(cell.overhead.mean, left), _y(cell.wrong.mean, top)
    low, high = _y(cell.wrong.low, top), _y(cell.wrong.high, top)
    words = f"{cell.policy}: {cell.overhead.mean:.2f} ×, {100 * cell.wrong.mean:.3g} % wrong"
    bar = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}" stroke-width="1"/>'
    return [f"<g><title>{escape(words)}</title>{bar}{_mark(shape, x, y, colour)}</g>"]


def _mark(shape: str, x: float, y: float, colour: str) -> str:
    r = 4.0
    match shape:
        case "circle":
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{colour}"/>'
        case "square":
            return f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r}" height="{2 * r}" fill="{colour}"/>'
        case "cross":
            return f'<path d="M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}" stroke="{colour}" stroke-width="2.4"/>'
        case "triangle":
            return f'<path d="M{x:.1f} {y - r - 1:.1f}l{r + 1} {2 * r}h{-2 * r - 2}z" fill="{colour}"/>'
    return f'<path d="M{x:.1f} {y - r - 1:.1f}l{r + 1} {r + 1}l{-r - 1} {r + 1}l{-r - 1} {-r - 1}z" fill="{colour}"/>'


def _legend(y: float) -> list[str]:
    parts, x = [], LEFT
    for policy, (colour, shape) in MARKS.items():
        parts.append(_mark(shape, x, y - 4, colour))
        parts.append(f'<text x="{x + 9:.1f}" y="{y:.1f}">{escape(policy)}</text>')
        x += 95
    parts.append(f'<text class="s" x="{x:.1f}" y="{y:.1f}">shaded: targets; right: overhead; up: wrong, at the foot 0.001 % or less</text>')
    return parts
