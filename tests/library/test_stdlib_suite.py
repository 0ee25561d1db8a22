"""ctorrent.Executor passes the standard library's own tests of executors, with a real node.

What is left out, and why:

- test_interpreter_shutdown, test_submit_after_interpreter_shutdown, test_hang_gh83386: they start interpreters that
  import the executor out of concurrent.futures by its name, and read what calls print; here that is in the job's log.
  The same is tried in test_executor.py.
- The tests that only one class of the standard library's gets (ThreadPool…, ProcessPool…, deadlocks, initializers):
  they look at its threads, processes and queues, share semaphores and events with its workers, or kill one of them.
"""

from __future__ import annotations

import logging
import time
import unittest
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

import ctorrent
from ctorrent.library.values import register
from tests.real.herd import herd, until

from . import stdlib_suite

pytestmark = [pytest.mark.real]
ELSEWHERE = ("test_interpreter_shutdown", "test_submit_after_interpreter_shutdown", "test_hang_gh83386", "test_hang_issue39205")
FOUND = stdlib_suite.load(Path(mkdtemp(prefix="ctsuite-")))
if FOUND is None:
    pytest.skip("no Python here has the standard library's tests", allow_module_level=True)
SUITE: Any = FOUND


@pytest.fixture(scope="module", autouse=True)
def node() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, herd() as make:
        one = make("ann")
        one.start()
        patch.setenv("CTORRENT_DATA", str(one.data))  # where an Executor that is told nothing looks
        made = SUITE.modules["ExecutorTest"].MyObject
        register(made, lambda one: [], lambda data: made())  # results are data: a type of one's own says how
        yield


class Mixin(unittest.TestCase):
    """As the suite's own for ThreadPoolExecutor."""

    executor_type = ctorrent.Executor
    worker_count = 5

    def setUp(self) -> None:
        super().setUp()
        self.executor: Any = self.executor_type(max_workers=self.worker_count)

    def tearDown(self) -> None:
        self.executor.shutdown(wait=True)
        self.executor = None
        super().tearDown()


class Warm(ctorrent.Executor):
    """A map that has a limit of time has it for its calls, and not for the start of the first process on a busy machine."""

    def map(self, fn: Any, *iterables: Any, timeout: float | None = None, chunksize: int = 1) -> Iterator[Any]:
        if timeout is not None:
            iterables = tuple(list(each) for each in iterables)
            super().submit(fn, *(each[0] for each in iterables)).result(60)
        return super().map(fn, *iterables, timeout=timeout, chunksize=chunksize)


class TestExecutor(Mixin, SUITE.ExecutorTest):  # type: ignore[misc]
    executor_type = Warm


BEGUN = "begun"


def told(nap: Any) -> Any:
    """The nap, which says in its job's log that it has begun."""

    def napping(seconds: float) -> Any:
        print(BEGUN, flush=True)
        return nap(seconds)

    return napping


class Forgetful(ctorrent.Executor):
    """A nap that an earlier test took is none to be remembered: it would be over at once."""

    def __init__(self, max_workers: int) -> None:
        super().__init__(max_workers, memo=False)


class Slower(Forgetful):
    """Which of two calls ends first is to be decided by their naps, not by whose process starts first on a busy machine.

    So naps are twice as long, and begin when what was submitted before them and does not nap has ended, and when the nap
    before has begun: of two functions' jobs either may come first otherwise, and one slot runs one after the other.
    """

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> ctorrent.Future:
        naps = fn is time.sleep or getattr(fn, "__name__", "") == "sleep_and_raise"
        if not naps:
            future = super().submit(fn, *args, **kwargs)
            self.__dict__.setdefault("quick", []).append(future)
            return future
        wait(self.__dict__.pop("quick", []), 60)
        before = self.__dict__.get("nap")
        if before is not None:
            until(lambda: before.done() or self._has_begun(before.job), "the nap before has begun")
        nap = self.__dict__["nap"] = super().submit(told(fn), *([2 * args[0]] if args[0] >= 1 else args), **kwargs)
        return nap

    def _has_begun(self, job: str | None) -> bool:
        """job: None or "" until it is submitted."""
        return any(BEGUN in piece["text"] for piece in self._net.logs(job, False)) if job else False


class TestWait(Mixin, SUITE.WaitTests):  # type: ignore[misc]
    executor_type = Slower


class TestAsCompleted(Mixin, SUITE.AsCompletedTests):  # type: ignore[misc]
    executor_type = Forgetful


class TestShutdown(Mixin, SUITE.ExecutorShutdownTest):  # type: ignore[misc]
    executor_type = Forgetful


for _name in ELSEWHERE:
    if hasattr(TestShutdown, _name):
        setattr(TestShutdown, _name, None)


class TestFuture(SUITE.FutureTests):  # type: ignore[misc]
    """Its Future is ours."""

    @pytest.fixture(autouse=True)
    def ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(SUITE.modules["FutureTests"], "Future", ctorrent.Future)

    def run(self, result: Any = None) -> Any:
        """Without pytest's handlers: what is logged goes to standard error then, which the suite reads."""
        root = logging.getLogger()
        handlers, root.handlers = root.handlers, []
        try:
            return super().run(result)
        finally:
            root.handlers = handlers
