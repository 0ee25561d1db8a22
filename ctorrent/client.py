"""The library: a running node's Door, for programs that are not asynchronous.

    with ctorrent.connect() as net:
        job = net.run("job.yaml")
        print(job.answer(), job.table())

Standard library and this package's words only: a script that imports it never loads libp2p. `Net` has every method of
the Door under its own name; `Job` is one job of it. What a node answers as an error is raised as that error.
"""

from __future__ import annotations

import os
import pathlib
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from types import TracebackType
from typing import Any

from ctorrent import canon
from ctorrent.channel import Wire, dial
from ctorrent.door import Plain
from ctorrent.errors import CTorrentError, LocalError, Unavailable, WorkError

DATA_VARIABLE = "CTORRENT_DATA"
JOB_FILE_BYTES_MAX = 4 << 20  # a million characters, of four bytes at most; the planner takes no more
PROGRAM_SUFFIXES = (".py", ".ipynb", ".sh", ".r", ".jl")
_BEGIN = "ctorrent init writes a folder with one that runs."
ENDED = frozenset({"settled", "failed", "cancelled"})


def data_folder(data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """The folder that is meant: the argument, else $CTORRENT_DATA, else this user's own."""
    named = data_dir or os.environ.get(DATA_VARIABLE)
    if named:
        return pathlib.Path(named).expanduser().absolute()
    import platformdirs

    return pathlib.Path(platformdirs.user_data_dir("ctorrent"))


def attach(data_dir: str | os.PathLike[str] | None = None) -> Net:
    """The node that runs with this data folder. Raises Unavailable when none does."""
    folder = data_folder(data_dir)
    net = Net(folder)
    net.ping()
    return net


def connect(data_dir: str | os.PathLike[str] | None = None) -> Net:
    """The node that runs with this data folder, else one of our own that ends with the Net."""
    try:
        return attach(data_dir)
    except Unavailable:
        from ctorrent.embedded import start_node

        return start_node(data_folder(data_dir))


class Net:
    """A node, through its control channel. Methods may be called from several threads.

    on_close: called once at close(); an embedded node's end.
    """

    def __init__(self, folder: pathlib.Path, on_close: Callable[[], None] | None = None) -> None:
        self.folder = folder
        self.embedded = on_close is not None
        self._on_close = on_close
        self._idle: list[Wire] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Net({os.fspath(self.folder)!r})"

    def __enter__(self) -> Net:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave the node; end it if it is our own. Twice is once."""
        with self._lock:
            wires, self._idle = self._idle, []
            on_close, self._on_close = self._on_close, None
        for wire in wires:
            wire.close()
        if on_close is not None:
            on_close()

    def ping(self) -> None:
        """Raises Unavailable unless the node accepts connections."""
        self._give(self._take())

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def run(self, path: str | os.PathLike[str], **options: Any) -> Job:
        """Submit a job file and wait for its end. A job that pauses itself is returned as it stands: see status()."""
        job = self.start(path, **options)
        job.wait()
        return job

    def start(self, path: str | os.PathLike[str], rehearse: bool = False, **options: Any) -> Job:
        """Submit a job file and come back at once. options override its fields: replicas=1, ring="public" …

        rehearse: run its smallest block on the node's own machine first. Raises WorkError with what the program said.
        """
        text = read_job_file(pathlib.Path(path).expanduser().absolute())
        if rehearse:
            options = {**options, "expected": _rehearsed(self.rehearse(path, text, options))}
        return self.attach(self.submit(path, text, options))

    def attach(self, job: str) -> Job:
        """A job submitted before, by its id, the beginning of that, or its name."""
        return Job(self, str(self.job(job)["job"]))

    def submit(self, path: str | os.PathLike[str], text: str | None = None, options: Plain | None = None) -> str:
        """-> the job's eight characters. text: of the job file, when it is not what `path` holds."""
        full = pathlib.Path(path).expanduser().absolute()
        return str(self._call("submit", os.fspath(full), read_job_file(full) if text is None else text, options or {}))

    def rehearse(self, path: str | os.PathLike[str], text: str | None = None, options: Plain | None = None) -> Plain:
        """Run the smallest block on the node's own machine, and say what the job will take: status.Rehearsal."""
        full = pathlib.Path(path).expanduser().absolute()
        return self._map("rehearse", os.fspath(full), read_job_file(full) if text is None else text, options or {})

    def jobs(self) -> list[Plain]:
        return self._rows("jobs")

    def job(self, job: str) -> Plain:
        return self._map("job", job)

    def watch(self, job: str) -> Iterator[Plain]:
        """Status maps as they change, until the job ends."""
        return self._stream("watch", job)

    def results(self, job: str, after: int = -1, limit: int = 1000) -> list[Plain]:
        """A page of rows; possibly fewer than `limit` where they are large. Empty: there are no more."""
        return self._rows("results", job, after, limit)

    def answer(self, job: str) -> Plain:
        return self._map("answer", job)

    def timeline(self, job: str) -> Plain:
        """Who computed what when: status.Timeline."""
        return self._map("timeline", job)

    def logs(self, job: str, follow: bool = False) -> Iterator[Plain]:
        return self._stream("logs", job, follow)

    def why(self, job: str) -> Plain:
        return self._map("why", job)

    def cancel(self, job: str, reason: str = "") -> None:
        self._call("cancel", job, reason)

    def pause(self, job: str) -> None:
        self._call("pause", job)

    def resume(self, job: str) -> None:
        self._call("resume", job)

    # -- the node and its neighbours ----------------------------------------------------------------------------------

    def status(self) -> Plain:
        return self._map("status")

    def peers(self) -> list[Plain]:
        return self._rows("peers")

    def connect(self, address: str) -> Plain:
        return self._map("connect", address)

    def invite(self, uses: int = 1, valid_s: int = 7 * 86400) -> str:
        return str(self._call("invite", uses, valid_s))

    def friends(self) -> list[Plain]:
        return self._rows("friends")

    def friend_add(self, who: str) -> Plain:
        return self._map("friend_add", who)

    def friend_remove(self, who: str) -> None:
        self._call("friend_remove", who)

    def ledger(self, after: int = 0, limit: int = 1000) -> list[Plain]:
        return self._rows("ledger", after, limit)

    def ledger_verify(self) -> Plain:
        return self._map("ledger_verify")

    def reputation(self, who: str = "") -> list[Plain]:
        return self._rows("reputation", who)

    def hardware(self, measure: bool = False) -> Plain:
        return self._map("hardware", measure)

    def environments(self) -> list[Plain]:
        return self._rows("environments")

    def environment_add(self, name: str, packages: list[str]) -> Plain:
        return self._map("environment_add", name, packages)

    def gc(self, dry_run: bool = False) -> list[Plain]:
        """Remove, or only count, what nothing needs."""
        return self._rows("gc", dry_run)

    def drain(self) -> Plain:
        """End the node when what it runs has ended, as door.Door.drain() says; again: how far that is."""
        return self._map("drain")

    def stop(self) -> None:
        """End the node now."""
        with suppress(Unavailable):  # it may be gone before its answer is
            self._call("stop")

    # -- the channel --------------------------------------------------------------------------------------------------

    def _rows(self, method: str, *args: Any) -> list[Plain]:
        return list(self._call(method, *args))

    def _map(self, method: str, *args: Any) -> Plain:
        return dict(self._call(method, *args) or {})

    def _call(self, method: str, *args: Any) -> Any:
        wire = self._take()
        try:
            wire.ask(method, args)
            answer = wire.receive()
        except CTorrentError:
            self._give(wire)
            raise
        except BaseException:  # such as Ctrl-C: the answer is still to come, so this connection is of no more use
            wire.close()
            raise
        self._give(wire)
        return answer.get("result")

    def _stream(self, method: str, *args: Any) -> Iterator[Plain]:
        """Items; leaving the loop early closes the connection, which ends the request."""
        wire = self._take()
        with closing(wire):
            wire.ask(method, args)
            while "item" in (answer := wire.receive()):
                yield answer["item"]

    def _take(self) -> Wire:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Wire(dial(self.folder))

    def _give(self, wire: Wire) -> None:
        with self._lock:
            if not wire.broken:
                self._idle.append(wire)


class Job:
    """One job. Values are decoded: numbers, text, bytes, lists, dicts, numpy arrays."""

    def __init__(self, net: Net, name: str) -> None:
        self.net, self.name = net, name

    def __repr__(self) -> str:
        return f"Job({self.name!r})"

    def status(self) -> Plain:
        return self.net.job(self.name)

    def watch(self) -> Iterator[Plain]:
        return self.net.watch(self.name)

    def wait(self) -> Plain:
        """Block until the job ended, or paused itself with a reason. -> its status."""
        with closing(self.watch()) as changes:  # type: ignore[type-var]
            for status in changes:
                if status["state"] in ENDED or (status["state"] == "paused" and status["reason"]):
                    break
        return self.status()

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

    def table(self) -> dict[str, list[Any]]:
        """Columns of all rows: index, state, every parameter, and the value's fields (or "value")."""
        rows = [flat_row(row) for row in self.rows()]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}

    def why(self) -> Plain:
        return self.net.why(self.name)

    def logs(self, follow: bool = False) -> Iterator[Plain]:
        return self.net.logs(self.name, follow)

    def cancel(self, reason: str = "") -> None:
        self.net.cancel(self.name, reason)


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


