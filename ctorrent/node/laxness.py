"""Before a job is announced: does its comparison take two different blocks' results for the same?

Then it takes much else for right too, and replicas show little. Said in one sentence and never refused: a sweep whose results
come out alike is a person's own affair.
"""

from __future__ import annotations

from contextlib import suppress

import trio

from ctorrent.canon import encode
from ctorrent.errors import CTorrentError, PeerError
from ctorrent.model.job import Equality, Verify
from ctorrent.model.result import Outcome, output_digest
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.selfrun import SelfRun
from ctorrent.ports import BlockInput
from ctorrent.verify.compare import SUPPORTED, Different, same
from ctorrent.verify.rulings import Said, draw_of, ruling

LIMIT_S = 5.0  # for the job's own script to compare two results: a person waits for it


def worth_asking(verify: Verify) -> bool:
    """Has it a comparison that could be too wide, and nothing else that tells right from wrong?"""
    if verify.replicas < 2 or verify.check or verify.equal is Equality.EXACT:
        return False
    usual = Verify()
    return verify.equal is not Equality.AUTO or verify.rtol > usual.rtol or verify.atol > usual.atol


async def lax(selfrun: SelfRun, record: JobRecord, one: Outcome, other: Outcome) -> str:
    """A sentence, where the job's comparison calls these results of its two blocks here the same though they differ; else an empty one."""
    verify, (first, second) = record.job.manifest.verify, record.blocks[:2]
    left, right = sorted((one.output(), other.output()), key=output_digest)
    if left == right or one.failure is not None or other.failure is not None:
        return ""
    if verify.equal is Equality.STATISTICAL and (first.params, first.inputs) == (second.params, second.inputs):
        return ""  # draws from one distribution are meant to be the same
    if not await _same(selfrun, record, left, right):
        return ""
    return (
        f"The job's comparison ({_named(verify)}) takes the results of blocks {first.index:,} and {second.index:,} for the same, "
        "though they differ: a made-up result may pass as well. Tighten it, or add a check (docs/verification.md)."
    )


async def _same(selfrun: SelfRun, record: JobRecord, left: bytes, right: bytes) -> bool:
    verify = record.job.manifest.verify
    if verify.equal in SUPPORTED:
        try:
            return not isinstance(same(left, right, verify), Different)
        except PeerError:
            return False
    case = BlockInput(0, 0, b"", values=(left[1:], right[1:], encode(draw_of(record.draw_secret, 0))))
    said = Said.BROKEN
    with trio.move_on_after(LIMIT_S), suppress(CTorrentError):  # what keeps it from running is told when the job asks it
        cell = await selfrun.open(record, verify.script)
        try:
            said = ruling((await cell.compare(verify.script, [case]))[0], verify.script).said
        finally:
            with trio.CancelScope(shield=True):
                await cell.aclose()
    return said is Said.YES


def _named(verify: Verify) -> str:
    match verify.equal:
        case Equality.SCRIPT:
            return verify.script
        case Equality.TOPK:
            return f"topk, top {verify.top}"
        case Equality.STATISTICAL:
            return f"stat, alpha {verify.alpha:g}"
        case _:
            return f"{verify.equal.name.lower().replace('_', '-')}, atol {verify.atol:g}, rtol {verify.rtol:g}"
