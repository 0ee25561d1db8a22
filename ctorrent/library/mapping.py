"""net.map: one call of a function for each item, on whatever machines there are.

    with ctorrent.connect() as net:
        df = net.map(simulate, settings).table()

What comes back is a MapResult: sized at once, and filled as calls end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ctorrent.errors import LocalError, WorkError
from ctorrent.library.failures import CallFailed, failure_of
from ctorrent.library.function import named, pack
from ctorrent.library.interrupt import explain
from ctorrent.library.job import ENDED, Job
from ctorrent.library.pickles import Own, wanted
from ctorrent.library.progress import Progress
from ctorrent.library.sending import send
from ctorrent.library.table import columns_of, frame
from ctorrent.library.values import encoders

if TYPE_CHECKING:
    from ctorrent.client import Net

T = TypeVar("T")
Plain = dict[str, Any]
ON_ERROR = ("raise", "keep")
PAGE_ROWS = 1000  # of results at a time
PROBE_ROWS = 32  # asked for while the next ones may not be there yet
_OVER = frozenset({"settled", "failed", "disputed", "cancelled"})


class MapResult(Job, Generic[T]):
    """The calls of one map: a job whose rows are items.

    `len()` is known at once. Iterating gives results in the order of the items, each as soon as it and those before it
    are there; with as_completed=True pairs (index of the item, result) in the order in which calls end. It may be
    iterated again, from several threads, and read after a restart: net.jobs[name] gives it back.

    pickled: "own" opens results that are pickles, those from one's own machines: see Net.map. "": none is opened.

    What fails: with on_error "raise" the call's exception (failures.CallFailed, and the built-in type it was), and the
    job ends; with "keep" that exception is the item's result.
    """

    def __init__(self, net: Net, name: str, count: int, on_error: str = "raise", as_completed: bool = False, progress: bool | None = None, label: str = "", notes: tuple[str, ...] = (), pickled: str = "") -> None:
        super().__init__(net, name)
        self.pickled, self._own = pickled, Own(net, name)
        self._count, self._on_error, self._by_end = count, on_error, as_completed
        self._label, self._draw = label or name, progress
        self.notes = notes
        self._seen_end = False  # a bar at its end was shown once: reading the results again draws none

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"MapResult({self.name!r}, {self._count} items)" if self.name else "MapResult(no items)"

    def __iter__(self) -> Iterator[Any]:
        return self.as_completed() if self._by_end else self._in_order()

    def __getitem__(self, index: int) -> T:
        """The result of one item; waits for it."""
        with closing(self._item(index)) as batches:
            return next(batch[0] for batch in batches if batch)

    def _item(self, index: int) -> Generator[list[T], None, None]:
        at = index + self._count if index < 0 else index
        if not 0 <= at < self._count:
            raise IndexError(f"item {index} of {self._count}")
        for rows in self._rows(from_index=at):
            yield [self._result(row) for _, row in rows[:1]]

    def values(self) -> list[T]:
        """All results in the order of the items; waits for the end, or for the first that fails with on_error "raise"."""
        self.wait()
        return list(self._in_order())

    def as_completed(self) -> Iterator[tuple[int, T]]:
        """(index of the item, result) as calls end."""
        for batch in self.batches_by_end():
            yield from batch

    def batches(self) -> Iterator[list[T]]:
        """Results in the order of the items, as many at once as have come; an empty list at least once a second."""
        for rows in self._rows():
            yield [self._result(row) for _, row in rows]

    def batches_by_end(self) -> Iterator[list[tuple[int, T]]]:
        """(index, result) as calls end, as many at once as have come; an empty list at least once a second."""
        for rows in self._rows_by_end():
            yield [(index, self._result(row)) for index, row in rows]

    def changes(self, progress: bool | None = None) -> Iterator[list[Plain]]:
        """The job's status as it changes, each in a list of its own, for as long as wait() waits; draws the progress."""
        self._draw = self._draw if progress is None else progress
        if self.name:
            with self._changes() as changes:
                for status in changes:
                    yield [status]

    def wait(self, progress: bool | None = None) -> Plain:
        """Block until the job ended, or paused itself with a reason. -> its status (status.JobStatus). progress: a bar; None: as map was told."""
        if not self.name:
            return {"state": "settled", "blocks": 0}
        return super().wait(progress)

    def table(self) -> Any:
        """One row per item, in order: its arguments by name, and the result: of a dict a column per key, else "value".

        A pandas DataFrame where pandas is installed, else a dict of columns (lists). A result's field that is named as
        an argument becomes "result.NAME". With on_error="keep" a column "error" has what failed calls said. Waits.
        """
        self.wait()
        return frame(columns_of(self._plain_rows()))

    def errors(self) -> dict[int, CallFailed]:
        """Index of the item -> why its call has no result; of those that have ended so far."""
        return {row["index"]: self._failure(row) for row in super().rows() if row["state"] in ("failed", "disputed", "cancelled")}

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _in_order(self) -> Iterator[T]:
        for rows in self._rows():  # not by batches(): what came before a failure is given out first
            for _, row in rows:
                yield self._result(row)

    def _plain_rows(self) -> Iterator[Plain]:
        for rows in self._rows():
            for index, row in rows:
                yield {"index": index, "params": row["params"], "result": self._result(row)}

    def _result(self, row: Plain) -> Any:
        if row["state"] in ("settled", "provisional") and row.get("value") is not None:
            try:
                return self._own.value(row, wanted(self.pickled))
            except LocalError as fault:  # one result that is none: the others are not lost to it
                index = int(row["index"])
                error = CallFailed(f"Item {index}: {fault.message}", fault.hint, "output", index=index)
        else:
            error = self._failure(row)
        if self._on_error == "keep" and row["state"] != "cancelled":
            return error
        raise error

    def _failure(self, row: Plain) -> CallFailed:
        index = int(row["index"])
        if row.get("failure"):
            return failure_of(row["failure"], index)
        if row["state"] == "disputed":
            return CallFailed(
                f"Item {index}: the machines that ran it disagree: {row.get('words') or 'no two results are the same'}.",
                "Does it draw numbers without its seed, or use the time? A parameter `seed` gives every machine the same.", "disputed", index=index,
            )  # fmt: skip
        status = self.status()
        return CallFailed(f"Job {self.name} is {status['state']}: {status['reason'] or 'nobody said why'}.", f"See: ctorrent why {self.name}", str(status["state"]), index=index)

    def _rows(self, from_index: int = 0) -> Generator[list[tuple[int, Plain]], None, None]:
        """Rows in order from an item on, as many at once as are there; an empty list at every change without any."""
        if not self.name:
            return
        at, limit = from_index, PROBE_ROWS
        with self._changes() as changes:
            while at < self._count:
                over = changes.over
                page = self.net.results(self.name, at - 1, limit)
                ready = list(takewhile(lambda row: row["state"] in _OVER, page))
                yield list(enumerate(ready, at))
                at += len(ready)
                if page and len(ready) == len(page):
                    limit = PAGE_ROWS
                    continue
                if over:
                    raise WorkError(*self._stands_still())
                limit = PROBE_ROWS
                next(changes, None)

    def _changes(self) -> Changes:
        return Changes(self, Progress(self._label, False if self._seen_end else self._draw, notes=self.notes))

    def _stands_still(self) -> tuple[str, str]:
        status = self.status()
        return f"Job {self.name} is {status['state']}: {status['reason'] or 'nobody said why'}.", f"Go on with it: net.resume({self.name!r})."

    def _rows_by_end(self) -> Iterator[list[tuple[int, Plain]]]:
        """Rows as their blocks end, as many at once as are there; an empty list at every change without any."""
        if not self.name:
            return
        version, given = -1, bytearray(self._count)
        with self._changes() as changes:
            while not all(given):
                over = changes.over
                found = self.net.blocks(self.name, version)
                version = found["version"]
                ended = sorted(int(index) for index, state, *_ in found["changed"] if state in _OVER and not given[int(index)])
                if over:  # what was never begun has no state in the map
                    ended = [index for index in range(self._count) if not given[index]]
                ready = [(row["index"], row) for row in self._pages(ended) if row["state"] in _OVER]
                for index, _ in ready:
                    given[index] = 1
                yield ready
                if over and not all(given):
                    raise WorkError(*self._stands_still())
                next(changes, None)

    def _pages(self, indexes: Sequence[int]) -> Iterator[Plain]:
        """Rows of these blocks: neighbours in one question."""
        wanted, at = set(indexes), 0
        while at < len(indexes):
            first, end = indexes[at], at + 1
            while end < len(indexes) and indexes[end] - first < PAGE_ROWS and indexes[end] - indexes[end - 1] < PROBE_ROWS:
                end += 1
            page = self.net.results(self.name, first - 1, indexes[end - 1] - first + 1)
            yield from (row for row in page if row["index"] in wanted)
            read = page[-1]["index"] if page else indexes[end - 1]
            while at < len(indexes) and indexes[at] <= read:
                at += 1


