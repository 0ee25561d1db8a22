"""The matrix as markdown: the whole, and the part that fits a README."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .cells import Cell
from .form import Form
from .policies import POLICIES
from .rows import ROWS
from .targets import Line, percent

Cells = Mapping[tuple[str, str], Cell]
BEGIN, END = "<!-- attack matrix: begin -->", "<!-- attack matrix: end -->"


def whole(cells: Cells, lines: Sequence[Line], form: Form, cpu_hours: float) -> str:
    """The page: how it was run, what came of it, what every row is."""
    seeds = sorted({seed for cell in cells.values() for seed in cell.seeds})
    met = sum(line.met for line in lines)
    again = " With `--resume tests/attacks/matrix/long.jsonl`, where every run is kept, nothing of it is run again." if form.name == "long" else ""
    parts = [
        "# The attack matrix\n",
        f"Made by `python -m tests.attacks.matrix --form {form.name}`: {form.workers} workers, {form.hostile:.0%} of them hostile, one requester that "
        f"starts with no history, {form.blocks:,} blocks, {len(seeds)} seed{'s' * (len(seeds) != 1)} a cell; honest workers are wrong "
        f"in {100 * form.honest_error:g} % of blocks. {len(cells)} cells took {cpu_hours:.2g} core-hours.{again}\n",
        "Each cell: **overhead** (block executions by anybody, the requester's own checks included, over blocks; from block "
        f"{form.steady_from:,} on in brackets) / **wrong** results settled with their 95 % interval / honest workers **quarantined** (expelled "
        "for their answers, or distrusted at the end) in the worst seed / blocks until a cheat is **caught**, median over liars.\n",
        "![overhead and wrong results](attack_matrix.svg)\n",
        _grid(cells, _full),
        f"\n## Targets: {met} of {len(lines)} met\n",
        *[f"- {'OK' if line.met else '**MISS**'} {line.words}: {line.figure} (target {line.target}{line.why})" for line in lines],
        "\n## Rows\n",
        *[f"- **{row.name}**: {row.words}." for row in ROWS.values()],
        "\n## Policies\n",
        *[f"- **{policy.name}**: {policy.words}." for policy in POLICIES.values()],
    ]
    return "\n".join(parts) + "\n"


def short(cells: Cells) -> str:
    """Overhead / wrong, for the README."""
    return _grid(cells, lambda cell: f"{cell.overhead.mean:.2f} × / {percent(cell.wrong.mean)}")


def between(text: str, table: str) -> str:
    """`text` with what stands between the two marks replaced. Raises ValueError where they are missing."""
    head, found, rest = text.partition(BEGIN)
    _, also, tail = rest.partition(END)
    if not found or not also:
        raise ValueError(f"the text has no {BEGIN} … {END}")
    return f"{head}{BEGIN}\n{table}\n{END}{tail}"


def _grid(cells: Cells, show: object) -> str:
    assert callable(show)
    policies = [name for name in POLICIES if any(policy == name for _, policy in cells)]
    lines = ["| attack | " + " | ".join(policies) + " |", "|---" * (len(policies) + 1) + "|"]
    for row in ROWS:
        if any((row, policy) in cells for policy in policies):
            found = [show(cells[row, policy]) if (row, policy) in cells else "" for policy in policies]
            lines.append(f"| {row} | " + " | ".join(found) + " |")
    return "\n".join(lines)


def _full(cell: Cell) -> str:
    wrong = f"{percent(cell.wrong.mean)} ({100 * cell.wrong.low:.2g}–{100 * cell.wrong.high:.2g})"
    after = "–" if math.isnan(cell.caught_after) else "never" if math.isinf(cell.caught_after) else f"{cell.caught_after:.0f}"
    state = "" if set(cell.states) <= {"settled"} else f" / {', '.join(sorted(set(cell.states)))}"
    again = f" / {cell.returns:.0f} new identities" if cell.returns else ""
    return f"{cell.overhead.mean:.2f} ({cell.steady.mean:.2f}) / {wrong} / {max(cell.quarantined)} / {after}{again}{state}"
