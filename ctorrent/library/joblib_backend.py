"""The swarm as a backend of joblib: what is written for joblib, such as scikit-learn's searches, runs on it unchanged.

    import ctorrent, joblib
    ctorrent.register_joblib()
    with ctorrent.connect() as net, joblib.parallel_config("ctorrent"):
        search.fit(X, y)                     # GridSearchCV, cross_val_score, Parallel(…)(delayed(f)(x) …)

Options of Executor go beside the name: parallel_config("ctorrent", packages=["scikit-learn"], needs={"memory": "4 GB"}).

What a batch returns must be data, as all results: scores, arrays, dicts. Fitted estimators are no data: searches refit
here and need none (return_estimator=True does: pickled="own" brings them from machines of one's own). A search's
results hold the seconds that each fit took, of which no two machines have the same; so among friends each batch runs
once unless replicas says otherwise, and nobody checks it.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ctorrent.errors import CTorrentError, LocalError
from ctorrent.library import imports
from ctorrent.library.future import Future
from ctorrent.library.lines import Lines

if TYPE_CHECKING:
    from ctorrent.client import Net
    from ctorrent.library.executor import Executor

NAME = "ctorrent"
WORKERS_LEAST = 2  # joblib runs everything itself where a backend says that it has one
_SCIENCE = ("numpy", "scipy")  # scikit-learn brings them wherever it runs: a filter of their warnings costs nothing
LOOK_S = 1.0  # how often it is looked whether a line about a wait is due
AHEAD = 8  # calls of a slot that joblib thinks of as running: the node makes units of them, so that imports are paid once for many


def register_joblib() -> None:
    """Make "ctorrent" a name of joblib's backends. Twice is once. Raises LocalError: joblib is not installed."""
    try:
        import joblib  # type: ignore[import-untyped]
    except ImportError:
        raise LocalError("joblib is not installed here.", "pip install joblib") from None
    joblib.register_parallel_backend(NAME, _backend())


def batch(items: Any) -> Any:
    """The calls of one batch, one after the other."""
    return [function(*args, **words) for function, args, words in items]


batch.__module__ = "__main__"  # nobody where it runs has this module: it travels as what it says


class _Ours:
    """joblib's side of it: batches in, futures out."""

    supports_retrieve_callback = True
    default_n_jobs = -1
    uses_threads = False
    supports_sharedmem = False

    def __init__(self, net: Net | None = None, nesting_level: int | None = None, inner_max_num_threads: int | None = None, **options: Any) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)  # type: ignore[call-arg]
        self._given, self._options = net, options
        self._executor: Executor | None = None
        self._net: Net | None = None
        self._over = threading.Event()
        self.parallel: Any = None

    def __reduce__(self) -> Any:
        return _sequential, ()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        return n_jobs if n_jobs is not None and n_jobs > 1 else max(WORKERS_LEAST, AHEAD * int(self._network().pool()["slots"]))

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Future:
        items = [(_without_the_notebooks(function), args, words) for function, args, words in func.items]
        future = self._calls().submit(batch, items)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Any) -> Any:
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Nobody reads the batches that are left: their job is cancelled."""
        self._shut(lambda executor: executor.abandon())

    def terminate(self) -> None:
        self._shut(lambda executor: executor.shutdown(cancel_futures=True))

    def get_nested_backend(self) -> Any:
        return _sequential(), 1

    @contextlib.contextmanager
    def retrieval_context(self) -> Iterator[None]:
        yield

    def _network(self) -> Net:
        from ctorrent.client import connect, latest

        if self._given is not None:
            return self._given
        if self._net is None or self._net.closed:
            self._net = latest() or connect()
        return self._net

    def _calls(self) -> Executor:
        if self._executor is None or self._executor.closing:
            own = {"replicas": 1} if self._options.get("ring", "friends") == "friends" else {}
            self._executor = self._network().executor(**{**own, **self._options})
            self._over = threading.Event()
            threading.Thread(target=_tell, args=(self._executor, self._over), name="ctorrent lines", daemon=True).start()
        return self._executor

    def _shut(self, how: Callable[[Executor], None]) -> None:
        self._over.set()
        executor, self._executor = self._executor, None
        if executor is not None:
            how(executor)


def _without_the_notebooks(function: Any) -> Any:
    """scikit-learn sends the filters of warnings along, and in a notebook one of them names a warning of IPython's: workers would install that."""
    filters = getattr(function, "warning_filters", None)
    if not filters:
        return function
    theirs = {imports.top(type(function).__module__), *_SCIENCE}
    kept = [each for each in filters if imports.is_standard(each[2].__module__) or imports.top(each[2].__module__) in theirs]
    lighter = copy.copy(function)
    lighter.warning_filters = kept
    return lighter


def _tell(executor: Executor, over: threading.Event) -> None:
    """A line now and then about a long wait: who wrote for joblib sees nothing else of it."""
    lines = Lines()
    while not over.wait(LOOK_S):
        with contextlib.suppress(CTorrentError):  # the node may be away for a moment
            lines.say(executor.how_far)


def _backend() -> type:
    """The class, made when joblib is there."""
    from joblib.parallel import AutoBatchingMixin, ParallelBackendBase  # type: ignore[import-untyped]

    return type("CtorrentBackend", (_Ours, AutoBatchingMixin, ParallelBackendBase), {})


def _sequential() -> Any:
    """What a Parallel inside a batch gets: the machine's other slots are for other batches."""
    from joblib.parallel import SequentialBackend

    return SequentialBackend(nesting_level=1)
