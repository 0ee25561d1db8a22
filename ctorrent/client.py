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
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from ctorrent.channel import Items, Wire, Wires
from ctorrent.door import NOTICE, Plain
from ctorrent.errors import CTorrentError, LocalError, Unavailable
from ctorrent.library.interrupt import explain
from ctorrent.library.job import ENDED, Job, decode_row, decode_value, encode_value, expected, failure_words, flat_row
from ctorrent.library.jobtext import JOB_FILE_BYTES_MAX, PROGRAM_SUFFIXES, read_job_file
from ctorrent.library.rows import Jobs, Offers, Peers

if TYPE_CHECKING:
    from ctorrent.library.executor import Executor
    from ctorrent.library.future import Future
    from ctorrent.library.mapping import MapResult
    from ctorrent.library.trio_net import AsyncNet

DATA_VARIABLE = "CTORRENT_DATA"
STARTING = "no node runs here: starting one for this program …"
T = TypeVar("T")
__all__ = [
    "DATA_VARIABLE", "ENDED", "JOB_FILE_BYTES_MAX", "NOTICE", "PROGRAM_SUFFIXES", "Job", "Net", "attach", "connect", "data_folder",
    "decode_row", "decode_value", "encode_value", "failure_words", "flat_row", "forget_notice", "read_job_file", "repair_notice",
]  # fmt: skip


