"""Results that this worker promised: kept until their requester has them, and remembered until its job is over.

    undelivered   job id ‖ assignment id   [unix second, requester public, [frame …]]; no frames: it was handed over

A result that was handed over leaves its key behind, so that the same assignment is never answered twice; the end of
the job removes the keys and closes the job for good. What nobody fetches is dropped after `keep_s`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctorrent.canon import encode
from ctorrent.model.ids import Digest, JobId, NodeId, node_id, node_public
from ctorrent.node import records
from ctorrent.ports import Clock, Delete, Journal, Put

CLOSED = (1 << 63) - 1  # the term of a job that is over: no assignment has a higher one


@dataclass(frozen=True, slots=True)
class OwedRules:
    """Limits of what is kept for requesters that are away."""

    keep_s: int = 7 * 86400  # the longest a job may last by default
    requester_bytes: int = 256 << 20  # of inline outputs for one requester; the oldest go first


class Owed:
    """Over all jobs. What one engagement owes is also in its memory; this is what lasts."""

    def __init__(self, journal: Journal, clock: Clock, rules: OwedRules = OwedRules()) -> None:
        self._journal, self._clock, self._rules = journal, clock, rules

    def put(self, job: JobId, assignment: Digest, requester: NodeId, frames: Sequence[bytes]) -> Put:
        """To be committed durably before the first frame leaves; without frames: after the last was acknowledged."""
        return Put("undelivered", job + assignment, encode([self._clock.unix(), node_public(requester), list(frames)]))

    def of(self, job: JobId) -> dict[Digest, list[bytes]]:
        """Assignment -> its frames; none where it was handed over."""
        return {Digest(key[len(job) :]): records.load(value)[2] for key, value in self._journal.scan("undelivered", job)}

    async def delivered(self, job: JobId, assignment: Digest, requester: NodeId) -> None:
        """Its requester has it. Not durable: losing this means only that it is handed over again."""
        await self._journal.commit([self.put(job, assignment, requester, ())], durable=False)

    async def closed(self, job: JobId) -> None:
        """The job is over: forget its results, and never answer an assignment of it again."""
        gone = [Delete("undelivered", key) for key, _ in self._journal.scan("undelivered", job)]
        if gone:
            await self._journal.commit([*gone, Put("term", job, encode(CLOSED))], durable=False)

    def is_closed(self, job: JobId) -> bool:
        """Did its requester say that it is over? One that restored a backup may believe otherwise."""
        record = self._journal.get("term", job)
        return record is not None and int(records.load(record)) == CLOSED

    def requester_of(self, job: JobId) -> NodeId | None:
        """Whose job it is, if anything of it is remembered."""
        for _, value in self._journal.scan("undelivered", job, limit=1):
            return node_id(records.load(value)[1])
        return None

    def requesters(self) -> dict[NodeId, dict[JobId, dict[Digest, list[bytes]]]]:
        """Who has results to come, by job."""
        found: dict[NodeId, dict[JobId, dict[Digest, list[bytes]]]] = {}
        for key, value in self._journal.scan("undelivered"):
            _, requester, frames = records.load(value)
            if frames:
                jobs = found.setdefault(node_id(requester), {})
                jobs.setdefault(JobId(key[:32]), {})[Digest(key[32:])] = frames
        return found

    async def tidy(self) -> None:
        """Drop what is too old, and the oldest of what is too much."""
        now, sizes, gone = self._clock.unix(), dict[bytes, int](), list[Delete]()
        held = [(records.load(value), key) for key, value in self._journal.scan("undelivered")]
        for (issued, requester, frames), key in sorted(held, key=lambda one: -one[0][0]):
            sizes[requester] = sizes.get(requester, 0) + sum(map(len, frames))
            if now - issued > self._rules.keep_s or sizes[requester] > self._rules.requester_bytes:
                gone.append(Delete("undelivered", key))
        if gone:
            closed = [Put("term", job, encode(CLOSED)) for job in dict.fromkeys(one.key[:32] for one in gone)]
            await self._journal.commit([*gone, *closed], durable=False)
