"""One job of a node, and its rows as Python values. Standard library only, until a table is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ctorrent import canon
from ctorrent.door import Plain
from ctorrent.errors import WorkError
from ctorrent.library.interrupt import explain
from ctorrent.library.progress import Progress

if TYPE_CHECKING:
    from ctorrent.client import Net

ENDED = frozenset({"settled", "failed", "cancelled"})


class Job:
    """One job. Values are decoded: numbers, text, bytes, lists, dicts, numpy arrays."""

    def __init__(self, net: Net, name: str) -> None:
        self.net, self.name = net, name

    def __repr__(self) -> str:
        return f"Job({self.name!r})"

    def status(self) -> Plain:
        """How it stands now: status.JobStatus."""
        return self.net.job(self.name)

    def watch(self) -> Iterator[Plain]:
        """Statuses as they change, at least once a second, until it ends."""
        return self.net.watch(self.name)

    def wait(self, progress: bool | None = None) -> Plain:
        """Block until the job ended, or paused itself with a reason. -> its status. progress: a bar; None: as fits where it is."""
        for _ in self.changes(progress):
            pass
        return self.status()

    def changes(self, progress: bool | None = None) -> Iterator[list[Plain]]:
        """The job's status as it changes, each in a list of its own, for as long as wait() waits; draws the progress."""
        try:
            with closing(Progress(str(self.status()["name"] or self.name), progress)) as bar, closing(self.watch()) as changes:  # type: ignore[type-var]
                for status in changes:
                    bar.update(status)
                    yield [status]
                    if status["state"] in ENDED or (status["state"] == "paused" and status["reason"]):
                        break
        except KeyboardInterrupt as error:
            self.interrupted(error)
            raise

    def interrupted(self, error: KeyboardInterrupt) -> None:
        """Ctrl-C while it was waited for: the job goes on, unless its node ends with the program (Net.__exit__)."""
        self.net.interrupted = error, self.name
        explain(error, f"Interrupted. Job {self.name} goes on: net.jobs[{self.name!r}] gives it back, net.cancel({self.name!r}) ends it.")

    def rows(self) -> Iterator[Plain]:
        """Every block so far, in index order: params and value decoded. A running job's too."""
        after = -1
        while page := self.net.results(self.name, after):
            for row in page:
                yield decode_row(row)
            after = page[-1]["index"]

    def answer(self) -> Any:
        """The reduced answer. Raises WorkError with the reason while there is none."""
        found = self.net.answer(self.name)
        if found.get("value") is not None:
            return decode_value(found["value"])
        why = str(found.get("why") or found.get("reason") or f"Job {self.name} has no answer yet").rstrip(".")
        raise WorkError(f"{why}.", f"See: ctorrent logs {self.name}")

    def table(self) -> Any:
        """Columns of all rows: index, state, every parameter, and the value's fields (or "value").

        A pandas DataFrame where pandas is installed, else a dict of columns (lists). Of a running job, what there is.
        """
        from ctorrent.library.table import columns, frame

        rows = [flat_row(row) for row in self.rows()]
        return frame((list(range(len(rows))), columns(rows)))

    def why(self) -> Plain:
        """Who saw it, who did not take it and for which reasons, and what it waits for: status.WhyReport."""
        return self.net.why(self.name)

    def logs(self, follow: bool = False) -> Iterator[Plain]:
        """{"index", "worker", "text"} of what blocks print. follow: until it ends, as they print it."""
        return self.net.logs(self.name, follow)

    def cancel(self, reason: str = "") -> None:
        """End it: what runs of it is given back, what has ended stays. Raises LocalError where it has ended."""
        self.net.cancel(self.name, reason)


def state_words(status: Plain) -> str:
    """A job's state for people. One that ran all its blocks, and keeps what some of them raised, is done: "done, 3 failed"."""
    bad = [f"{status[word]} {word}" for word in ("failed", "disputed") if status[word]]
    done = status["settled"] and status["settled"] + status["failed"] + status["disputed"] == status["blocks"]
    return ", ".join(("done", *bad)) if status["state"] == "failed" and done and bad else str(status["state"])


def encode_value(value: Any) -> bytes:
    """The canonical bytes of a value, one for each: docs/canonical.md. Raises canon.CanonError, naming what has none."""
    return canon.encode(value)


def decode_value(raw: bytes) -> Any:
    """Canonical bytes as a Python value; arrays as numpy's where numpy is installed."""
    try:
        return canon.decode(raw, arrays="numpy")
    except ImportError:
        return canon.decode(raw)


def decode_row(row: Plain) -> Plain:
    """A status.BlockRow with its params and value decoded."""
    row = {**row, "params": decode_value(row["params"]) if row.get("params") else {}}
    if row.get("value") is not None:
        row["value"] = decode_value(row["value"])
    return row


def flat_row(row: Plain) -> Plain:
    """One level of columns. A value's field that is named as a parameter becomes "result.NAME"."""
    flat = {"index": row["index"], "state": row["state"], **row["params"]}
    value = row.get("value")
    if isinstance(value, dict):
        for key, inner in _leaves(value):
            flat[f"result.{key}" if key in flat else key] = inner
    elif value is not None:
        flat["result.value" if "value" in flat else "value"] = value
    if row.get("failure"):
        flat["error"] = failure_words(row["failure"])
    return flat


def failure_words(failure: Plain) -> str:
    """A failure in one line: the last one of its traceback, such as "ValueError: seven"."""
    lines = str(failure.get("text", "")).strip().splitlines()
    return lines[-1].strip() if lines else " ".join(str(failure.get(part, "")) for part in ("kind", "type")).strip()


def expected(found: Plain) -> Plain:
    """What a submission may expect. Raises WorkError where the block failed."""
    if found["state"] == "failed":
        failure = found["failure"]
        raise WorkError(f"The rehearsal failed: {failure_words(failure).rstrip('.')}.", "\n".join(filter(None, (failure["text"].rstrip(), found["hint"]))))
    cost = found["cost"]
    known = found["state"] == "ran"
    return {"block_s": found["block_s"], "start_s": found["start_s"], "job_s": cost["seconds"] if cost else 0.0, "lax": found["lax"]} if known else {}


def _leaves(value: Plain, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner and all(isinstance(name, str) for name in inner):
            yield from _leaves(inner, f"{prefix}{key}.")
        else:
            yield prefix + key, inner