def _leaves(value: Plain, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, f"{prefix}{key}.")
        else:
            yield prefix + key, inner


def _rehearsed(found: Plain) -> Plain:
    """What a submission may expect. Raises WorkError where the block failed."""
    if found["state"] == "failed":
        failure = found["failure"]
        raise WorkError(f"The rehearsal failed: {failure_words(failure).rstrip('.')}.", "\n".join(filter(None, (failure["text"].rstrip(), found["hint"]))))
    cost = found["cost"]
    known = found["state"] == "ran"
    return {"block_s": found["block_s"], "start_s": found["start_s"], "job_s": cost["seconds"] if cost else 0.0} if known else {}


def read_job_file(path: pathlib.Path) -> str:
    """A job file's text. Raises LocalError that says what else the path is, and what to give instead."""
    if path.is_dir():
        raise _is_folder(path)
    if path.suffix.lower() in PROGRAM_SUFFIXES:
        raise LocalError(f"{path} is a program, not a job file.", f'A job file names it: {{python: "{path.name}:FUNCTION", blocks: {{count: 10}}}}. {_BEGIN}')
    if not path.is_file():
        near = [f"{each}" for each in sorted(path.parent.glob("*.y*ml"))[:3]] if path.parent.is_dir() else []
        raise LocalError(f"There is no job file {path}.", f"There is {', '.join(near)}." if near else _BEGIN)
    try:
        if path.stat().st_size > JOB_FILE_BYTES_MAX:
            raise LocalError(f"{path} has more than {JOB_FILE_BYTES_MAX >> 20} MB: a job file is a page of text.", "Data belongs into files beside it: blocks: {files: …} or {split: …}.")
        data = path.read_bytes()
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror}.", "Give the path of a job file.") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = "is UTF-16 text" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "is not UTF-8 text"
        raise LocalError(f"{path}:{line}: {what}.", "Save it as UTF-8; a job file is YAML text.") from None


def _is_folder(path: pathlib.Path) -> LocalError:
    inside = path / "job.yaml"
    if inside.is_file():
        return LocalError(f"{path} is a folder.", f"Its job file is {inside}: ctorrent submit {inside}")
    return LocalError(f"{path} is a folder without a job.yaml.", f"Give the path of a job file. {_BEGIN}")
