"""Promises after their commit: what a job says only once the disk has it, without the job waiting for the disk."""

from __future__ import annotations

import trio

from ctorrent.model.session import Message
from ctorrent.node.session import Session
from ctorrent.ports import Journal, Write

BATCHES = 16  # that wait for the disk; beyond it the job waits too

Promise = tuple[Session, Message]


class Committer:
    """Commits batches in the order they were handed over; what waits meanwhile becomes one commit."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._send, self._waiting = trio.open_memory_channel[tuple[list[Write], list[Promise]]](BATCHES)

    async def hand(self, writes: list[Write], promises: list[Promise]) -> None:
        """Queue writes, and messages that may leave only after them and everything before them."""
        if writes or promises:
            await self._send.send((writes, promises))

    def close(self) -> None:
        """No more; run() ends when the last batch is on the disk and said."""
        self._send.close()

    async def run(self) -> None:
        """Raises JournalError when the disk refuses: then nothing that stood on it was said."""
        async for first_writes, first_promises in self._waiting:
            writes, promises = list(first_writes), list(first_promises)
            while self._waiting.statistics().current_buffer_used:
                more_writes, more_promises = self._waiting.receive_nowait()
                writes += more_writes
                promises += more_promises
            if writes:
                await self._journal.commit(writes)
            for session, message in promises:
                session.post(message)
