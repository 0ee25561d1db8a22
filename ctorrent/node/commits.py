"""Promises after their commit: what a job says only once the disk has it, without the job waiting for the disk."""

from __future__ import annotations

import trio

from ctorrent.model.session import Message
from ctorrent.node.session import Session
from ctorrent.ports import Journal, Write

BATCHES = 16  # that wait for the disk; beyond it the job waits too

Promise = tuple[Session, Message]
Batch = tuple[list[Write], list[Promise], trio.Event | None]


class Committer:
    """Commits batches in the order they were handed over; what waits meanwhile becomes one commit."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._send, self._waiting = trio.open_memory_channel[Batch](BATCHES)

    async def hand(self, writes: list[Write], promises: list[Promise]) -> None:
        """Queue writes, and messages that may leave only after them and everything before them."""
        if writes or promises:
            await self._send.send((writes, promises, None))

    async def settled(self) -> None:
        """Wait until everything handed over so far is on the disk and said."""
        done = trio.Event()
        await self._send.send(([], [], done))
        await done.wait()

    def close(self) -> None:
        """No more; run() ends when the last batch is on the disk and said."""
        self._send.close()

    async def run(self) -> None:
        """Raises JournalError when the disk refuses: then nothing that stood on it was said."""
        async for first in self._waiting:
            batches = [first]
            while self._waiting.statistics().current_buffer_used:
                batches.append(self._waiting.receive_nowait())
            writes = [write for batch in batches for write in batch[0]]
            if writes:
                await self._journal.commit(writes)
            for _, promises, done in batches:
                for session, message in promises:
                    session.post(message)
                if done is not None:
                    done.set()
