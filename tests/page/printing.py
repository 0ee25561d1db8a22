"""A Door with a job that prints: what its log does when it goes wrong, and while nobody looks; and with many jobs before it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from ctorrent.door import Plain
from ctorrent.errors import DiskFull

from .many_blocks import ManyBlocks

PRINT_S = 0.1  # between two lines
BLOCKS = 3
JOBS = 620  # more than a page of receipts


class Printing(ManyBlocks):
    """One block prints `lines`, another then `others`, to each reader from the first on. breaks: a reader that has had all of them is told an error."""

    def __init__(self) -> None:
        super().__init__(BLOCKS, 0)
        self.readers, self.breaks = 0, False
        self.lines = [f"line {number}\n" for number in range(5)]
        self.others: list[str] = []
        self.all = [self._status()] + [self._status() | {"job": f"old{number:05}", "name": f"old {number}", "state": "settled", "submitted_unix": 10**9 - number} for number in range(JOBS)]

    async def logs(self, job: str, follow: bool = False) -> AsyncIterator[Plain]:
        self.readers += 1
        try:
            at = 0
            while True:
                printed = [(1, text) for text in self.lines] + [(2, text) for text in self.others]
                for index, text in printed[at:]:
                    yield {"index": index, "worker": "12D3KooW" + "0" * 44, "text": text}
                at = len(printed)
                if self.breaks:
                    raise DiskFull("the log cannot be read", "Make room on the disk.")
                await trio.sleep(PRINT_S)
        finally:
            self.readers -= 1

    async def jobs(self, after: str = "", limit: int = 100) -> list[Plain]:
        first = next((at + 1 for at, one in enumerate(self.all) if one["job"] == after), 0)
        return self.all[first : first + limit]

    async def status(self) -> Plain:
        return await super().status() | {"jobs": len(self.all)}
