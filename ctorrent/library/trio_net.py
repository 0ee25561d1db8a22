"""The library under trio: the same methods, awaited.

    async with ctorrent.connect() as net:
        async for index, value in (await net.map(simulate, settings)).as_completed():
            …
        job = await net.jobs["k3f9"]
        async for event in net.events():
            …

Each question runs in a thread of trio's. A cancelled one is not waited for: the node does what it was asked, and its
answer goes nowhere. What is waited for long is asked about again and again (a job says how it stands at least once a
second), so that cancellation is heard within that. An embedded node starts in a thread too.
"""

from __future__ import annotations

import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import aclosing, suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

import trio

from ctorrent.channel import Items
from ctorrent.errors import LocalError
from ctorrent.library.future import Future
from ctorrent.library.job import Job, expected
from ctorrent.library.mapping import MapResult
from ctorrent.library.rows import Rows

if TYPE_CHECKING:
    from ctorrent.client import Net

Plain = dict[str, Any]


class AsyncJob:
    """A Job whose methods are awaited, and whose items are gone through with `async for`. `sync` is that Job."""

    def __init__(self, sync: Job) -> None:
        self.sync: Any = sync
        self.name = sync.name

    def __repr__(self) -> str:
        return f"Async{self.sync!r}"

    async def wait(self, progress: bool | None = None) -> Plain:
        """Until the job ended, or paused itself with a reason. -> its status. progress: a bar; None: as fits where it is."""
        async for _ in self._unrolled(partial(self.sync.changes, progress)):
            pass
        return dict(await _asked(self.sync.status if self.name else self.sync.wait))

    async def _unrolled(self, make: Callable[[], Iterator[list[Any]]]) -> AsyncGenerator[Any, None]:
        try:
            async with aclosing(_each(make)) as batches:
                async for batch in batches:
                    for item in batch:
                        yield item
        except KeyboardInterrupt as error:
            self.sync.interrupted(error)
            raise

    def __getattr__(self, name: str) -> Any:
        return _awaited(self.sync, name)


class AsyncMapResult(AsyncJob):
    """A MapResult whose waiting is awaited; `sync` is that one."""

    @property
    def pickled(self) -> str:
        """As of the MapResult: "own" opens results that are pickles, those from one's own machines."""
        return str(self.sync.pickled)

    @pickled.setter
    def pickled(self, which: str) -> None:
        self.sync.pickled = which

    def __len__(self) -> int:
        return len(self.sync)

    __iter__ = __contains__ = None  # an index is awaited: `for` and `in` would never end

    async def __getitem__(self, index: int) -> Any:
        """The result of one item; waits for it."""
        async with aclosing(self._unrolled(partial(self.sync._item, index))) as found:
            return await anext(found)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._unrolled(self.sync.batches_by_end if self.sync._by_end else self.sync.batches)

    def as_completed(self) -> AsyncIterator[tuple[int, Any]]:
        """(index of the item, result) as calls end."""
        return self._unrolled(self.sync.batches_by_end)

    async def values(self) -> list[Any]:
        """All results, in the order of the items."""
        return [each async for each in self._unrolled(self.sync.batches)]

    async def table(self) -> Any:
        """As MapResult.table()."""
        await self.wait()
        return await _asked(self.sync.table)


