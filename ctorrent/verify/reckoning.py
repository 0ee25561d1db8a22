"""Counts of checks passed and failed, as blocks are agreed on. Pure."""

from __future__ import annotations

from ctorrent.model.ids import NodeId
from ctorrent.verify import words as w
from ctorrent.verify.audit import Audit
from ctorrent.verify.ballot import Replica
from ctorrent.verify.case import Case
from ctorrent.verify.steady import Steadiness
from ctorrent.verify.windows import Windows


class Reckoning:
    """Of one job. The jury takes who is in `wrong` and `risen` at the end of each event: their other blocks are weighed then."""

    __slots__ = ("_audit", "_steady", "_windows", "risen", "wrong")

    def __init__(self, audit: Audit, windows: Windows, steady: Steadiness) -> None:
        self._audit, self._windows, self._steady = audit, windows, steady
        self.wrong: dict[NodeId, None] = {}  # counted as wrong
        self.risen: dict[NodeId, None] = {}  # established

    def count(self, case: Case, members: list[Replica], out: list[w.Effect]) -> None:
        """Every answer that could be compared with an independent one is a check, passed or not. members: who is right."""
        voices = list(case.replicas())
        if len(voices) < 2:
            return
        right = {r.worker for r in members}
        digests = {r.digest for r in members}
        fresh = any(r.worker not in case.counted for r in voices)
        alone = self._audit.rules.alone
        audit = fresh and (alone or case.audited is not None or case.own is not None)
        if case.own in right and len(members) > 1 and case.own not in case.counted:
            self._audit.backed += 1
        for replica in voices:
            name = replica.worker
            ok = name in right and case.wavered.get(name, replica.digest) in digests
            before = case.counted.get(name)
            blameless = not replica.alone and (case.examined or self._steady.coalesce_off)  # it ran with others, once
            if (before == ok and not audit) or (not ok and blameless):
                continue
            self._one(name, ok, before, out)
            case.counted[name] = ok
            if ok and audit:
                self._windows.passed(name, replica.order)
                if replica is voices[0]:
                    self._audit.workers[name].led = True
                    self._audit.together += not replica.alone
            if not ok and case.own in right:
                self._audit.workers[name].witnessed = True

    def _one(self, name: NodeId, ok: bool, before: bool | None, out: list[w.Effect]) -> None:
        was = self._audit.established(name)
        self._audit.count(name, ok, before)
        if self._audit.established(name) != was:
            out.append(w.Standing(name, not was))
            if not was and self._audit.rules.alone:
                self.risen[name] = None
        if not ok and not self._steady.off:
            self.wrong[name] = None
