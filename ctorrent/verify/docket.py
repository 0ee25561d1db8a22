"""The open and provisional blocks of one job, whose voices they hold, and which blocks are final. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ctorrent.model.ids import NodeId
from ctorrent.verify.case import Case
from ctorrent.verify.words import INDEX_MAX

LOG_MAX = 2000  # steps kept for story()


class Docket:
    """Callers read `cases`, and change it through the methods."""

    __slots__ = ("_final", "_log", "_lone", "_of", "_restless", "cases", "finals", "total")

    def __init__(self) -> None:
        self.cases: dict[int, Case] = {}
        self.finals = 0
        self.total: int | None = None  # blocks of the job, once no more will come
        self._final = bytearray()
        self._restless: dict[int, None] = {}  # cases that are not quiet
        self._lone: dict[int, None] = {}  # no other owner will come, said before the first answer
        self._of: dict[NodeId, dict[int, None]] = {}
        self._log: deque[tuple[int, str]] = deque(maxlen=LOG_MAX)

    def case(self, index: int) -> Case | None:
        """A block's case, made when there is none; None when the block is final, or nobody's."""
        self.grow((index,))
        if not 0 <= index < len(self._final) or self._final[index]:
            return None
        case = self.cases.get(index)
        if case is None:
            case = self.cases[index] = Case(self._lone.pop(index, 0) is None)
        return case

    def voice(self, worker: NodeId, index: int) -> None:
        """This worker answered."""
        self._of.setdefault(worker, {})[index] = None

    def leave(self, worker: NodeId) -> list[tuple[int, Case]]:
        """Cases in which a worker has a voice, and which it loses."""
        held = self.of(worker)
        self._of.pop(worker, None)
        return held

    def of(self, worker: NodeId) -> list[tuple[int, Case]]:
        """Cases in which a worker has a voice."""
        return [(index, self.cases[index]) for index in self._of.get(worker, {}) if index in self.cases]

    def alone(self, index: int) -> Case | None:
        """No other owner will come for this block. -> its case, if it has one."""
        case = self.cases.get(index)
        self.grow((index,))
        if case is None and 0 <= index < len(self._final) and not self._final[index]:
            self._lone[index] = None
        return case

    def look(self, index: int) -> None:
        """Something happened in a case."""
        case = self.cases.get(index)
        if case is not None and not case.quiet:
            self._restless[index] = None
        else:
            self._restless.pop(index, None)

    def stir(self, index: int) -> None:
        self._restless[index] = None

    @property
    def at_rest(self) -> bool:
        """Every block of the job is agreed on, and nothing is under way."""
        return self.total is not None and not self._restless and self.finals + len(self.cases) == self.total

    def close(self, index: int) -> None:
        """The block is final."""
        self.grow((index,))
        if 0 <= index < len(self._final):
            self.finals += not self._final[index]
            self._final[index] = 1
        case = self.cases.pop(index, None)
        self._restless.pop(index, None)
        self._lone.pop(index, None)
        for replica in case.replicas() if case is not None else ():
            self._of.get(replica.worker, {}).pop(index, None)

    def grow(self, indices: Iterable[int]) -> None:
        top = max(indices, default=-1)
        if len(self._final) <= top < INDEX_MAX:
            self._final.extend(bytes(top + 1 - len(self._final)))

    def note(self, index: int, what: str) -> None:
        self._log.append((index, what))

    def story(self, index: int) -> list[str]:
        """What happened to a block that was not simply agreed, and who has answered so far."""
        lines = [what for about, what in self._log if about == index]
        case = self.cases.get(index)
        if case is not None:
            state = "provisional" if case.result is not None else "open"
            lines.append(f"{state}; answered by {', '.join(r.worker for r in case.replicas())}")
        return lines
