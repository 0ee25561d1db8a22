"""A node's standing as a row for a person: what is thought of it, and every entry and weight behind that."""

from __future__ import annotations

from collections.abc import Callable

from ctorrent.ledger.quarantine import Phase
from ctorrent.ledger.weighing import Testimony
from ctorrent.model.ids import NodeId
from ctorrent.model.status import ReputationRow
from ctorrent.node.trust import Standing

LINES_MAX = 50  # entries shown per node
WORDS = {Phase.HELD: "quarantined", Phase.TRIAL: "on trial", Phase.FREE: ""}


def row(node: NodeId, name: str, found: Standing, me: str, call: Callable[[str], str]) -> ReputationRow:
    """me: this node's owner. call: what an owner is called here."""
    record = found.record
    state = WORDS[record.phase] or ("newcomer" if record.newcomer else "")
    return ReputationRow(
        node=node, name=name, agreed=record.agreed, disputed=record.disputed, lower_bound=record.lower_bound,
        newcomer=record.newcomer, state=state, held=found.held, past=found.past, trust=found.trust,
        established=found.established, dues=found.dues, why=_lines(found, me, call),
    )  # fmt: skip


def _lines(found: Standing, me: str, call: Callable[[str], str]) -> list[str]:
    lines: list[str] = []
    before = ""
    for said in found.why[:LINES_MAX]:
        if said.owner != before:
            lines.append(_signer(said, found, me, call))
            before = said.owner
        lines.append("  " + _entry(said))
    if len(found.why) > LINES_MAX:
        lines.append(f"… and {len(found.why) - LINES_MAX:,} more entries")
    return lines


def _signer(said: Testimony, found: Standing, me: str, call: Callable[[str], str]) -> str:
    if said.owner == me:
        return "Your own, which weigh in full:"
    who = call(said.owner)
    if not said.trust:
        return f"{who}, whom no path of trust reaches: weighs nothing, good or bad"
    steps = [f"{call(step.owner)} {step.trust:.3f}" for step in found.paths.get(said.owner, [])]
    note = f"; {said.note}" if said.note else ""
    return f"{who}, trusted {said.trust:.3f} (you → {' → '.join(steps)}){note}:"


def _entry(said: Testimony) -> str:
    counts = said.counts
    words = [f"{number:,} {word}" for number, word in (
        (counts.agreed, "agreed"), (counts.disputed, "disputed"), (counts.invalid, "invalid"),
    ) if number]  # fmt: skip
    if said.id is None:
        return f"not yet written: {', '.join(words)}"
    weight = f"weight {said.weight:.3f}"
    if (counts.disputed or counts.invalid) and abs(said.weight - said.weight_wrong) > 0.0005:
        weight += f", of what it found wrong {said.weight_wrong:.3f}"
    return f"entry {said.seq} of {said.author[-8:]}: {', '.join(words) or 'nothing'}, {weight}"
