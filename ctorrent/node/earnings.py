"""The worker's side of receipts: what this node did in each job by its own measure, and which bills it signed.

    earned       job id                [requester, person, requester's owner, tag, price, least price, did, signed, number, over, unix]
    signedbill   job id ‖ number u32   [body, public, signature]: what it signed, to say the same when asked again

It signs no bill for more than it did, none below the agreed price, and none twice. It does sign for less, since other
owners' figures for the same blocks may be lower than its own: without a receipt it would have nothing. What a job that
ended left unpaid is held against its requester, when it is more than half.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ctorrent.canon import encode
from ctorrent.market.pay import Earned
from ctorrent.market.price import reference_core_hours, reference_gpu_hours, worth
from ctorrent.model.entry import Work
from ctorrent.model.ids import Digest, JobId, NodeId, OwnerId, show_job
from ctorrent.model.result import Usage
from ctorrent.model.session import Billed, Countersigned
from ctorrent.node import records
from ctorrent.node.records import u32
from ctorrent.node.world import World
from ctorrent.ports import Delete, Put
from ctorrent.wire import codec

log = logging.getLogger(__name__)

NOTHING = Earned()
NOBODY, NO_TAG = OwnerId(""), Digest(bytes(32))
KEPT_S = 90 * 86400  # of a job for which nothing is owed: three times as long as a requester keeps a bill
JOBS_MAX = 10_000  # remembered; the oldest that are over, and for which nothing is owed, go first
MORE = 1.01  # what a bill may be above this node's own measure: rounding, and a benchmark made meanwhile
PAID_SHARE = 0.5  # of what it did by its own measure: below it a job that ended counts as not paid


@dataclass(slots=True)
class _Job:
    """One that this node worked in. `person`: whose it is, as limits count."""

    requester: NodeId
    person: str
    owner: OwnerId
    tag: Digest
    price: float
    least: float  # price of all this time
    did: Earned = NOTHING
    signed: Earned = NOTHING
    number: int = 0
    over: bool = False
    unix: int = 0

    def pack(self) -> list[Any]:
        return [
            self.requester, self.person, self.owner, self.tag, float(self.price), float(self.least), _pack(self.did),
            _pack(self.signed), self.number, self.over, self.unix,
        ]  # fmt: skip

    def paid(self) -> bool:
        """As far as a job must be that is over."""
        return bool(self.signed.blocks) and _cost(self.signed) >= PAID_SHARE * _cost(self.did)

    def unpaid(self) -> Earned:
        """Done and without a receipt."""
        did, signed = self.did, self.signed
        if self.over and self.paid():
            return Earned()
        return Earned(
            max(0, did.blocks - signed.blocks), max(0.0, did.core_hours - signed.core_hours),
            max(0.0, did.gpu_hours - signed.gpu_hours), max(0.0, did.credits - signed.credits),
        )  # fmt: skip


@dataclass(slots=True)
class Rate:
    """What an engagement goes by: set when the bid is made."""

    person: str = ""
    owner: OwnerId = NOBODY
    tag: Digest = NO_TAG
    price: float = 0.0
    gflops: float = 0.0
    tflops: float = 0.0


class Earnings:
    """Of this node, over all jobs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._jobs: dict[JobId, _Job] = {}
        for key, value in world.journal.scan("earned"):
            requester, person, owner, tag, price, least, did, signed, number, over, unix = records.load(value)
            self._jobs[JobId(key)] = _Job(
                requester, person, owner, Digest(tag), price, least, Earned(*did), Earned(*signed), number, over, unix
            )

    def did(self, job: JobId, requester: NodeId, rate: Rate, usages: Sequence[Usage]) -> Put:
        """A unit's results are signed: -> the record, to be committed with them."""
        held = self._jobs.get(job)
        if held is None:
            held = self._jobs[job] = _Job(requester, rate.person, rate.owner, rate.tag, rate.price, rate.price)
        held.price, held.least = rate.price, min(held.least, rate.price)
        held.unix = self._world.clock.unix()
        core = sum(reference_core_hours(usage, rate.gflops) for usage in usages)
        gpu = sum(reference_gpu_hours(usage, rate.tflops) for usage in usages)
        held.did = held.did.plus(Earned(len(usages), core, gpu, worth(rate.price, core, gpu)))
        return Put("earned", job, encode(held.pack()))

    async def closed(self, job: JobId, requester: NodeId) -> None:
        """Its requester says that it is over. Its last bill may come yet."""
        held = self._jobs.get(job)
        if held is not None and held.requester == requester and not held.over:
            held.over = True
            await self._world.journal.commit([Put("earned", job, encode(held.pack()))], durable=False)

    async def billed(self, peer: NodeId, message: Billed) -> Countersigned | None:
        """Sign a bill, or not. Raises PeerError for what is no bill."""
        work = codec.decode_work(message.work)
        held = self._jobs.get(message.job)
        before = self._world.journal.get("signedbill", message.job + u32(work.number))
        if before is not None:
            sealed = records.unpack_sealed(records.load(before))
            return Countersigned(message.job, sealed) if sealed.body == message.work else None
        why = "this node did nothing for it" if held is None or held.requester != peer else self._wrong(held, work)
        if held is None or why:
            log.warning("job %s: a bill is not signed: %s", name := show_job(message.job), why, extra={"job": name})
            return None
        if _cost(_amount(work)) < PAID_SHARE * _cost(held.unpaid()) and not held.over:
            name, did = show_job(message.job), held.unpaid().core_hours
            log.info("job %s: billed %.3g core-hours of %.3g done", name, work.core_hours, did, extra={"job": name})
        sealed = codec.seal_work(work, self._world.keys.node)
        held.signed, held.number = held.signed.plus(_amount(work)), max(held.number, work.number)
        puts = [Put("signedbill", message.job + u32(work.number), encode(records.pack_sealed(sealed))), Put("earned", message.job, encode(held.pack()))]
        await self._world.journal.commit(puts)
        return Countersigned(message.job, sealed)

    def _wrong(self, held: _Job, work: Work) -> str:
        """Why a bill is not signed; empty: it is."""
        if (work.job_tag, work.requester, work.worker) != (held.tag, held.requester, self._world.node):
            return "it is of another job, requester or worker"
        if work.requester_owner != held.owner or work.worker_owner not in ("", self._world.owner):
            return "it names other owners"
        both = held.signed.plus(_amount(work))
        if both.blocks > held.did.blocks or _cost(both) > MORE * _cost(held.did) + 1e-9:
            return f"it says {work.core_hours:.3g} core-hours in {work.blocks} blocks, more than this node did"
        if work.credits * MORE < worth(held.least, work.core_hours, work.gpu_hours):
            return f"it says {work.credits:.3g} credits, less than the price of {held.least:g}"
        return ""

    # -- what is owed -------------------------------------------------------------------------------------------------

    def unpaid(self) -> dict[str, Earned]:
        """Person -> work done for them that no receipt is signed for: under way, provisional, or never paid."""
        found: dict[str, Earned] = {}
        for job in self._jobs.values():
            found[job.person] = found.get(job.person, Earned()).plus(job.unpaid())
        return {person: earned for person, earned in found.items() if earned.blocks}

    def persons(self) -> dict[NodeId, str]:
        """Requesters this node worked for, and whose they count as."""
        return {job.requester: job.person for job in self._jobs.values()}

    async def tidy(self) -> None:
        """Forget old jobs for which nothing is owed, and the oldest of too many. No debt ends by waiting."""
        before, gone = self._world.clock.unix() - KEPT_S, list[Delete]()
        owing = {job for job, held in self._jobs.items() if not held.paid() and held.unpaid().credits > 0}
        aged = sorted(self._jobs, key=lambda job: (job in owing, not self._jobs[job].over, self._jobs[job].unix))
        for position, job in enumerate(aged):
            held = self._jobs[job]
            old, many = held.unix < before, position < len(aged) - JOBS_MAX
            if (old and job not in owing) or (many and (held.over or old)):
                del self._jobs[job]
                gone += [Delete("earned", job), *(Delete("signedbill", key) for key, _ in self._world.journal.scan("signedbill", job))]
        if gone:
            await self._world.journal.commit(gone, durable=False)


def _amount(work: Work) -> Earned:
    return Earned(work.blocks, work.core_hours, work.gpu_hours, work.credits)


def _cost(earned: Earned) -> float:
    return worth(1.0, earned.core_hours, earned.gpu_hours)


def _pack(earned: Earned) -> list[Any]:
    return [earned.blocks, float(earned.core_hours), float(earned.gpu_hours), float(earned.credits)]
