"""@ctorrent.task: a function that can be called here, or somewhere.

    @ctorrent.task(needs={"memory": "2 GB"})
    def simulate(rate, n=10): ...

    simulate(0.3)                            # here and now, as ever
    with ctorrent.connect() as net:
        simulate.submit(0.3).result()        # a Future, as of net.submit
        list(simulate.map([0.1, 0.2, 0.3]))  # a MapResult, as of net.map
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

from ctorrent.client import Net, latest
from ctorrent.errors import LocalError
from ctorrent.library.executor import Executor
from ctorrent.library.future import Future

if TYPE_CHECKING:
    from ctorrent.library.mapping import MapResult


class Task:
    """A function with options for the swarm. Called plainly it runs here."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self.function, self.options = function, options
        self._executors: weakref.WeakKeyDictionary[Net, Executor] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<task {getattr(self.function, '__qualname__', self.function)!s}>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """In a class it is a method, called here; submit and map are asked of the class."""
        return self if instance is None else functools.partial(self.function, instance)

    def __reduce__(self) -> Any:
        """Another function may call it where it runs: there it is the plain function."""
        return _plain, (self.function,)

    def submit(self, /, *args: Any, **kwargs: Any) -> Future:
        """Call it somewhere -> its Future. Uses the Net that was opened last and is open. Raises LocalError: there is none."""
        return self._executor().submit(self.function, *args, **kwargs)

    def map(self, items: Iterable[Any], **options: Any) -> MapResult[Any]:
        """A call for each item: net.map(function, items, …), with the task's options where these say nothing else."""
        return _net().map(self.function, items, **{**self.options, **options})

    def _executor(self) -> Executor:
        net = _net()
        with self._lock:
            executor = self._executors.get(net)
            if executor is None or executor.closing:
                executor = self._executors[net] = net.executor(**self.options)
            return executor


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _net() -> Net:
    net = latest()
    if net is None:
        raise LocalError("There is no network to send it to.", "Inside `with ctorrent.connect() as net:` it has one; called plainly it runs here.")
    return net


@overload
def task(function: Callable[..., Any], /) -> Task: ...
@overload
def task(**options: Any) -> Callable[[Callable[..., Any]], Task]: ...
def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a Task. options: as for Executor and net.map, such as replicas=1, shared={…}, needs={…}."""
    return Task(function, options) if function is not None else lambda inner: Task(inner, options)
