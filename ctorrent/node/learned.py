"""What one job learned about those who work on it, in the journal: no restart forgives anybody.

    space `learned`, until the job ends:
    job ‖ 01 ‖ node public   [owner, valid, checked, wrong, expelled, witnessed]: a worker's record with the jury
    job ‖ 02                 [backed, own runs, steady]: the jury's of the job
    job ‖ 03 ‖ node public   [refused, why]: results that the job's check refused; why the worker gets nothing more, or ""

Written with the blocks they led to, in one commit. A worker's record is about 100 bytes, once however often it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ctorrent.model.ids import JobId, NodeId, node_id, node_public
from ctorrent.node import records
from ctorrent.ports import Delete, Journal, Put
from ctorrent.verify import words as q

SPACE = "learned"
WHY_CHARS = 300  # of a reason, whose words a worker may have had a part in
_WORKER, _JOB, _OUT = b"\x01", b"\x02", b"\x03"

Changed = Callable[[], Sequence[q.Remembered | q.JobRemembered | q.Stands]]


class Learned:
    """Of one job."""

    def __init__(self, journal: Journal, job: JobId) -> None:
        self._journal, self._job = journal, job
        self._changed: dict[NodeId, None] = {}
        self.refused: dict[NodeId, int] = {}  # results that the check refused
        self.out: dict[NodeId, str] = {}  # who gets nothing more of this job, and why
        for key, value in journal.scan(SPACE, job + _OUT):
            count, why = records.load(value)
            self.refused[node_id(key[-32:])] = count
            if why:
                self.out[node_id(key[-32:])] = why

    def before(self) -> list[q.Remembered | q.JobRemembered]:
        """What a life before a restart knew, for the votes: of the job first, which may excuse what workers did until then."""
        found: list[q.Remembered | q.JobRemembered] = []
        if (held := self._journal.get(SPACE, self._job + _JOB)) is not None:
            found.append(q.JobRemembered(*records.load(held)))
        for key, value in self._journal.scan(SPACE, self._job + _WORKER):
            found.append(q.Remembered(node_id(key[-32:]), *records.load(value)))
        return found

    def refuse(self, worker: NodeId) -> int:
        """The job's check refused a result for sure. -> how many of this worker's by now."""
        self.refused[worker] = self.refused.get(worker, 0) + 1
        self._changed[worker] = None
        return self.refused[worker]

    def put_out(self, worker: NodeId, why: str) -> None:
        """It gets nothing more of this job."""
        self.out.setdefault(worker, why[:WHY_CHARS])
        self._changed[worker] = None

    def puts(self, changed: Sequence[q.Remembered | q.JobRemembered | q.Stands]) -> list[Put]:
        """Records for the next commit. changed: what the votes' machine says that it learned."""
        puts = []
        for one in changed:
            if isinstance(one, q.Remembered):
                value = records.pack([one.owner, one.valid, one.checked, one.wrong, one.expelled, one.witnessed])
                puts.append(Put(SPACE, self._job + _WORKER + node_public(one.worker), value))
            elif isinstance(one, q.JobRemembered):
                puts.append(Put(SPACE, self._job + _JOB, records.pack([one.backed, one.own_runs, one.steady])))
        for worker in self._changed:
            value = records.pack([self.refused.get(worker, 0), self.out.get(worker, "")])
            puts.append(Put(SPACE, self._job + _OUT + node_public(worker), value))
        self._changed = {}
        return puts

    def forget(self) -> list[Delete]:
        """The job is over."""
        return [Delete(SPACE, key) for key, _ in self._journal.scan(SPACE, self._job)]
