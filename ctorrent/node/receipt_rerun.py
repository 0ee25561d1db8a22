"""Blocks of a receipt file, run again in this machine's sandbox and compared: what a signature can never show.

Nothing is fetched: code, inputs and outputs come out of the file. A difference is looked at once more, each block in a
process of its own, twice: a program that does not agree with itself accuses nobody. Nor does a block that is not finished
in the time it has here: this machine may be slow, or the file's author may want it busy for ever.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import trio

from ctorrent.errors import CTorrentError
from ctorrent.model.portable import BlockLine
from ctorrent.model.result import FailureKind, Outcome, output_digest
from ctorrent.node.receipt_book import NOTHING, Book
from ctorrent.node.receipt_check import Case, Checking
from ctorrent.node.receipt_compare import Comparing
from ctorrent.node.receipt_place import Place
from ctorrent.node.receipt_source import Source
from ctorrent.ports import BlockInput
from ctorrent.seal import DIGEST_BYTES
from ctorrent.wire.codec_portable import STATES

TOGETHER = 16  # blocks of one process where there are many: a start costs as much as some of them
FAILURE_CHARS = 200  # of what the program said last
FEW = 32  # up to so many are run one by one
RERUN_STATES = tuple(STATES.index(word) for word in ("settled", "failed"))


@dataclass(frozen=True, slots=True)
class Row:
    """One block. verdict: "same", "near", "different", "wavers", "unfinished", "open". words: why. check: as in receipt_check.Checked."""

    index: int
    verdict: str
    words: str = ""
    wall_s: float = 0.0
    check: str = ""
    check_words: str = ""


def runnable(book: Book) -> list[int]:
    """Blocks with an output to compare whose inputs are all in the file."""
    blocks = book.blocks

    def are_inside(inputs: bytes) -> bool:
        return all(inputs[at : at + DIGEST_BYTES] in book.data for at in range(0, len(inputs), DIGEST_BYTES))

    return [
        index
        for index in range(len(blocks))
        if blocks.states[index] in RERUN_STATES and blocks.output(index) != NOTHING and are_inside(blocks.inputs[index])
    ]


def drawn(indices: Sequence[int], count: int, seed: int) -> list[int]:
    """So many of them at random, in order."""
    if count >= len(indices):
        return list(indices)
    return sorted(random.Random(seed).sample(indices, count))


class Rerun:
    """Of one file, in one open place. checking: of a job with a check of its own."""

    def __init__(self, book: Book, source: Source, here: Place, comparing: Comparing, checking: Checking | None) -> None:
        self._book, self._source, self._blobs, self._cell, self._block_s = book, source, here.blobs, here.cell, here.block_s
        self._limiter, self._comparing, self._checking = trio.CapacityLimiter(here.slots), comparing, checking

    async def run(self, indices: Sequence[int], told: Callable[[int], None]) -> list[Row]:
        """All of these, several at once; rows in their order. told: how many are done."""
        rows: dict[int, Row] = {}
        size = TOGETHER if len(indices) > FEW and self._book.job.manifest.coalesce else 1
        async with trio.open_nursery() as nursery:
            for start in range(0, len(indices), size):
                await self._limiter.acquire_on_behalf_of(start)
                nursery.start_soon(self._unit, start, indices[start : start + size], rows, told)
        return [rows[index] for index in indices]

    async def _unit(self, ticket: int, indices: Sequence[int], rows: dict[int, Row], told: Callable[[int], None]) -> None:
        try:
            lines = [self._source.line(index) for index in indices]
            inputs = [await self._input(line) for line in lines]
            outcomes = await self._cell.run(inputs)
            for line, block, outcome in zip(lines, inputs, outcomes, strict=True):
                rows[line.block.index] = await self._judged(line, block, outcome)
            await self._check(lines, inputs, outcomes, rows)
            for line in lines:
                self._drop(line)
            told(len(rows))
        finally:
            self._limiter.release_on_behalf_of(ticket)

    async def _input(self, line: BlockLine) -> BlockInput:
        block = line.block
        for ref in block.inputs:
            self._blobs.pin(ref.digest, f"block {block.index}")
            await self._blobs.receive(ref.digest, self._book.data[ref.digest][1], self._source.pieces(ref.digest))
        files = tuple((ref.name, self._blobs.path(ref.digest)) for ref in block.inputs)
        return BlockInput(block.index, block.seed, block.params, files)

    def _drop(self, line: BlockLine) -> None:
        for ref in line.block.inputs:
            self._blobs.unpin(ref.digest, f"block {line.block.index}")

    # -- is it the same? ----------------------------------------------------------------------------------------------

    async def _judged(self, line: BlockLine, block: BlockInput, outcome: Outcome) -> Row:
        mine, index, wall_s = outcome.output(), line.block.index, outcome.usage.wall_s
        if self._out_of_time(line, outcome):
            return self._unfinished(index, wall_s)
        if output_digest(mine) == line.output:
            return Row(index, "same", wall_s=wall_s)
        theirs = await self._theirs(line)
        found = self._comparing.by_digest() if theirs is None else await self._comparing.compare(index, theirs, mine)
        if found.verdict != "different":
            return Row(index, found.verdict, found.words, wall_s)
        first, second = [(await self._cell.run([block]))[0] for _ in range(2)]
        if self._out_of_time(line, first) or self._out_of_time(line, second):
            return self._unfinished(index, wall_s, " when it was run once more")
        if self._comparing.wavers(first.output(), second.output()):
            return Row(index, "wavers", "two runs of it here differ: the program does not give one answer", wall_s)
        if output_digest(first.output()) == line.output:
            return Row(index, "same", "when run in a process of its own", wall_s)
        if theirs is not None:
            found = await self._comparing.compare(index, theirs, first.output())
        said = first.failure.text.strip().splitlines() if first.failure is not None else []
        return Row(index, found.verdict, f"{found.words}: {said[-1][:FAILURE_CHARS]}" if said else found.words, wall_s)

    def _out_of_time(self, line: BlockLine, outcome: Outcome) -> bool:
        """Stopped here for its time. Where the file says so too, that is its result, if it had as long here as there."""
        if outcome.failure is None or outcome.failure.kind is not FailureKind.TIME:
            return False
        return self._block_s < self._book.job.manifest.limits.block_s or output_digest(outcome.output()) != line.output

    def _unfinished(self, index: int, wall_s: float, when: str = "") -> Row:
        return Row(index, "unfinished", f"not finished within {self._block_s:g} s{when}: neither the same nor different", wall_s)

    async def _check(
        self, lines: Sequence[BlockLine], inputs: Sequence[BlockInput], outcomes: Sequence[Outcome], rows: dict[int, Row]
    ) -> None:  # fmt: skip
        """What the job's own check says of the outputs that the file names."""
        if self._checking is None:
            return
        cases = []
        for line, block, outcome in zip(lines, inputs, outcomes, strict=True):
            mine = outcome.output()
            theirs = mine if output_digest(mine) == line.output else await self._theirs(line)
            cases.append(Case(block, theirs, mine))
        for block, found in zip(inputs, await self._checking.judge(cases), strict=True):
            rows[block.index] = replace(rows[block.index], check=found.state, check_words=found.words)

    async def _theirs(self, line: BlockLine) -> bytes | None:
        if line.data is not None or line.output is None:
            return line.data
        limit = self._book.job.manifest.limits.output_bytes + 64
        return await self._source.whole(line.output, limit) if line.output in self._book.data else None


def explain(error: BaseException) -> CTorrentError:
    """What kept blocks from running, as one error of ours; anything else is raised again."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, CTorrentError):
        return error
    raise error
