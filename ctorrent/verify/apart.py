"""Is it the worker, or running blocks together? The requester runs a disputed unit as the worker did. Pure.

    the first units, and any that is disputed ─▶ RUN TOGETHER ── otherwise than alone, on this machine too ─▶ COALESCE OFF
                                                      └───────── the same ──────────────────────────────────▶ it is the worker's

Votes cannot tell: two owners that ran the same blocks in a row agree on what leaked from one to the next, and a liar that
recants when asked again looks like such a program. So the first units are tried, and one of each of the first suspects'
before they are expelled over it. Once running together is off, what is not final is run again, alone, by the same workers, and nobody's
mistakes of before count.
"""

from __future__ import annotations

from ctorrent.model.ids import NodeId
from ctorrent.verify import words as w
from ctorrent.verify.audit import Audit
from ctorrent.verify.ballot import Compare
from ctorrent.verify.case import Case
from ctorrent.verify.compare import Same, is_failure
from ctorrent.verify.docket import Docket
from ctorrent.verify.ownruns import OwnRuns
from ctorrent.verify.steady import Steadiness

FIRST = 4  # units tried before anybody is suspected: each takes this machine twice as long as it took its worker
MOST = 8  # units tried in all: if none of these leaked, what one worker is wrong in is its own doing


class Apart:
    """Of one job's jury, whose parts it is given."""

    __slots__ = ("_audit", "_docket", "_off", "_own", "_steady", "_tried")

    def __init__(self, audit: Audit, docket: Docket, own: OwnRuns, steady: Steadiness) -> None:
        self._audit, self._docket, self._own, self._steady = audit, docket, own, steady
        self._tried: dict[NodeId, bool] = {}  # whose unit was run -> is that still under way?
        self._off = False

    def first(self, index: int, case: Case, out: list[w.Effect]) -> None:
        """A dispute began, or the requester runs a block itself. What of it came with others' is tried, while few were."""
        most = MOST if self._steady.suspected else FIRST
        for replica in case.replicas():
            if not replica.alone and len(self._tried) < most:
                self._try(index, replica.worker, out)

    def waits(self, name: NodeId, out: list[w.Effect]) -> bool:
        """It was wrong too often. Does its expulsion wait for a unit of its to be tried?"""
        if name not in self._tried and len(self._tried) < MOST:
            for index, case in reversed(self._docket.of(name)):
                replica = case.by_worker(name)
                if replica is not None and not replica.alone and case.counted.get(name) is False:
                    self._try(index, name, out)
                    break
        return self._tried.get(name, False)

    def _try(self, index: int, name: NodeId, out: list[w.Effect]) -> None:
        if self._own.able and not (self._steady.off or self._steady.coalesce_off or name in self._tried or name == self._audit.me):
            self._tried[name] = True
            out.append(w.RunTogether(index, name))

    def ran(self, event: w.RanTogether, compare: Compare, out: list[w.Effect]) -> bool:
        """-> was it asked for?"""
        if not self._tried.get(event.worker):
            return False
        self._tried[event.worker] = False
        if event.outputs is not None and not self._steady.coalesce_off and not self._steady.off:
            pairs = [(together, alone) for together, alone in event.outputs if not is_failure(alone)]
            if not all(isinstance(compare(together, alone), Same) for together, alone in pairs):
                self._steady.part(out)
        return True

    def late(self, index: int, case: Case, name: NodeId, out: list[w.Effect]) -> None:
        """An answer came with others' that was under way when running together was turned off."""
        replica = case.by_worker(name)
        if self._off and replica is not None and not replica.alone and name not in case.awaiting:
            self._again(index, case, [name], out)

    def look(self, out: list[w.Effect]) -> None:
        """At the end of an event: was running together turned off? Then what stands on it is run again."""
        if self._off or not self._steady.coalesce_off:
            return
        self._off = True
        self._forgive()
        for index, case in self._docket.cases.items():
            case.counted = {name: ok for name, ok in case.counted.items() if ok}
            again = [r.worker for r in (*case.replicas(), *case.unplaced) if not r.alone and r.worker != case.own]
            again = [name for name in again if name not in case.awaiting]
            if again:
                self._again(index, case, again, out)

    def _again(self, index: int, case: Case, names: list[NodeId], out: list[w.Effect]) -> None:
        case.examined = True  # what they answered together is held against nobody
        case.awaiting = {**case.awaiting, **dict.fromkeys(names)}
        self._docket.look(index)
        out.append(w.Rerun(index, tuple(names)))

    def _forgive(self) -> None:
        """What workers were wrong in may have been the program's doing."""
        for name, seen in self._audit.workers.items():
            if seen.wrong or seen.witnessed:
                seen.checked, seen.wrong, seen.witnessed = max(0, seen.checked - seen.wrong), 0, False
                self._audit.touched[name] = None
