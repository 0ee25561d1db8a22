"""Promises after their commit: what a job says only once the disk has it, without the job waiting for the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from ctorrent.model.ids import Digest
from ctorrent.model.session import Message
from ctorrent.node.session import Session
from ctorrent.ports import BlobStore, Journal, Write

BATCHES = 16  # that wait for the disk; beyond it the job waits too

Promise = tuple[Session, Message]


@dataclass(frozen=True, slots=True)
class Batch:
    """What becomes durable together. `blobs` are named by the writes, so they go first."""

    writes: Sequence[Write] = ()
    promises: Sequence[Promise] = ()
    blobs: Sequence[Digest] = ()
    done: trio.Event | None = None


class Committer:
    """Commits batches in the order they were handed over; what waits meanwhile becomes one commit.

    kept: called after each: readers of the journal may look again.
    """

    def __init__(self, journal: Journal, blobs: BlobStore, kept: Callable[[], None] = lambda: None) -> None:
        self._journal, self._blobs, self._kept = journal, blobs, kept
        self._send, self._waiting = trio.open_memory_channel[Batch](BATCHES)

    async def hand(self, batch: Batch) -> None:
        """Queue writes, and messages that may leave only after them and everything before them."""
        if batch.writes or batch.promises:
            await self._send.send(batch)

    async def settled(self) -> None:
        """Wait until everything handed over so far is on the disk and said."""
        done = trio.Event()
        await self._send.send(Batch(done=done))
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
            blobs = [blob for batch in batches for blob in batch.blobs]
            writes = [write for batch in batches for write in batch.writes]
            if blobs:
                await self._blobs.flush(blobs)
            if writes:
                await self._journal.commit(writes)
                self._kept()
            for batch in batches:
                for session, message in batch.promises:
                    session.post(message)
                if batch.done is not None:
                    batch.done.set()
