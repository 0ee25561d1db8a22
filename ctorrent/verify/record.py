"""What a jury knows beyond its blocks: taken out when it changed, put back after a restart, which forgives nobody. Pure.

Of each worker what it passed and failed; of the job how steady its program is and how often the requester ran it; of each
provisional block whose answers were counted. What is written with the blocks it led to tells the same story as they do.
"""

from __future__ import annotations

from ctorrent.verify import words as w
from ctorrent.verify.audit import Audit
from ctorrent.verify.ballot import Replica
from ctorrent.verify.case import Case
from ctorrent.verify.docket import Docket
from ctorrent.verify.ownruns import OwnRuns
from ctorrent.verify.steady import Steadiness


class Record:
    """Of one job's jury, whose parts it is given."""

    __slots__ = ("_audit", "_docket", "_own", "_said", "_steady", "blocks")

    def __init__(self, audit: Audit, docket: Docket, own: OwnRuns, steady: Steadiness) -> None:
        self._audit, self._docket, self._own, self._steady = audit, docket, own, steady
        self._said = (0, 0, 0)  # of the job, as it was taken last
        self.blocks: dict[int, None] = {}  # agreed on in another way than at once by all who answered

    def take(self) -> list[w.Remembered | w.JobRemembered | w.Stands]:
        """What changed since it was taken last."""
        out: list[w.Remembered | w.JobRemembered | w.Stands] = []
        touched, self._audit.touched = self._audit.touched, {}
        for name in touched:
            seen = self._audit.workers[name]
            out.append(w.Remembered(name, seen.owner, seen.valid, seen.checked, seen.wrong, seen.expelled, seen.witnessed))
        job = self._audit.backed, self._own.done, self._steady.version
        if job != self._said:
            self._said = job
            out.append(w.JobRemembered(job[0], job[1], self._steady.memo()))
        blocks, self.blocks = self.blocks, {}
        for index in blocks:
            case = self._docket.cases.get(index)
            if case is not None and case.result and case.digest is not None:
                workers = tuple(replica.worker for replica in case.result)
                out.append(w.Stands(index, case.digest, workers, tuple(case.counted.items()), case.own))
        return out

    def recall(self, event: w.Remembered | w.JobRemembered, out: list[w.Effect]) -> None:
        """Of a life before a restart; before anything else is said of these workers."""
        if isinstance(event, w.JobRemembered):
            self._audit.backed = max(self._audit.backed, event.backed)
            self._own.recall(event.own_runs)
            self._steady.recall(event.steady)
            return
        seen = self._audit.worker(event.worker, event.owner)
        seen.valid, seen.checked, seen.wrong = event.valid, event.checked, event.wrong
        seen.witnessed = event.witnessed
        seen.expelled, seen.recalled = event.expelled and event.worker != self._audit.me, True
        if seen.expelled:
            self._audit.out[event.worker] = None
            out += [w.Standing(event.worker, False), w.Expelled(event.worker, seen.why)]

    def restore(self, event: w.Restored, case: Case) -> list[Replica]:
        """A block's answers as they were. -> who stands behind its result; who was expelled since does not."""
        members: list[Replica] = []
        for voice in (*event.voices, *event.others):
            seen = self._audit.worker(voice.worker, voice.owner)
            seen.answers = max(seen.answers, voice.order)
            replica = Replica(
                voice.worker, voice.owner, voice.fingerprint, voice.digest, voice.output, voice.alone, voice.order
            )
            if seen.expelled:
                case.struck.append(replica)
            elif voice in event.voices:
                members.append(replica)
            elif not any(one.owner == voice.owner for one in (*members, *case.unplaced)):
                case.unplaced.append(replica)
            if voice.own:
                case.own, case.checked = voice.worker, True
            if not seen.expelled:
                self._docket.voice(voice.worker, event.index)
        case.counted = dict(event.counted)
        case.classes, case.result = [members] if members else [], members
        case.said, case.digest = members, event.digest
        return members
