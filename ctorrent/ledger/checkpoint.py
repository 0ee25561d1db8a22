"""Checkpoints: an author's own log in short, signed by it, so that everybody may forget the entries behind it.

    … entries … │ part 0 of n │ … │ part n-1 │ entries …       each part's head: the entry just before part 0
                 └──────── one checkpoint ────┘

A checkpoint stands for every entry that its head is linked to: back through its log and, by the heads that opening
entries name, through the earlier logs of that ring. Its sums are therefore the sums of the checkpoint before it plus
the tallies since; who holds those can tell a lie. Readers cut one checkpoint in arrears: when one is complete and
right, what lies behind the one before it goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ctorrent.ledger.rules import CheckpointRules
from ctorrent.model.entry import Checkpoint, Entry, Head, Sum, Tally, Work
from ctorrent.model.ids import NodeId, OwnerId, Ring

CREDITS_SLACK = 1e-6  # of a sum of credits: additions in another order differ by less


@dataclass(frozen=True, slots=True)
class Summed:
    """What stands for entries that are forgotten: testimony of `author` in place of all of its up to `head`.

    head: entries of logs of this ring with a lower incarnation, and those of this one up to its seq, are in the sums.
    """

    author: NodeId
    ring: Ring
    head: Head
    sums: tuple[Sum, ...]
    credits: float


def fits(entry: Entry, said: Checkpoint) -> bool:
    """Does a checkpoint stand where it says? One that does not is chained, and weighs nothing."""
    head = said.head
    if head.author != entry.author or head.incarnation != entry.incarnation or not 0 <= said.part < said.parts:
        return False
    return head.seq >= 1 and entry.seq == head.seq + 1 + said.part and (said.part > 0 or entry.prev == head.id)


def due(entries: int, logs: int, rules: CheckpointRules) -> bool:
    """Should an author sum up a ring? entries, logs: of it since its last checkpoint there."""
    return entries >= rules.entries or logs >= rules.logs


@dataclass(slots=True)
class Totals:
    """Sums by worker while they are added up."""

    workers: dict[NodeId, Sum] = field(default_factory=dict)
    credits: float = 0.0

    def add_tally(self, tally: Tally) -> None:
        self._add(Sum(tally.worker, tally.worker_owner, tally.agreed, tally.disputed, tally.invalid))

    def add_receipt(self, work: Work) -> None:
        self.credits += work.credits

    def add_parts(self, parts: Iterable[Checkpoint]) -> None:
        """An earlier checkpoint, whole."""
        for number, part in enumerate(parts):
            self.credits += part.credits if number == 0 else 0.0
            for one in part.sums:
                self._add(one)

    def _add(self, more: Sum) -> None:
        held = self.workers.get(more.worker)
        owner = more.worker_owner or (held.worker_owner if held else OwnerId(""))  # the last one known
        if held is not None:
            more = Sum(
                more.worker, owner, more.agreed + held.agreed, more.disputed + held.disputed, more.invalid + held.invalid
            )
        self.workers[more.worker] = more

    def sums(self) -> tuple[Sum, ...]:
        return tuple(self.workers[worker] for worker in sorted(self.workers))


def parts_of(head: Head, totals: Totals, rules: CheckpointRules) -> list[Checkpoint]:
    """The bodies of a checkpoint, in order; workers least worked for are left out beyond the limit."""
    sums = totals.sums()
    most = rules.sums_a_part * rules.parts_max
    if len(sums) > most:
        heaviest = sorted(sums, key=lambda s: (-(s.agreed + s.disputed + s.invalid), s.worker))[:most]
        sums = tuple(sorted(heaviest, key=lambda s: s.worker))
    pieces = [sums[i : i + rules.sums_a_part] for i in range(0, len(sums), rules.sums_a_part)] or [()]
    return [Checkpoint(head, part, len(pieces), piece, totals.credits) for part, piece in enumerate(pieces)]


def lie(said: Iterable[Checkpoint], held: Totals, rules: CheckpointRules) -> str:
    """What a checkpoint says against the entries it stands for, all of which are held; "" where it is right."""
    claimed = Totals()
    claimed.add_parts(said)
    if abs(claimed.credits - held.credits) > CREDITS_SLACK * max(1.0, held.credits):
        return f"credits of {claimed.credits:.6g} where its receipts say {held.credits:.6g}"
    expected = Totals()
    head = Head(NodeId(""), 0, 0, bytes(32))  # type: ignore[arg-type]
    expected.add_parts(parts_of(head, held, rules))
    for worker in sorted({*claimed.workers, *expected.workers}):
        one, other = claimed.workers.get(worker), expected.workers.get(worker)
        if _counts(one) != _counts(other):
            return f"{_words(one)} of {worker} where its tallies say {_words(other)}"
    return ""


def _counts(one: Sum | None) -> tuple[int, int, int]:
    return (0, 0, 0) if one is None else (one.agreed, one.disputed, one.invalid)


def _words(one: Sum | None) -> str:
    agreed, disputed, invalid = _counts(one)
    return f"{agreed} agreed, {disputed} disputed, {invalid} invalid"
