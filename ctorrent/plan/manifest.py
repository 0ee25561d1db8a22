"""From a checked job file to the manifest that the requester signs."""

from __future__ import annotations

from dataclasses import dataclass

from ctorrent.model.ids import Digest, NodeId, Ring
from ctorrent.model.job import Manifest, Program
from ctorrent.model.trade import GPU_CORES
from ctorrent.plan.jobfile import JobFile

VALID_SLACK_S = 86_400  # results may be fetched and audited for a day after the job's own time is up


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a job file cannot know: who asks, when, and what was drawn."""

    requester: NodeId
    ring: Ring
    code: Digest  # of the blob that lists its files (codemap)
    nonce: bytes  # 16 random bytes
    seed: int  # u64, used where the file names none
    draw_hash: Digest  # digest("ctorrent/draw/1", secret)
    issued_unix_s: int
    files_bytes: int = 0  # of the blobs which that list names


def draft_manifest(job: JobFile, given: Circumstances) -> Manifest:
    """The manifest of a job file under these circumstances."""
    return Manifest(
        requester=given.requester,
        nonce=given.nonce,
        ring=given.ring,
        program=Program(job.kind, given.code, job.entry, job.argv, job.reduce, job.outputs, given.files_bytes),
        seed=given.seed if job.seed is None else job.seed,
        draw_hash=given.draw_hash,
        issued_unix_s=given.issued_unix_s,
        valid_s=int(job.limits.job_s) + VALID_SLACK_S,
        environment=job.environment,
        needs=job.needs,
        verify=job.verify,
        limits=job.limits,
        price_max=job.price_max if job.price_gpu is None else job.price_gpu / GPU_CORES,
        coalesce=job.coalesce,
        keep_errors=job.keep_errors,
        name=job.name,
    )
