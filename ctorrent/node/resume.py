"""A job goes on after a restart: its machines are told what the lives before knew of blocks that are not final, and of workers.

    what the jury knew of each worker ─▶ provisional blocks, on the word they stood on ─▶ answers to open blocks, as if they
    came again. Nobody who was found out is engaged again, no draw is made anew, nothing that came back is run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ctorrent.dispatch import words as d
from ctorrent.model.ids import NodeId
from ctorrent.node.policy import is_audited
from ctorrent.node.recall import Line, Unit
from ctorrent.verify import words as q
from ctorrent.verify.compare import is_failure

if TYPE_CHECKING:
    from ctorrent.node.coordinate import Coordination


def restore(job: Coordination, now: float) -> None:
    """Before anybody is engaged."""
    for unit in job.ends.returned:
        job.tender.owners.setdefault(unit.worker, unit.owner)
        job.billing.recall(unit, [line.index for line in unit.lines if not job.ends.is_final(line.index)])
    if not job.board.coalesce:  # found out before, and signed then
        job.on_dispatch(job.dispatch.handle(d.CoalesceOff(), now))
    if is_audited(job.record.job.manifest):
        _workers(job, now)
    for held in job.ends.restored:
        restored = replace(held, voices=_apart(job, held.voices), others=_apart(job, held.others))
        if restored.voices:  # else nobody knows who said it: the block is run anew
            for voice in (*restored.voices, *restored.others):
                _known(job, voice.worker, voice.owner, now)
            job.on_dispatch(job.dispatch.handle(d.Decided([restored.index], d.BlockState.PROVISIONAL), now))
            job.on_votes(job.votes.handle(restored, now))
    for number, unit in enumerate(job.ends.returned, job.out.first_number):
        lines = [line for line in unit.lines if _counts_on(job, line)] if job.board.coalesce or unit.alone else []
        if lines:
            _again(job, number, unit, lines, now)


def _apart(job: Coordination, voices: Sequence[q.Voice]) -> list[q.Voice]:
    """Once blocks run alone, answers that came together count no more: who gave them is not here to run them again."""
    return [voice for voice in voices if job.board.coalesce or voice.alone or voice.own]


def _workers(job: Coordination, now: float) -> None:
    """Who was found out gets nothing more."""
    for memo in job.learned.before():
        if isinstance(memo, q.Remembered):
            job.tender.owners.setdefault(memo.worker, memo.owner)
        job.on_votes(job.votes.handle(memo, now))
    for worker, why in job.learned.out.items():
        job.feed_tender(job.tender.avoid(worker, why, now))


def _known(job: Coordination, worker: NodeId, owner: str, now: float) -> None:
    job.tender.owners.setdefault(worker, owner)
    job.on_votes(job.votes.handle(q.Known(worker, owner, job.tender.valid_of(worker)), now))


def _counts_on(job: Coordination, line: Line) -> bool:
    """Of an open block, with the bytes at hand: were they gone, an equal answer could settle a block that has none."""
    held = job.ends.is_final(line.index) or job.ends.is_provisional(line.index)
    return not held and line.output is not None and not is_failure(line.output)


def _again(job: Coordination, number: int, unit: Unit, lines: list[Line], now: float) -> None:
    """A unit came back before: dispatch counts its owner as heard, and the votes hear it."""
    _known(job, unit.worker, unit.owner, now)
    indices = [line.index for line in lines]
    job.on_dispatch(job.dispatch.handle(d.Adopt(number, unit.worker, unit.owner, indices, unit.alone), now))
    for effect in job.dispatch.handle(d.UnitReturned(number, 0.0, []), now):
        if isinstance(effect, d.Deliver):
            said = [lines[position] for position in effect.positions]
            digests, outputs = [line.digest for line in said], [line.output for line in said]
            arrived = q.Arrived(unit.worker, effect.owner, unit.fingerprint, effect.indices, digests, outputs, effect.alone)
            job.on_votes(job.votes.handle(arrived, now))
        else:
            job.on_dispatch([effect])
