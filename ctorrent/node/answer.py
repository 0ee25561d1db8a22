"""The answer of a job: what settled, reduced. Built-in reducers run here; the user's own only in the sandbox."""

from __future__ import annotations

from ctorrent.aggregate.reduce import is_built_in, reduce_blocks
from ctorrent.errors import Unavailable, WorkError
from ctorrent.model.block import Block
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.selfrun import SelfRun

ANSWER_BYTES_MAX = 64 << 20  # values together: all of them are in memory while they are reduced


async def reduce_answer(record: JobRecord, values: list[tuple[Block, bytes | None]], selfrun: SelfRun) -> bytes:
    """Canonical bytes of the answer. Raises WorkError when values do not reduce, Unavailable when there are none."""
    settled = [(block, value) for block, value in values if value is not None]
    if not settled:
        raise Unavailable("no block has a result, so there is nothing to reduce")
    if sum(len(value) for _, value in settled) > ANSWER_BYTES_MAX:
        raise Unavailable(
            f"the results are larger than {ANSWER_BYTES_MAX >> 20} MiB together, too large for one answer",
            f"Read them block by block: ctorrent results {record.name}",
        )
    spec = record.job.manifest.program.reduce
    if is_built_in(spec):
        return reduce_blocks(spec, ((block.index, block.params, value) for block, value in settled))
    outcome = await selfrun.reduce(record, spec.removeprefix("python").strip(), [value for _, value in settled])
    if outcome.value is None:
        assert outcome.failure is not None
        raise WorkError(f"the reduce function failed: {outcome.failure.type} {outcome.failure.text}".strip())
    return outcome.value
