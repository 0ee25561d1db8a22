"""What became of a job's blocks, as each ends: for programs that wait for one block and not for the job.

Each item: {"rows", "state", "reason"}; one without rows tells that the job paused, or goes on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

from ctorrent.door import Plain
from ctorrent.model.block import Block
from ctorrent.model.status import BlockRow
from ctorrent.node.coordinate import Coordination
from ctorrent.node.jobbook import JobRecord

ROWS_MAX = 256  # of one item: who waits for the first of many is not kept waiting for all
BYTES_MAX = 1 << 20  # of their values, about; a larger value goes alone

Row = Callable[[JobRecord, Block], Awaitable[BlockRow]]
Live = Callable[[JobRecord], Awaitable[Coordination | None]]


async def outcomes(record: JobRecord, live: Live, row: Row, blocks: Callable[[], list[Block]]) -> AsyncGenerator[Plain, None]:
    """Items with rows of blocks in the order in which they end, first those that have; the rest with the job. Each once.

    live: the coordination of a job, None once it has ended. row: a block's, as the journal has it.
    """
    shown, at = bytearray(), 0
    pending: list[int] = []  # ended, and not shown yet
    told = False  # that it is paused
    while (coordination := await live(record)) is not None:
        changed, ended = coordination.changed, coordination.ends.ended
        shown.extend(bytes(len(record.blocks) - len(shown)))
        pending += ended[at:]
        at, given = len(ended), False
        async for rows in _pages(record, [record.blocks[index] for index in pending], row):
            for one in rows:
                shown[one["index"]] = 1
            given = True
            yield _item(record, rows)
        if told != (record.state == "paused"):
            told = not told
            yield _item(record, [])
        pending = [index for index in pending if not shown[index]]
        if not given:
            await changed.wait()
    last = blocks()
    shown.extend(bytes(len(last) - len(shown)))
    async for rows in _pages(record, [block for block in last if not shown[block.index]], row):
        yield _item(record, rows)


def _item(record: JobRecord, rows: list[BlockRow]) -> Plain:
    return {"rows": [dict(row) for row in rows], "state": record.state, "reason": record.reason}


async def _pages(record: JobRecord, blocks: list[Block], row: Row) -> AsyncGenerator[list[BlockRow], None]:
    """Rows of those whose end the disk has."""
    rows: list[BlockRow] = []
    size = 0
    for block in blocks:
        one = await row(record, block)
        if one["state"] in ("waiting", "provisional"):  # decided, and its record is under way
            continue
        one["params"] = b""  # who asked has them
        rows.append(one)
        size += 200 + len(one.get("value", b""))
        if len(rows) >= ROWS_MAX or size >= BYTES_MAX:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows
