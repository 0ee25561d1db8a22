"""What a job's screen wants of the node: functions run, blocks run again, tolerances signed; and what becomes of refusals."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ctorrent.dispatch import words as d
from ctorrent.errors import CTorrentError
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import Amendment, AmendmentKind
from ctorrent.model.result import Verdict
from ctorrent.node.judging import Judging
from ctorrent.node.selfrun import SelfRun
from ctorrent.verify import words as q
from ctorrent.verify.calibrate import CALIBRATION_BYTES_MAX, Calibration, class_of, decode
from ctorrent.verify.calibrating import Calibrated, Uncalibrated
from ctorrent.verify.checks import CheckFaulty, Judge, Refused, Vouch
from ctorrent.verify.comparer import CompareOutputs, Probe
from ctorrent.verify.screen import Effect
from ctorrent.wire import codec

if TYPE_CHECKING:
    from ctorrent.node.coordinate import Coordination

# Outputs of one worker that the check refused for sure: then it gets nothing more of this job. No more of them are voted, so
# that no check alone, right about this machine's own result and wrong about others', has an honest worker quarantined.
REFUSED_MAX = 3
log = logging.getLogger(__name__)


class Bench:
    """Of one job."""

    def __init__(self, job: Coordination, selfrun: SelfRun) -> None:
        self._job = job
        verify = job.record.job.manifest.verify
        self.judging = Judging(job.world, job.record, selfrun, self._load, job.tell) if verify.check or verify.script else None

    def place(self, worker: NodeId) -> str:
        """The class of a worker, as it bid."""
        bid = self._job.tender.bid_of(worker)
        return class_of(bid.hardware_class, bid.fingerprint) if bid else ""

    async def start(self) -> None:
        """Beside the job, where it has functions to run, or was calibrated before a restart."""
        if self.judging is not None:
            self._job.spawn(self.judging.run)
        record = self._job.record
        links = [codec.open_amendment(sealed, record.job.manifest.requester) for sealed in record.amendments]
        blobs = [link.blob for link in links if link.kind is AmendmentKind.CALIBRATION]
        if blobs:
            self._job.votes.calibrating.over = True
            await self._restore(Digest(blobs[-1]))  # before any answer is compared

    async def _restore(self, blob: Digest) -> None:
        try:
            calibration = decode(await self._job.world.blobs.get(blob, CALIBRATION_BYTES_MAX))
        except (KeyError, CTorrentError) as error:
            log.warning("job %s: its calibration cannot be read: %s", self._job.record.name, error)
        else:
            self._job.votes.calibrated(calibration)

    def on(self, effect: Effect, now: float) -> None:
        """Perform what is the screen's own."""
        match effect:
            case Judge() | Vouch() | CompareOutputs() | Probe() if self.judging is not None:
                self.judging.ask(effect)
            case Refused():
                self._on_refused(effect, now)
            case CheckFaulty(words=words, over=over):
                words += "; it is asked no more" if over else ""
                log.warning("job %s, its check: %s", self._job.record.name, words)
                if (note := f"The job's check: {words}.") not in self._job.board.said:  # by a life before a restart
                    self._job.board.said.append(note)
            case Calibrated(calibration=calibration):
                self._job.spawn(self._freeze, calibration)
            case Uncalibrated(words=words):
                log.info("job %s: nothing was calibrated: %s", self._job.record.name, words)
            case _:
                pass

    def _on_refused(self, effect: Refused, now: float) -> None:
        """Somebody else makes that replica; where the refusal is proven, it is an invalid result."""
        job, worker = self._job, effect.worker
        job.logs.add(effect.index, worker, f"refused by the check: {effect.words}\n".encode(), (effect.index,))
        job.on_dispatch(job.dispatch.handle(d.MoreReplicas(effect.index, 1, False, (job.tender.owner_of(worker),)), now))
        if not effect.proven or worker == job.world.node:
            return
        refused = job.learned.refuse(worker)
        if refused <= REFUSED_MAX:
            job.ends.voted(q.Voted(worker, Verdict.INVALID, [effect.index]), {effect.index: effect.words})
        else:
            job.board.voted(worker, Verdict.INVALID, [effect.index])
        if refused == REFUSED_MAX:
            why = f"the job's check refused {REFUSED_MAX} of its results: {effect.words}"
            job.learned.put_out(worker, why)
            job.on_dispatch(job.dispatch.handle(d.Exclude(worker, why), now))

    async def _load(self, index: int, worker: NodeId) -> bytes | None:
        kept = self._job.ends.kept(index, worker)
        return await self._job.errands.bytes_of(kept)

    async def _freeze(self, calibration: Calibration) -> None:
        """Sign what was fitted: it holds from now on, for whoever checks the job later too."""
        data = calibration.encode()
        blob = await self._job.world.blobs.put(data)
        self._job.world.blobs.pin(blob, f"job {self._job.record.name}")
        await self._job.world.blobs.flush([blob])
        record = self._job.record
        link = Amendment(record.id, len(record.amendments) + 1, record.head(), AmendmentKind.CALIBRATION, blob=blob)
        self._job.amended(record.amend(link, self._job.world.keys.node))
