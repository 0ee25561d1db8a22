"""ctorrent.Executor: the swarm as a concurrent.futures.Executor.

    with ctorrent.Executor() as pool:
        future = pool.submit(simulate, 0.3, n=10)
        print(future.result(), list(pool.map(simulate, [0.1, 0.2, 0.3])))

Programs written for ProcessPoolExecutor run on it unchanged. asyncio: `await loop.run_in_executor(pool, simulate, 0.3)`.

Calls of one function become blocks of one open job (open_job.py), so that a call costs a block and not a job. A thread
of this object hands them over, many at once when many wait; one thread for each job resolves futures.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import contextlib
import functools
import itertools
import os
import pathlib
import shutil
import tempfile
import threading
import time
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ctorrent.library import imports
from ctorrent.library.arrays import Arrays
from ctorrent.library.function import Packed, pack
from ctorrent.library.future import Future
from ctorrent.library.open_job import Call, OpenJob, payload_file
from ctorrent.library.pickles import wanted
from ctorrent.library.progress import counts_of, text_of, words_of
from ctorrent.library.values import encoders

if TYPE_CHECKING:
    from ctorrent.client import Net

AT_ONCE_MAX = 20_000  # calls with the node at once where nobody says less: some seconds' work of a large swarm
JOBS_MAX = 32  # open at once, one for each function; the one that was used longest ago is sealed
TURN_MAX = 4096  # calls handed over in one turn

_leaving = threading.Event()  # the interpreter is about to end
_all: weakref.WeakSet[Executor] = weakref.WeakSet()


class Executor(concurrent.futures.Executor):
    """Runs calls wherever there is room.

    net: from ctorrent.connect(), with which it ends; without one the running node is used, or one of our own that ends at shutdown().
    max_workers: calls that may be under way at once; None: no bound of yours. Those that wait can be cancelled.
    shared: parameter name -> value that every call of every function gets, sent once to each worker.
    packages: needed where calls run, instead of those found by looking at the functions.
    pickled: "own": calls run on machines of your own alone, and results that are no data come back as pickles.
    options: fields of a job file, as for net.map: replicas=1, ring="public", needs={"memory": "2 GB"} …

    A function, an argument or a result that cannot travel: LocalError from submit(), naming what to do.
    """

    def __init__(
        self, max_workers: int | None = None, *, net: Net | None = None, shared: Mapping[str, Any] | None = None,
        packages: Sequence[str] | None = None, pickled: str = "", **options: Any,
    ) -> None:  # fmt: skip
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        self._own = net is None
        self._net = _connect() if net is None else net
        self._room = self._most = max_workers or AT_ONCE_MAX
        self._shared, self._packages, self._options = shared, packages, options
        self._pickles = wanted(pickled)
        self._arrays = Arrays()
        self._jobs: dict[Any, OpenJob] = {}
        self._keys: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()  # function -> key of its job
        self._retired: list[OpenJob] = []  # to be sealed
        self._queue: deque[tuple[OpenJob, Call]] = deque()  # no room yet: they can be cancelled
        self._taken: deque[tuple[OpenJob, Call]] = deque()  # to be handed over
        self._state = threading.Condition()
        self._closing = self._abandoned = False
        self._folder: pathlib.Path | None = None
        self._thread: threading.Thread | None = None
        _all.add(self)
        if net is not None:
            net._ends(self)

    @property
    def closing(self) -> bool:
        """Was it shut down?"""
        return self._closing

    @property
    def notes(self) -> list[str]:
        """What its person should know, such as that nobody else is there to agree."""
        return list(dict.fromkeys(note for job in self._jobs.values() for note in job.notes))

    def how_far(self) -> str:
        """One line: how many of its calls have ended, and what those that have not wait for."""
        statuses = [self._net.job(name) for job in list(self._jobs.values()) for name in job.names]
        if not statuses:
            return "calls are being sent"
        done, total = (sum(each) for each in zip(*map(counts_of, statuses), strict=True))
        return " ".join((f"{text_of('calls', done, total, words_of(statuses[-1]), None)} so far.", *self.notes))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Call fn(*args, **kwargs) somewhere. -> its Future. Raises RuntimeError after shutdown(), LocalError: it cannot travel."""
        self._check_open()
        fn, args, kwargs = unwrapped(fn, args, kwargs)
        job, modules = self._job_of(fn), set[str]()
        arrays: list[memoryview] = []
        params, payload = job.packed.arguments(args, kwargs, modules, arrays)
        if modules and self._packages is None:
            job = self._with_packages(job, _packages_of(frozenset(modules)))
        future = Future()
        with self._state:
            self._check_open()
            paths = self._arrays.take(arrays, self._place()) if arrays else ()
            call = Call(future, params, payload_file(self._place(), payload) if payload else None, paths, self._arrays.leave if paths else None)
            self._queue.append((job, call))
            self._take()
            if self._thread is None:
                self._thread = threading.Thread(target=_work, args=(self._reference(), self._state), name="ctorrent executor", daemon=True)
                self._thread.start()
            self._state.notify_all()
        return future

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1, **more: Any) -> Iterator[Any]:
        """Results of fn over the items, in order. chunksize: items of one call. timeout: seconds from now, then TimeoutError."""
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout, **more)
        items = zip(*iterables, strict=False)
        chunks = iter(lambda: list(itertools.islice(items, chunksize)), [])
        return _flat(super().map(chunked(fn), chunks, timeout=timeout, **more))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; wait for those under way. cancel_futures: those that were not handed over are cancelled.

        Raises RuntimeError where a callback of a future waits: the thread that calls it is the one that would end them.
        """
        with self._state:
            self._closing = True
            if cancel_futures:
                while self._queue:
                    _, call = self._queue.popleft()
                    call.future.cancel()
                    call.forget()
            self._state.notify_all()
            thread = self._thread
            if thread is None:
                self._finish()
            ours = {thread, *(each for job in (*self._jobs.values(), *self._retired) for each in job.threads)}
        if wait and threading.current_thread() in ours:
            raise RuntimeError("a callback of a future cannot wait for its executor: shutdown(wait=False)")
        if wait and thread is not None:
            thread.join()

    def abandon(self) -> None:
        """Take no more calls, and end those under way: nobody will read what comes of them. Its jobs are cancelled."""
        ending = self._closing  # its thread has sealed the jobs, and waits for their calls
        self._abandoned = True
        self.shutdown(wait=False, cancel_futures=True)
        for job in list(self._jobs.values()) if ending else ():
            job.cancel()
        self.shutdown()

    # -- functions ----------------------------------------------------------------------------------------------------

    def _job_of(self, fn: Callable[..., Any]) -> OpenJob:
        """The open job of a function: the same for one that is written the same."""
        key: Any = None
        with contextlib.suppress(TypeError):  # it has no hash, or takes no weak reference
            key = self._keys.get(fn)
        with self._state:
            job = self._jobs.pop(key, None)
            if job is not None:
                self._jobs[key] = job  # the last is the one that was used last
                return job
        packed = pack(fn, self._shared, self._packages, encoders(), self._pickles)
        key = (packed.name, packed.packages, tuple(sorted(packed.files.items())))
        with contextlib.suppress(TypeError):
            self._keys[fn] = key
        return self._open(key, packed)

    def _with_packages(self, job: OpenJob, packages: Sequence[str]) -> OpenJob:
        """The open job of the same function where what its arguments are made of is there too."""
        packed = job.packed
        wanted = tuple(sorted({*packed.packages, *packages}))
        if wanted == packed.packages:
            return job
        key = (packed.name, wanted, tuple(sorted(packed.files.items())))
        return self._open(key, replace(packed, packages=wanted))

    def _open(self, key: Any, packed: Packed) -> OpenJob:
        with self._state:
            job = self._jobs.pop(key, None) or OpenJob(self._net, packed, self._options, self._resolved)
            self._jobs[key] = job
            idle = [each for each, one in self._jobs.items() if one.idle and one is not job]
            self._retired += [self._jobs.pop(each) for each in idle[: max(0, len(self._jobs) - JOBS_MAX)]]
        return job

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closing:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if _leaving.is_set():
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    def _reference(self) -> weakref.ref[Executor]:
        state = self._state

        def gone(_: object) -> None:
            with state:
                state.notify_all()

        return weakref.ref(self, gone)

    def _place(self) -> pathlib.Path:
        if self._folder is None:
            self._folder = pathlib.Path(tempfile.mkdtemp(prefix="ctorrent-calls-"))
        return self._folder

    def _resolved(self, count: int) -> None:
        with self._state:
            self._room += count
            self._take()
            self._state.notify_all()

    def _turn(self) -> tuple[bool, float]:
        """Hand over what was taken. -> is there more to come, and after how many seconds that is worth a turn."""
        with self._state:
            calls: dict[OpenJob, list[Call]] = {}
            while self._taken and sum(map(len, calls.values())) < TURN_MAX:
                job, call = self._taken.popleft()
                calls.setdefault(job, []).append(call)
            over = self._closing and not self._queue and not self._taken and not calls
            retired, self._retired = self._retired, []
        for job in retired:
            job.seal()
        pauses = [job.hand(some) for job, some in calls.items()]
        return not over, max(pauses, default=0.0)

    def _waits(self) -> bool:
        """Is there nothing to do now? Asked with the lock held."""
        return not self._taken and not (self._closing and not self._queue)

    def _take(self) -> None:
        """Calls for which there is room are under way from now on. With the lock held."""
        while self._queue and self._room:
            job, call = self._queue.popleft()
            if call.future.set_running_or_notify_cancel():
                self._room -= 1
                self._taken.append((job, call))
            else:
                call.forget()

    def _finish(self) -> None:
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel() if self._abandoned else job.seal()
        for job in jobs:
            job.join()
        if self._own:
            self._net.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _work(whose: weakref.ref[Executor], state: threading.Condition) -> None:
    """Hand calls over until shutdown, or until nobody holds the executor any more."""
    while (executor := whose()) is not None:
        more, pause = executor._turn()
        if not more:
            executor._finish()
            return
        del executor
        if pause:
            time.sleep(pause)
        with state:
            while (executor := whose()) is not None and executor._waits():
                del executor
                state.wait()


def unwrapped(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """The function behind a partial or a bound method, with what those hold among the arguments: one job serves them all."""
    args, kwargs = tuple(args), dict(kwargs)
    inner: Any = fn
    while True:
        if isinstance(inner, functools.partial):
            inner, args, kwargs = inner.func, (*inner.args, *args), {**inner.keywords, **kwargs}
        elif isinstance(inner, types.MethodType):
            inner, args = inner.__func__, (inner.__self__, *args)
        else:
            return inner, args, kwargs


@functools.lru_cache(maxsize=64)
def chunked(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a list of argument tuples, that travels by value with fn inside."""

    def chunk(items: Any) -> Any:
        return [fn(*each) for each in items]

    chunk.__module__ = "__main__"  # nobody where it runs has this module
    chunk.__qualname__ = chunk.__name__ = f"{getattr(fn, '__name__', 'function')} of many"
    return chunk


@functools.lru_cache(maxsize=256)
def _packages_of(modules: frozenset[str]) -> tuple[str, ...]:
    return imports.packages_of(modules)


def _flat(chunks: Iterator[list[Any]]) -> Iterator[Any]:
    for chunk in chunks:
        chunk.reverse()
        while chunk:
            yield chunk.pop()  # no reference to a result stays here


def _connect() -> Net:
    from ctorrent.client import connect

    return connect()


def _at_exit() -> None:
    """The interpreter waits for calls under way, as it does for those of the standard library's executors."""
    _leaving.set()
    for executor in list(_all):
        executor.shutdown()


def _forked() -> None:
    """In the child: its parent's threads, which hand calls over and resolve futures, are not there."""
    for executor in list(_all):
        executor._state, executor._closing, executor._thread = threading.Condition(), True, None
        executor._queue, executor._taken, executor._jobs, executor._retired = deque(), deque(), {}, []
        executor._own, executor._folder = False, None


atexit.register(_at_exit)
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_forked)  # on Windows nothing forks
