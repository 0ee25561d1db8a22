"""What a job's people see: counts, workers, disputes, and the report at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ctorrent.model.ids import NodeId
from ctorrent.model.job import Assurance, Isolation
from ctorrent.model.result import Verdict
from ctorrent.model.status import Dispute, JobReport, JobStatus, WorkerStatus
from ctorrent.node.blockmap import BlockStates
from ctorrent.node.jobbook import End, JobRecord
from ctorrent.node.pinning import notes
from ctorrent.node.returned import Given
from ctorrent.node.timeline import Timeline
from ctorrent.node.world import World

DISPUTES_MAX = 100  # shown in a report; all are counted
FAILURES_MAX = 50  # likewise
FAILURE_CHARS = 400  # of one: its last lines
KINDS_MAX = 8  # of failures that are told as they come, by the last line of their traceback
EXPELLED = "was expelled"
EXPELLED_TOLD = 5  # in words; the rest by the state of their lines
RUNNING_SHOWN = 8
RATE_WINDOW_S = 20.0  # the ETA follows what happened lately


@dataclass(slots=True)
class WorkerLine:
    """One worker of this job."""

    node: NodeId
    name: str
    owner: str
    isolation: Isolation
    local: bool
    state: str = "engaged"
    running: dict[int, int] = field(default_factory=dict)  # index -> units under way with it
    done: int = 0
    verdicts: dict[Verdict, int] = field(default_factory=dict)
    busy_s: float = 0.0
    cpu_s: float = 0.0
    price: float = 0.0  # credits per reference core-hour, as it bid
    gflops: float = 0.0  # of a slot, as it claims
    number: int = 0  # in the order in which workers joined

    def status(self) -> WorkerStatus:
        return WorkerStatus(
            node=self.node, name=self.name, owner=self.owner, isolation=self.isolation.name.lower(), state=self.state,
            running=list(self.running)[:RUNNING_SHOWN], done=self.done, agreed=self.verdicts.get(Verdict.AGREED, 0),
            disputed=self.verdicts.get(Verdict.DISPUTED, 0), invalid=self.verdicts.get(Verdict.INVALID, 0),
            busy_s=self.busy_s, local=self.local,
        )  # fmt: skip


class Progress:
    """Counters of one job that runs."""

    def __init__(self, record: JobRecord, now: float, now_unix: float | None = None) -> None:
        self.record = record
        self.workers: dict[NodeId, WorkerLine] = {}
        self.said: list[str] = []  # for its person, beside what is always said
        self.ended = {"settled": 0, "failed": 0, "disputed": 0, "cancelled": 0}
        self.provisional = 0  # agreed on, and their audit windows open
        self.running = 0
        self.replicas = 0
        self.assignments = 0
        self.expired = 0
        self.disputes: list[Dispute] = []
        self.disputes_total = 0
        self.failures: list[tuple[int, str]] = []  # (index, why) of the first blocks that failed
        self._kinds: dict[str, int] = {}  # the last line of a failure -> the first block that ended so
        self.timeline = Timeline()
        self.states = BlockStates(record.submitted_unix if now_unix is None else now_unix)
        self.changed: set[NodeId] = set()  # lines that the journal does not hold yet
        self.noted = 0  # disputes and failures that it does
        self.block_s = 0.0
        self.cross_validated = True
        self.alone = 0  # settled blocks on whose result one worker stands
        self.coalesce = record.job.manifest.coalesce
        self._started = now
        self._recent: deque[tuple[float, int]] = deque()

    def expelled(self, worker: NodeId, why: str) -> None:
        """It was wrong too often. Its person reads so, after a restart too."""
        line = self.workers.get(worker)
        if line is None:
            return
        line.state = "expelled"
        self.changed.add(worker)
        note = f"{line.name or worker[-8:]} {EXPELLED}: {why}; what stood on its word was run again."
        if note not in self.said and sum(EXPELLED in one for one in self.said) < EXPELLED_TOLD:
            self.said.append(note)

    def pardoned(self, worker: NodeId) -> None:
        """It was the program, and what was said of this worker is unsaid."""
        line = self.workers.get(worker)
        if line is None:
            return
        line.state = "lost"
        self.changed.add(worker)
        self.said = [one for one in self.said if not one.startswith(f"{line.name or worker[-8:]} {EXPELLED}")]

    def gone(self, worker: NodeId) -> None:
        """Its session ended."""
        line = self.workers.get(worker)
        if line is not None and line.state != "expelled":
            line.state = "lost"

    def settled(self, now: float, count: int, state: str, seconds: float) -> None:
        """`count` blocks ended, `seconds` of one replica each."""
        self.finished(count, state)
        self._went_on(now, count, seconds)

    def agreed(self, now: float, count: int, seconds: float) -> None:
        """`count` blocks have a result that may still be revoked."""
        self.provisional += count
        self._went_on(now, count, seconds)

    def finished(self, count: int, state: str) -> None:
        """`count` blocks ended, whose work was counted before."""
        self.ended[state] += count

    def _went_on(self, now: float, count: int, seconds: float) -> None:
        self.block_s += seconds
        self._recent.append((now, count))
        while self._recent and self._recent[0][0] < now - RATE_WINDOW_S:
            self._recent.popleft()

    def decided_before(self, end: End) -> None:
        """A block that ended in a life before a restart."""
        self.ended[end.state] += 1
        self.block_s += end.seconds
        if end.state == "settled" or end.output:
            self.cross_validated = self.cross_validated and end.agreed > 1
        self.alone += end.state == "settled" and end.agreed < 2

    def began_before(self, age_s: float) -> None:
        """The job is older than this life of the node."""
        self._started -= age_s

    def disputed(self, index: int, words: str, outvoted: list[NodeId], state: str) -> None:
        """A block whose replicas differed."""
        self.disputes_total += 1
        if len(self.disputes) < DISPUTES_MAX:
            self.disputes.append(Dispute(index=index, words=words, outvoted=list(outvoted), state=state))

    def failed(self, index: int, why: str) -> None:
        """A block that ended without a value."""
        if len(self.failures) < FAILURES_MAX:
            self.failures.append((index, why[-FAILURE_CHARS:]))
        last = (why.strip().splitlines() or ["it gave no value"])[-1].strip()[:FAILURE_CHARS]
        if len(self._kinds) < KINDS_MAX:
            self._kinds.setdefault(last, index)

    def voted(self, worker: NodeId, verdict: Verdict, indices: Sequence[int]) -> None:
        line = self.workers.get(worker)
        if line is None:
            return
        line.verdicts[verdict] = line.verdicts.get(verdict, 0) + len(indices)
        self.changed.add(worker)
        for index in indices if verdict is not Verdict.AGREED else ():
            self.timeline.disputed(line.number, index)

    def given(self, worker: NodeId, indices: list[int]) -> None:
        self.assignments += 1
        self.states.began(worker, indices)
        line = self.workers.get(worker)
        if line is not None:
            for index in indices[:RUNNING_SHOWN]:
                line.running[index] = line.running.get(index, 0) + 1

    def returned(self, given: Given, now: float) -> None:
        """A unit came back whole. A worker's claims of time are believed as far as the clock allows."""
        worker, indices = given.worker, list(given.indices)
        self.replicas += len(indices)
        self.over(worker, indices)
        line = self.workers.get(worker)
        if line is None:
            return
        began = max(given.at, self._started)
        seconds = [min(max(0.0, output.usage.wall_s), now - began) for output in given.outputs]
        line.done += len(indices)
        line.busy_s += min(sum(seconds), now - began)
        line.cpu_s += sum(output.usage.cpu_s for output in given.outputs)
        self.changed.add(worker)
        self.timeline.ran(line.number, indices, seconds, began - self._started, now - self._started)

    def over(self, worker: NodeId, indices: list[int]) -> None:
        """A unit is no longer under way."""
        self.states.over(worker, indices)
        line = self.workers.get(worker)
        if line is not None:
            for index in indices:
                line.running.pop(index, None)

    def _eta_s(self, now: float) -> float | None:
        left = len(self.record.blocks) - sum(self.ended.values()) - self.provisional
        if left <= 0:
            return 0.0
        if len(self._recent) < 2 or now <= self._recent[0][0]:
            return self._expected_s(now, left)
        rate = sum(count for _, count in self._recent) / (now - self._recent[0][0])
        return left / rate if rate else None

    def _expected_s(self, now: float, left: int) -> float | None:
        """By the rehearsal, until enough blocks ended; nothing while nobody works, or the job waits for somebody."""
        job_s = self.record.expected.job_s
        if not job_s or self.record.reason or not self.workers:
            return None
        return max(self.record.expected.block_s, job_s * left / len(self.record.blocks) - (now - self._started))

    def status(self, now: float, state: str, running: int) -> JobStatus:
        """The map for faces."""
        record, manifest = self.record, self.record.job.manifest
        total, ended = len(record.blocks), sum(self.ended.values())
        found = JobStatus(
            job=record.name, id=record.id.hex(), name=manifest.name, state=state, reason=record.reason, blocks=total,
            waiting=max(0, total - ended - self.provisional - running), running=running, provisional=self.provisional,
            settled=self.ended["settled"],
            failed=self.ended["failed"], disputed=self.ended["disputed"], replicas_done=self.replicas,
            replicas_wanted=manifest.verify.replicas, submitted_unix=record.submitted_unix,
            elapsed_s=now - self._started, eta_s=self._eta_s(now), cross_validated=self.cross_validated,
            notes=[*notes(manifest), *filter(None, [record.lax]), *self.said], workers=[line.status() for line in self.workers.values()],
            failures=[{"index": index, "words": words} for words, index in self._kinds.items()],
        )  # fmt: skip
        if manifest.verify.assurance is Assurance.ECONOMY:
            found["alone"] = self.alone
        return found

    def report(self, world: World, entries: int) -> JobReport:
        """The report at the end."""
        wall = max(1e-9, world.clock.now() - self._started)
        levels: dict[str, int] = {}
        for line in self.workers.values():
            if line.done:
                name = line.isolation.name.lower()
                levels[name] = levels.get(name, 0) + line.done
        own = world.sandbox.level.name.lower()  # what one level leaves open is said where it was used, and only there
        return JobReport(
            wall_s=wall, block_s=self.block_s, all_s=sum(line.busy_s for line in self.workers.values()),
            speedup=self.block_s / wall, machine_cores=world.hardware.cores, isolation=levels, gaps=list(world.sandbox.gaps) if own in levels else [],
            disputes=self.disputes, disputes_total=self.disputes_total, entries=entries,
            assignments=self.assignments, expired=self.expired, coalesce=self.coalesce,
        )  # fmt: skip
