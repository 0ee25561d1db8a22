"""The library under trio: the same methods, awaited.

    async with ctorrent.connect() as net:
        async for index, value in (await net.map(simulate, settings)).as_completed():
            …

Each question runs in a thread of trio's; none takes longer than a second (a job says how it stands at least so often),
so cancellation is heard within that. An embedded node starts in a thread too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from ctorrent.errors import LocalError

if TYPE_CHECKING:
    from ctorrent.client import Net
    from ctorrent.library.mapping import MapResult

Plain = dict[str, Any]


class AsyncMapResult:
    """A MapResult whose waiting is awaited; `sync` is that one."""

    def __init__(self, sync: MapResult[Any]) -> None:
        self.sync, self.name, self.notes = sync, sync.name, sync.notes

    def __len__(self) -> int:
        return len(self.sync)

    def __repr__(self) -> str:
        return f"Async{self.sync!r}"

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._unrolled(self.sync.batches)

    def as_completed(self) -> AsyncIterator[tuple[int, Any]]:
        """(index of the item, result) as calls end."""
        return self._unrolled(self.sync.batches_by_end)

    async def _unrolled(self, make: Callable[[], Iterator[list[Any]]]) -> AsyncIterator[Any]:
        batches = make()
        try:
            while (batch := await trio.to_thread.run_sync(next, batches, None)) is not None:
                for each in batch:
                    yield each
        finally:
            batches.close()  # type: ignore[attr-defined]

    async def values(self) -> list[Any]:
        """All results, in the order of the items."""
        return [each async for each in self._unrolled(self.sync.batches)]

    async def wait(self) -> Plain:
        """Until the job ended, or paused itself with a reason. -> its status."""
        async for _ in self._unrolled(self.sync.changes):
            pass
        return await trio.to_thread.run_sync(self.sync.status)

    async def table(self) -> Any:
        """As MapResult.table()."""
        await self.wait()
        return await trio.to_thread.run_sync(self.sync.table)

    def __getattr__(self, name: str) -> Any:
        return _awaited(self.sync, name)


class AsyncNet:
    """A Net whose methods are awaited: the same names, arguments and errors. `sync` is that Net."""

    def __init__(self, net: Net) -> None:
        self.sync = net

    async def map(self, function: Callable[..., Any], items: Iterable[Any], **options: Any) -> AsyncMapResult:
        """As Net.map."""
        return AsyncMapResult(await trio.to_thread.run_sync(partial(self.sync.map, function, items, **options)))

    async def watch(self, job: str) -> AsyncIterator[Plain]:
        """Status maps as they change, until the job ends."""
        statuses = self.sync.watch(job)
        while (status := await trio.to_thread.run_sync(next, statuses, None)) is not None:
            yield status

    def __getattr__(self, name: str) -> Any:
        return _awaited(self.sync, name)


def _awaited(of: Any, name: str) -> Any:
    """A method of the synchronous object, in a thread; anything else as it is."""
    found = getattr(of, name)
    if not callable(found):
        return found

    async def call(*args: Any, **named: Any) -> Any:
        return await trio.to_thread.run_sync(partial(found, *args, **named))

    call.__name__, call.__doc__ = name, found.__doc__
    return call


def in_trio() -> bool:
    """Is this code called by a task of trio's, in its thread?"""
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


async def entered(net: Net) -> AsyncNet:
    """What `async with net` gives."""
    if not in_trio():
        raise LocalError(
            "`async with` works under trio, and this is another event loop.",
            "In an asyncio program: with ctorrent.connect() as net, and await asyncio.to_thread(net.map(…).values).",
        )
    await trio.to_thread.run_sync(net.begin)
    return AsyncNet(net)


async def left(net: Net) -> None:
    """Its end; an embedded node takes a moment to leave."""
    with trio.CancelScope(shield=True):
        await trio.to_thread.run_sync(net.close)
