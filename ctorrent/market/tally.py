"""Why peers do not take a job, added up for people: "9 peers saw it: 6 lack numpy, 2 are busy, 1 is engaged"."""

from __future__ import annotations

from ctorrent.market.words import MANY
from ctorrent.model.ids import NodeId
from ctorrent.model.trade import No, NoReason

_DETAILED = (NoReason.PACKAGES, NoReason.PROGRAMS, NoReason.PYTHON, NoReason.ARCH, NoReason.MEMORY, NoReason.CPU,
             NoReason.INSTALLING, NoReason.WITHHELD, NoReason.FILES, NoReason.DISK, NoReason.DISTRUST)  # fmt: skip
_ONE = {  # where the reason's own words do not lead up to its detail
    NoReason.PACKAGES: "lacks", NoReason.PROGRAMS: "lacks", NoReason.PYTHON: "has another Python than",
    NoReason.ARCH: "has another processor than", NoReason.MEMORY: "has too little memory for",
    NoReason.CPU: "has too few cores for", NoReason.INSTALLING: "is installing", NoReason.FULL: "came when all places were taken",
}  # fmt: skip
_DETAIL_MAX = 300  # a peer chooses these words; pip's last ones are about as many


class Answers:
    """The last answer of each peer, in the order they first answered."""

    __slots__ = ("_answers", "_limit")

    def __init__(self, limit: int) -> None:
        self._answers: dict[NodeId, tuple[No, ...]] = {}
        self._limit = limit

    def add(self, node: NodeId, reasons: tuple[No, ...]) -> None:
        """An empty tuple: it would take it. Beyond the limit new peers are not counted."""
        if node in self._answers or len(self._answers) < self._limit:
            self._answers[node] = reasons

    def counts(self) -> dict[tuple[NoReason, str], int]:
        """Peers by their first reason (the most basic one) and its detail; most frequent first."""
        counted: dict[tuple[NoReason, str], int] = {}
        for reasons in self._answers.values():
            if reasons:
                first = reasons[0]
                detail = first.detail[:_DETAIL_MAX] if first.reason in _DETAILED else ""
                counted[first.reason, detail] = counted.get((first.reason, detail), 0) + 1
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0][0].name, item[0][1])))

    def words(self, engaged: int) -> str:
        """One sentence."""
        seen = len(self._answers)
        if not seen:
            return "no peer answered"
        parts = [f"{engaged} {'is' if engaged == 1 else 'are'} engaged"] if engaged else []
        for (reason, detail), many in self.counts().items():
            says = (_ONE.get(reason, reason.value) if detail or reason is NoReason.FULL else reason.value) if many == 1 else MANY[reason]
            lead = says if detail or many == 1 else says.removesuffix(" than").removesuffix(" for")
            parts.append(f"{many} {lead} {detail}".rstrip())
        silent = seen - engaged - sum(self.counts().values())
        if silent > 0:
            parts.append(f"{silent} would take it")
        return f"{seen} peer{'s' if seen > 1 else ''} saw it: {', '.join(parts)}"