class AsyncFuture:
    """A call on its way: `await future.result()`. What does not wait is as of `sync`, the library.future.Future."""

    def __init__(self, sync: Future) -> None:
        self.sync = sync

    def __repr__(self) -> str:
        return f"Async{self.sync!r}"

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.result().__await__()

    async def result(self, timeout: float | None = None) -> Any:
        """What the call returned; raises what it raised, TimeoutError after so many seconds."""
        await self._ended(timeout)
        return self.sync.result(0)

    async def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the call raised, None where it returned. TimeoutError as of result()."""
        await self._ended(timeout)
        return self.sync.exception(0)

    async def traceback(self, timeout: float | None = None) -> str:
        """The traceback where the call failed, as text; "" for a call that did not. TimeoutError as of result()."""
        await self._ended(timeout)
        return self.sync.traceback(0)

    async def _ended(self, timeout: float | None) -> None:
        ended, token = trio.Event(), trio.lowlevel.current_trio_token()

        def tell(_: object) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(ended.set)

        self.sync.add_done_callback(tell)
        with trio.move_on_after(math.inf if timeout is None else timeout):
            await ended.wait()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sync, name)


class AsyncRows:
    """net.jobs, net.peers, net.offers: `await net.jobs()`, `await net.jobs["k3f9"]`, `async for job in net.jobs` …"""

    def __init__(self, sync: Rows) -> None:
        self.sync = sync

    async def __call__(self, *args: Any, **named: Any) -> list[Plain]:
        return list(await _asked(self.sync, *args, **named))

    __iter__ = __contains__ = None  # as of an AsyncMapResult

    def __getitem__(self, which: str | int) -> Awaitable[Any]:
        return _asked(self.sync.__getitem__, which)

    async def __aiter__(self) -> AsyncIterator[Any]:
        rows = await _asked(iter, self.sync)
        while (row := await _asked(next, rows, None)) is not None:
            yield row

    def __getattr__(self, name: str) -> Any:
        return _awaited(self.sync, name)


class AsyncNet:
    """A Net whose methods are awaited: the same names, arguments and errors. `sync` is that Net.

    What gives items one by one (events, logs, watch …) is gone through with `async for`, without await. A job is an
    AsyncJob or AsyncMapResult, a submitted call an AsyncFuture, and executor() gives the one that blocks.
    """

    def __init__(self, net: Net) -> None:
        self.sync = net

    async def run(self, path: str | os.PathLike[str], *, progress: bool | None = None, **options: Any) -> AsyncJob:
        """As Net.run. Cancelled, it leaves the job to go on: `await net.cancel(…)` ends it."""
        job = await self.start(path, **options)
        await job.wait(progress)
        return job

    async def start(self, path: str | os.PathLike[str], rehearse: bool = False, **options: Any) -> AsyncJob:
        """As Net.start."""
        if rehearse:  # by itself: whoever is cancelled meanwhile has not submitted anything
            options = {**options, "expected": expected(await _asked(self.sync.rehearse, path, None, options))}
        return AsyncJob(await trio.to_thread.run_sync(partial(self.sync.start, path, **options)))

    async def map(self, function: Callable[..., Any], items: Iterable[Any], **options: Any) -> AsyncMapResult:
        """As Net.map."""
        return AsyncMapResult(await trio.to_thread.run_sync(partial(self.sync.map, function, items, **options)))

    async def submit(self, what: Any, /, *args: Any, **kwargs: Any) -> Any:
        """As Net.submit: of a function its AsyncFuture, of a job file's path the job's eight characters."""
        return _wrapped(await trio.to_thread.run_sync(partial(self.sync.submit, what, *args, **kwargs)))

    def __getattr__(self, name: str) -> Any:
        return _awaited(self.sync, name)


_in_thread: Callable[..., Awaitable[Any]] = trio.to_thread.run_sync  # stubs that come with libp2p know an older one


async def _asked(ask: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """In a thread; a cancellation does not wait for it."""
    return _wrapped(await _in_thread(partial(ask, *args, **named), abandon_on_cancel=True))


async def _each(make: Callable[[], Iterator[Any]]) -> AsyncGenerator[Any, None]:
    """Items of a synchronous iterator as they come."""
    items: Any = make()
    stream = isinstance(items, Items)  # its next may be long in coming: it takes no thread from others
    limiter = trio.CapacityLimiter(1) if stream else None
    try:
        while (item := await _in_thread(next, items, None, abandon_on_cancel=stream, limiter=limiter)) is not None:
            yield _wrapped(item) if stream else item
    finally:
        items.close()


def _awaited(of: Any, name: str) -> Any:
    """A method of the synchronous object, in a thread; one that gives items, for `async for`; anything else as it is."""
    found = getattr(of, name)
    if isinstance(found, Rows) or not callable(found):
        return _wrapped(found)
    items = str(getattr(found, "__annotations__", {}).get("return")).startswith("Iterator[")

    def call(*args: Any, **named: Any) -> Any:
        return _each(partial(found, *args, **named)) if items else _asked(found, *args, **named)

    call.__name__, call.__doc__ = name, found.__doc__
    return call


def _wrapped(found: Any) -> Any:
    """What would block is given as what is awaited."""
    match found:
        case MapResult():
            return AsyncMapResult(found)
        case Job():
            return AsyncJob(found)
        case Future():
            return AsyncFuture(found)
        case Rows():
            return AsyncRows(found)
    return found


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


async def left(net: Net, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
    """Its end: calls that were submitted are waited for, unless it is left by an error or cancelled; a node of one's own takes a moment to leave."""
    try:
        if kind is None:
            await _asked(net._wait_for_calls)
    except BaseException as late:  # cancelled while it waited, say
        kind, error, trace = type(late), late, late.__traceback__
        raise
    finally:
        with trio.CancelScope(shield=True):
            await _in_thread(net.__exit__, kind, error, trace, limiter=trio.CapacityLimiter(1))  # whoever holds all others