def data_folder(data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """The folder that is meant: the argument, else $CTORRENT_DATA, else this user's own."""
    named = data_dir or os.environ.get(DATA_VARIABLE)
    if named:
        return pathlib.Path(named).expanduser().absolute()
    import platformdirs

    return pathlib.Path(platformdirs.user_data_dir("ctorrent"))


def repair_notice(folder: pathlib.Path) -> list[str]:
    """What a repair of the journal kept and lost, a sentence each, where no person was shown it yet."""
    try:
        return (folder / NOTICE).read_text("utf-8", "replace").splitlines()
    except OSError:  # there is none, nearly always
        return []


def forget_notice(folder: pathlib.Path) -> None:
    """A person has seen it."""
    (folder / NOTICE).unlink(missing_ok=True)


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

        folder = data_folder(data_dir)
        if "trio" in sys.modules:
            from ctorrent.library.trio_net import in_trio

            if in_trio():  # a start takes seconds, which are not the event loop's
                return Net(folder, start=lambda: start_node(folder, says=STARTING))
        return start_node(folder, says=STARTING)


_nets: list[weakref.ref[Net]] = []  # in the order in which they were made


def latest() -> Net | None:
    """The Net that was opened last, of those that are open."""
    found = (reference() for reference in reversed(_nets))
    return next((net for net in found if net is not None and not net.closed), None)


class Net:
    """A node, through its control channel. Methods may be called from several threads.

    on_close: called once at close(); an embedded node's end.
    """

    def __init__(self, folder: pathlib.Path, on_close: Callable[[], None] | None = None, start: Callable[[], Net] | None = None) -> None:
        self.folder = folder
        self.embedded = on_close is not None or start is not None
        self._on_close, self._start = on_close, start
        self._wires = Wires(folder)
        self._lock = threading.Lock()
        self._calls: Executor | None = None  # what submit() uses
        self._executors: list[Executor] = []
        self.closed = False
        self.interrupted: tuple[BaseException, str] | None = None  # by Ctrl-C, while this job was waited for
        _nets.append(weakref.ref(self, _nets.remove))

    def __repr__(self) -> str:
        return f"Net({os.fspath(self.folder)!r})"

    def __enter__(self) -> Net:
        self.begin()
        return self

    async def __aenter__(self) -> AsyncNet:
        from ctorrent.library.trio_net import entered

        return await entered(self)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        from ctorrent.library.trio_net import left

        await left(self, kind, error, trace)

    def begin(self) -> None:
        """Start the node of one's own that was put off, if there is one."""
        with self._lock:
            start, self._start = self._start, None
            if start is not None:
                self._on_close = start()._on_close

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for executor in self._executors if kind is not None else ():
            # Its node ends with it: kept, calls that nobody reads would begin again beside whatever the next program asks for.
            executor.abandon() if self.embedded else executor.shutdown(wait=False, cancel_futures=True)
        if isinstance(error, KeyboardInterrupt) and self.embedded and self.interrupted is not None and self.interrupted[0] is error:
            self._cancel_interrupted(error, self.interrupted[1])
        self.close()

    def _cancel_interrupted(self, error: KeyboardInterrupt, job: str) -> None:
        """Nobody is left to run it: kept, it would begin again by itself beside whatever the next program asks for."""
        with suppress(CTorrentError):
            self.cancel(job, "interrupted")
            explain(error, f"Interrupted. Job {job} is cancelled: its node ends with this program.")

    def close(self) -> None:
        """Wait for submitted calls, leave the node, and end it if it is our own. Twice is once."""
        self._wait_for_calls()
        self._executors = []
        self.closed = True
        with self._lock:
            on_close, self._on_close = self._on_close, None
        self._wires.close()
        if on_close is not None:
            on_close()

    def _wait_for_calls(self) -> None:
        for executor in self._executors:
            if not executor.closing:
                executor.shutdown()

    def ping(self) -> None:
        """Raises Unavailable unless the node accepts connections."""
        self._wires.give(self._take())

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def run(self, path: str | os.PathLike[str], *, progress: bool | None = None, **options: Any) -> Job:
        """Submit a job file and wait for its end, with a progress bar. A job that pauses itself is returned as it stands: see status()."""
        job = self.start(path, **options)
        job.wait(progress)
        return job

    def start(self, path: str | os.PathLike[str], rehearse: bool = False, **options: Any) -> Job:
        """Submit a job file and come back at once. options override its fields: replicas=1, ring="public" …

        rehearse: run its smallest block on the node's own machine first. Raises WorkError with what the program said.
        """
        text = read_job_file(pathlib.Path(path).expanduser().absolute())
        if rehearse:
            options = {**options, "expected": expected(self.rehearse(path, text, options))}
        return self.attach(self.submit(path, text, options))

    def map(
        self, function: Callable[..., T], items: Iterable[Any], *, shared: Mapping[str, Any] | None = None, star: bool | None = None,
        on_error: Literal["raise", "keep"] = "raise", as_completed: bool = False, progress: bool | None = None, packages: Sequence[str] | None = None,
        pickled: Literal["", "own"] = "", **options: Any,
    ) -> MapResult[T]:  # fmt: skip
        """One call of a function for each item, wherever there is room. Comes back at once; results come as calls end.

            df = net.map(simulate, [{"beta": 0.3, "n": 100}, {"beta": 0.4, "n": 100}]).table()

        items: a dict whose keys are names of the function's parameters is spread over them, a tuple where it requires
        two or more; anything else is its one argument (star=True spreads, star=False never does). shared: name ->
        a value for every call, sent once to each worker. on_error: "keep" gives failed calls as exceptions among the
        results. progress: False for no bar, True for one in a pipe too. packages: instead of those found by what the
        function imports. A parameter `seed` that nobody gives gets a seed of each call's own.

        Results are data. pickled="own": what is none (a fitted model, say) comes back as a pickle. Such a job runs on
        machines of your own alone, once each call, and a pickle from any other machine is not opened: it could run
        anything here.

        options: fields of a job file (docs/jobfile.md): replicas=1, ring="public", price=0.5 (credits per reference
        core-hour), needs={"memory": "4 GB"}, limits={"seconds": 3600}, assurance="economy", seed=7, name="sweep" …
        Without `replicas`, each call runs on two owners' machines that must agree; once where nobody else is known.

        Raises, before anything is sent: LocalError (what cannot travel, and what to do), Unavailable (no machine has
        this minor version of Python). When read: CallFailed, and the built-in type that it was.
        """
        from ctorrent.library.mapping import map_items

        return map_items(
            self, function, items, shared=shared, star=star, on_error=on_error, as_completed=as_completed, progress=progress, packages=packages,
            pickled=pickled, **options,
        )

    def attach(self, job: str) -> Job:
        """A job submitted before, by its id, the beginning of that, or its name."""
        return Job(self, str(self.job(job)["job"]))

    @overload
    def submit(self, what: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future: ...
    @overload
    def submit(self, path: str | os.PathLike[str], /, text: str | None = None, options: Plain | None = None) -> str: ...
    def submit(self, what: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Of a function: call what(*args, **kwargs) somewhere -> its Future (library.future); leaving the Net waits for it.

        Of a job file's path: -> the job's eight characters. text: of the file, when it is not what the path holds.
        """
        if not callable(what):
            return self._submit(what, *args, **kwargs)
        with self._lock:
            calls = self._calls
        if calls is None or calls.closing:
            calls = self._calls = self.executor()
        return calls.submit(what, *args, **kwargs)

    def _submit(self, path: str | os.PathLike[str], text: str | None = None, options: Plain | None = None) -> str:
        full = pathlib.Path(path).expanduser().absolute()
        return str(self._call("submit", os.fspath(full), read_job_file(full) if text is None else text, options or {}))

    def executor(self, max_workers: int | None = None, **options: Any) -> Executor:
        """A concurrent.futures.Executor on this node, which ends with the Net: library.executor.Executor."""
        from ctorrent.library.executor import Executor

        return Executor(max_workers, net=self, **options)

    def _ends(self, executor: Executor) -> None:
        """One that uses this net is shut down before it closes: afterwards nothing could end its calls."""
        self._executors = [*(each for each in self._executors if not each.closing), executor]

    def append(self, job: str, params: list[bytes], inputs: list[Any] | None = None, first: int = -1) -> int:
        """Blocks for a job submitted open, from their canonical parameters. -> the index of the first: door.Door.append."""
        return int(self._call("append", job, params, inputs or [], first))

    def seal(self, job: str) -> None:
        """No more blocks will be appended to it."""
        self._call("seal", job)

    def outcomes(self, job: str) -> Iterator[Plain]:
        """Items with rows of blocks as they end, until the job does: door.Door.outcomes. Values are canonical bytes."""
        return self._stream("outcomes", job)

    def rehearse(self, path: str | os.PathLike[str], text: str | None = None, options: Plain | None = None) -> Plain:
        """Run the smallest block on the node's own machine, and say what the job will take: status.Rehearsal."""
        full = pathlib.Path(path).expanduser().absolute()
        return self._map("rehearse", os.fspath(full), read_job_file(full) if text is None else text, options or {})

    @property
    def jobs(self) -> Jobs:
        """Jobs of this node: net.jobs() are status maps, newest first; net.jobs["k3f9"] is one, to wait for and to read."""
        return Jobs(self)

    def job(self, job: str) -> Plain:
        """One job, by its id, the beginning of that, or its name: status.JobStatus. Raises LocalError: there is none, or several."""
        return self._map("job", job)

    def watch(self, job: str) -> Iterator[Plain]:
        """Status maps as they change, until the job ends."""
        return self._stream("watch", job)

    def results(self, job: str, after: int = -1, limit: int = 1000) -> list[Plain]:
        """A page of rows; possibly fewer than `limit` where they are large. Empty: there are no more."""
        return self._rows("results", job, after, limit)

    def answer(self, job: str) -> Plain:
        """The reduced answer: {"ready", "state"} with "value" (canonical bytes) and "reduce", or with "why" there is none yet."""
        return self._map("answer", job)

    def timeline(self, job: str) -> Plain:
        """Who computed what when: status.Timeline."""
        return self._map("timeline", job)

    def logs(self, job: str, follow: bool = False) -> Iterator[Plain]:
        """{"index", "worker", "text"} of what blocks print. follow: until the job ends, as they print it."""
        return self._stream("logs", job, follow)

    def receipt(self, job: str, with_data: bool = False) -> Iterator[bytes]:
        """The receipt file of a job that has ended, piece by piece: docs/receipts.md."""
        return (item["bytes"] for item in self._stream("receipt", job, with_data))

    def why(self, job: str) -> Plain:
        """Who saw it, who did not take it and for which reasons, and what it waits for: status.WhyReport."""
        return self._map("why", job)

    def cancel(self, job: str, reason: str = "") -> None:
        """End a job: what runs of it is given back, what has ended stays. Raises LocalError where it has ended."""
        self._call("cancel", job, reason)

    def pause(self, job: str) -> None:
        """Give none of its blocks out until resume(); those that run go on. Raises LocalError where it has ended."""
        self._call("pause", job)

    def resume(self, job: str) -> None:
        """Go on with a job that was paused, or paused itself. Raises LocalError where it has ended."""
        self._call("resume", job)

    # -- the node and its neighbours ----------------------------------------------------------------------------------

    def status(self) -> Plain:
        """This node: status.NodeStatus."""
        return self._map("status")

    @property
    def peers(self) -> Peers:
        """Other machines: net.peers() are rows, net.peers["alice"] is one, net.peers.table() all."""
        return Peers(self)

    def connect(self, address: str) -> Plain:
        """Join another node by its multiaddr or an invite: {"node", "name", "owner"}. Raises Unavailable."""
        return self._map("connect", address)

    def invite(self, uses: int = 1, valid_s: int = 7 * 86400) -> str:
        """A line of text that lets 1 to 1000 others join this owner's swarm as friends, within a minute to a year."""
        return str(self._call("invite", uses, valid_s))

    def friends(self) -> list[Plain]:
        """Owners who are friends, or ask to be: status.FriendRow."""
        return self._rows("friends")

    def friend_add(self, who: str) -> Plain:
        """Make an owner a friend, by its id or name, or a node's: {"owner", "name", "told"}; told: how many of its nodes heard."""
        return self._map("friend_add", who)

    def friend_remove(self, who: str) -> None:
        """Forget a friend; what runs goes on to its end. Raises LocalError where it is none."""
        self._call("friend_remove", who)

    def ledger(self, after: int = 0, limit: int = 1000) -> list[Plain]:
        """A page of the entries held, by author and number: status.LedgerRow. after: how many to pass over. Empty: no more."""
        return self._rows("ledger", after, limit)

    def ledger_verify(self) -> Plain:
        """Check every signature and link: {"entries", "authors", "cut", "bad", "forks", "lies"}, the last three lists."""
        return self._map("ledger_verify")

    def ledger_export(self, ring: str = "", author: str = "") -> Iterator[bytes]:
        """A file of signed entries, piece by piece: all, or those of one ring or author. docs/ledger.md says its form."""
        return (item["bytes"] for item in self._stream("ledger_export", ring, author))

    def ledger_import(self, entries: list[bytes]) -> Plain:
        """Entries of such a file, at most 256 at once: how many were new, known, refused …"""
        return self._map("ledger_import", entries)

    def reputation(self, who: str = "") -> list[Plain]:
        """What verdicts say of nodes: status.ReputationRow; of one, by its name or the beginning of its id."""
        return self._rows("reputation", who)

    def credit(self, who: str = "") -> list[Plain]:
        """Accounts with other persons; of one, with its receipts."""
        return self._rows("credit", who)

    def hardware(self, measure: bool = False) -> Plain:
        """This machine, as model.offer.Hardware. measure: run the benchmark first, which takes seconds."""
        return self._map("hardware", measure)

    def environments(self) -> list[Plain]:
        """Those here: [{"name", "python", "arch", "image", "packages": {name: version}, "programs", "fingerprint"} …]."""
        return self._rows("environments")

    def environment_add(self, name: str, packages: list[str]) -> Plain:
        """Install packages into a new environment, which may take minutes. -> its row. Raises NoSuchPackage, LocalError."""
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

    # -- what changes while somebody looks: shapes in model/live.py -----------------------------------------------------

    def events(self) -> Iterator[Plain]:
        """What changes in the node, as it does: live.Event. Leaving the loop ends it."""
        return self._stream("events")

    def blocks(self, job: str, since: int = -1) -> Plain:
        """Which block is where: live.BlockMap; since: the version of the last answer."""
        return self._map("blocks", job, since)

    @property
    def offers(self) -> Offers:
        """What machines lend, this one's own first: live.OfferRow."""
        return Offers(self)

    def machine(self) -> Plain:
        """This machine now and in the last five minutes: live.MachineNow."""
        return self._map("machine")

    def share(self, on: bool) -> Plain:
        """Lend this machine or not, from now on. Off: it is free within two seconds."""
        return self._map("share", on)

    def pool(self) -> Plain:
        """This machine and the connected peers that would work for its person, added up: live.Pool."""
        return self._map("pool")

    def retry(self, job: str) -> str:
        """The same job once more, as a new one. -> its name."""
        return str(self._call("retry", job))

    def blob(self, path: str | os.PathLike[str], name: str = "") -> str:
        """Keep a file in the node's store, streamed, whatever its size. -> its hash, by which jobs name it."""
        return str(self.blob_add(path, name)["hash"])

    def blob_add(self, path: str | os.PathLike[str], name: str = "") -> Plain:
        """Keep a file in the node's store until blob_remove: {"hash", "bytes", "name", "added_unix"}."""
        return self._map("blob_add", os.fspath(pathlib.Path(path).expanduser().absolute()), name)

    def blobs(self) -> list[Plain]:
        """What blob_add brought, newest first: live.BlobRow."""
        return self._rows("blobs")

    def blob_remove(self, which: str) -> Plain:
        """Keep it no longer, by name or hash (or its beginning). -> the row that was. Raises LocalError: none, or several."""
        return self._map("blob_remove", which)

    def blob_find(self, which: str) -> Plain:
        """Its row, found so, with "path": where its bytes lie, for reading only."""
        return self._map("blob_find", which)

    def metrics(self) -> Plain:
        """Numbers for a monitor: live.Metrics."""
        return self._map("metrics")

    # -- the channel --------------------------------------------------------------------------------------------------

    def _rows(self, method: str, *args: Any) -> list[Plain]:
        return list(self._call(method, *args))

    def _map(self, method: str, *args: Any) -> Plain:
        return dict(self._call(method, *args) or {})

    def _call(self, method: str, *args: Any) -> Any:
        self._ready()
        return self._wires.ask(method, args)

    def _stream(self, method: str, *args: Any) -> Iterator[Plain]:
        """Items; leaving the loop early closes the connection, which ends the request."""
        return Items(self._take, method, args)

    def _take(self) -> Wire:
        self._ready()
        return self._wires.take()

    def _ready(self) -> None:
        if self.closed:
            raise LocalError("This net is closed.", "What uses it belongs into its `with` block; ctorrent.connect() makes another.")
        if self._start is not None:
            self.begin()


def _forked() -> None:
    """In the child: connections, calls under way and a node of one's own are its parent's, who uses them."""
    for net in filter(None, (reference() for reference in _nets)):
        for wire in net._wires._idle:  # without its lock: a thread that is not here may hold it
            wire.close()
        net._wires, net._lock, net._on_close, net._calls, net._executors = Wires(net.folder), threading.Lock(), None, None, []


getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_forked)  # on Windows nothing forks