class Changes:
    """A job's statuses as they change, drawn as they come; ends with the job, or where it pauses itself."""

    def __init__(self, job: MapResult[Any], progress: Progress) -> None:
        self._job, self._progress = job, progress
        self._statuses: Iterator[Plain] | None = None
        self.over = False

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._job.interrupted(error)
        self._progress.close()
        self._job._seen_end |= self.over
        if self._statuses is not None:
            closing(self._statuses).__exit__()  # type: ignore[type-var]

    def __iter__(self) -> Iterator[Plain]:
        return self

    def __next__(self) -> Plain:
        if self.over:
            raise StopIteration
        if self._statuses is None:
            self._statuses = self._job.watch()
        status = next(self._statuses, None)
        if status is None:
            self.over = True
            raise StopIteration
        self._progress.update(status)
        self.over = status["state"] in ENDED or (status["state"] == "paused" and bool(status["reason"]))
        return status


def map_items(
    net: Net,
    function: Callable[..., T],
    items: Iterable[Any],
    *,
    shared: Mapping[str, Any] | None = None,
    star: bool | None = None,
    on_error: str = "raise",
    as_completed: bool = False,
    progress: bool | None = None,
    packages: Sequence[str] | None = None,
    pickled: str = "",
    **options: Any,
) -> MapResult[T]:
    """Net.map; see there."""
    if on_error not in ON_ERROR:
        raise LocalError(f"on_error is {on_error!r:.40}, and must be 'raise' or 'keep'.", "'keep' gives failed calls as exceptions among the results.")
    try:
        packed = pack(function, shared, packages, encoders(), wanted(pickled))
        sent = send(net, packed, items, options, star, on_error == "raise", packages is None)
    except KeyboardInterrupt as error:
        explain(error, "Interrupted while the job was being made: if it was sent already, net.jobs has it.")
        raise
    return MapResult(net, sent.job, sent.count, on_error, as_completed, progress, named(function), sent.notes, pickled)


def reattached(net: Net, name: str) -> MapResult[Any]:
    """A job submitted before, by its id, the beginning of that, or its name; failed calls are kept among the results."""
    status = net.job(os.fspath(name))
    ended = status["state"] in ENDED
    return MapResult(net, str(status["job"]), int(status["blocks"]), "keep", progress=False if ended else None, label=str(status["name"] or status["job"]))
