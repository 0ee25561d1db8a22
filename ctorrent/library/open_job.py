"""One open job of one function: calls become its blocks, and futures get what becomes of them.

    hand(calls) ─▶ the job begins with the first, later ones are appended ─▶ blocks
    a thread follows the job's outcomes ─▶ each call's future is resolved

A node that ends and comes back finds the job in its journal: what was handed over is not handed over twice.
"""

from __future__ import annotations

import pathlib
import pickle
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ctorrent.errors import CTorrentError, JobClosed, LocalError, Unavailable
from ctorrent.library.failures import CallFailed, failure_of
from ctorrent.library.function import Packed
from ctorrent.library.future import Future
from ctorrent.library.inside import BUFFER
from ctorrent.library.pickles import Own
from ctorrent.library.sending import begin
from ctorrent.model.call_record import PAYLOAD_NAME, call_record

if TYPE_CHECKING:
    from ctorrent.client import Net

Plain = dict[str, Any]
BACK_S = 60.0  # a node that ended is waited for: a restart takes seconds, a busy machine's tens of them
LOOK_S = 0.5  # how often it is looked for meanwhile
BLOCKS_MAX = 4096  # of one append, as the node takes them
BYTES_MAX = 4 << 20  # of their parameters, about: half of what the node takes


@dataclass(frozen=True, slots=True)
class Call:
    """One call that waits to be handed over.

    payload: a file of arguments too large for parameters; None: there is none. arrays: files of its large arrays, which
    other calls may have as well; leave: told that this one needs them no more.
    """

    future: Future
    params: bytes
    payload: pathlib.Path | None = None
    arrays: tuple[pathlib.Path, ...] = ()
    leave: Callable[[Sequence[pathlib.Path]], None] | None = None

    def forget(self) -> None:
        """Its arguments are the node's now."""
        if self.payload is not None:
            self.payload.unlink(missing_ok=True)
        if self.leave is not None:
            self.leave(self.arrays)

    @property
    def inputs(self) -> list[list[str]]:
        """As a block names them: [[name, path], …]."""
        named = {PAYLOAD_NAME: self.payload} if self.payload else {}
        return [[name, str(path)] for name, path in (*named.items(), *((f"{BUFFER}{at}", path) for at, path in enumerate(self.arrays)))]

    def whole(self) -> bytes:
        """All in one payload, for the record of a job that begins."""
        data = self.payload.read_bytes() if self.payload else b""
        return pickle.dumps({"pickle": data, "arrays": [path.read_bytes() for path in self.arrays]}, protocol=5) if self.arrays else data


class OpenJob:
    """Calls of one function, on one job after another where one is full.

    ended: called with how many calls were resolved. hand() and seal() are for one thread.
    """

    def __init__(self, net: Net, packed: Packed, options: Mapping[str, Any], ended: Callable[[int], None]) -> None:
        self.net, self.packed, self.options = net, packed, options
        self.notes: tuple[str, ...] = ()
        self.used_at = 0.0
        self._ended = ended
        self._lives: list[_Life] = []

    @property
    def names(self) -> list[str]:
        """Of its jobs that have not ended."""
        return [life.name for life in self._lives]

    @property
    def threads(self) -> list[threading.Thread]:
        """Those that resolve futures, and call what waits for them."""
        return [life.thread for life in self._lives]

    @property
    def idle(self) -> bool:
        """Is none of its calls under way?"""
        return not any(life.futures for life in self._lives)

    def hand(self, calls: Sequence[Call]) -> float:
        """Make them blocks. -> seconds to wait before more are worth a piece of their own. What fails fails the futures."""
        self.used_at = time.monotonic()
        pause = 0.0
        for some in _pieces(calls):
            try:
                pause = self._hand(some)
            except (CTorrentError, OSError, MemoryError) as error:  # no room on the disk, or in memory: the next may be smaller
                left = [call for call in some if not self._has(call)]
                _fail(left, error)
                self._ended(len(left))
            finally:
                for call in some:
                    call.forget()
        return pause

    def _has(self, call: Call) -> bool:
        """Is it a block already, or was it?"""
        return call.future.done() or any(life.futures.get(call.future.index) is call.future for life in self._lives)

    def _hand(self, calls: Sequence[Call]) -> float:
        life = self._lives[-1] if self._lives else None
        if life is not None:
            try:
                return life.append(calls)
            except JobClosed:  # it is full, or was sealed by somebody: the next one takes them
                life.seal()
        self._lives = [each for each in self._lives if each.thread.is_alive()]
        first = 1 if any(call.arrays for call in calls) else len(calls)  # the record of a first call has its arrays in it
        self._lives.append(_Life(self, calls[:first], self._ended))
        return self._lives[-1].append(calls[first:]) if calls[first:] else self._lives[-1].pause

    def seal(self) -> None:
        """No more calls come."""
        for life in self._lives:
            life.seal()

    def cancel(self) -> None:
        """Nobody waits for its calls any more."""
        for life in self._lives:
            life.cancel()

    def join(self) -> None:
        """Wait until every future is resolved."""
        for life in self._lives:
            life.thread.join()


class _Life:
    """One job. Its thread ends with it."""

    def __init__(self, owner: OpenJob, calls: Sequence[Call], ended: Callable[[int], None]) -> None:
        self._net, self._count, self._ended = owner.net, 0, ended
        self._links, self._open = 1, True
        self.futures: dict[int, Future] = {}
        self._over: CTorrentError | None = None  # why nothing more comes of it
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._follow, name="ctorrent futures", daemon=True)
        records = (call_record(call.params, call.whole()) for call in calls)
        sent = begin(owner.net, owner.packed, records, owner.options)
        self.name, owner.notes = sent.job, sent.notes
        self._own, self._pickles = Own(owner.net, sent.job), owner.packed.pickles
        self._register(calls)
        self._count = len(calls)
        self.thread.start()

    @property
    def pause(self) -> float:
        """A job takes 200 appends: the more it had, the more calls each of them carries."""
        return float(0.002 * 1.02**self._links)

    def append(self, calls: Sequence[Call]) -> float:
        if not self._open:
            raise JobClosed(f"Job {self.name} was sealed.")
        self._register(calls)  # before the node hears of them: one may end before its answer is here
        params = [call.params for call in calls]
        inputs = [call.inputs for call in calls]
        try:
            _patiently(lambda: self._net.append(self.name, params, inputs if any(inputs) else [], self._count))
        except CTorrentError:
            with self._lock:
                for index in range(self._count, self._count + len(calls)):
                    self.futures.pop(index, None)
            raise
        with self._lock:
            self._count += len(calls)
            over = self._over
        if over is not None:  # it ended in this moment
            self._give_up(over)
        self._links += 1
        return self.pause

    def _register(self, calls: Sequence[Call]) -> None:
        with self._lock:
            for index, call in enumerate(calls, self._count):
                call.future.job, call.future.index = self.name, index
                self.futures[index] = call.future

    def seal(self) -> None:
        """Twice is once."""
        if self._open:
            self._open = False
            with suppress(CTorrentError):  # it is gone: the thread that follows it says so
                self._tell(lambda net: _patiently(lambda: net.seal(self.name)))

    def cancel(self) -> None:
        """End it with the calls that are under way."""
        self._open = False
        with suppress(CTorrentError):  # it has ended
            self._tell(lambda net: net.cancel(self.name, "nobody waits for its calls any more"))

    def _tell(self, what: Callable[[Net], None]) -> None:
        net = self._reach()
        try:
            what(net)
        finally:
            if net is not self._net:
                net.close()

    def _reach(self) -> Net:
        """The net; where it was closed meanwhile another to the same node: an open job would be waited for for ever."""
        from ctorrent.client import Net

        return Net(self._net.folder) if self._net.closed and not self._net.embedded else self._net

    # -- what becomes of them -----------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Resolve futures until the job ends."""
        why: CTorrentError = LocalError(f"Job {self.name} ended without this call.", f"See: ctorrent why {self.name}")
        gone_at: float | None = None
        while True:
            try:
                with closing(self._reach().outcomes(self.name)) as items:  # type: ignore[type-var]
                    for item in items:
                        gone_at = None
                        self._item(item)
                break
            except Unavailable as error:
                now = time.monotonic()
                gone_at = now if gone_at is None else gone_at
                why = error
                if now - gone_at > BACK_S or self._net.embedded:
                    break
                threading.Event().wait(LOOK_S)
            except CTorrentError as error:
                why = error
                break
        with self._lock:
            self._open, self._over = False, why
        self._give_up(why)

    def _give_up(self, why: CTorrentError) -> None:
        """For the calls that the node took; it may say no to those that it was just asked to take."""
        with self._lock:
            taken = {index: future for index, future in self.futures.items() if index < self._count}
        self._resolve(taken, lambda future: future.set_exception(why))

    def _item(self, item: Plain) -> None:
        if item["state"] == "paused" and item["reason"]:
            stopped = CallFailed(f"Job {self.name} is paused: {item['reason']}", f"Go on with it: net.resume({self.name!r}).", "paused")
            self._give_up(stopped)
            return
        for row in item["rows"]:
            future = self.futures.get(row["index"])
            if future is not None:
                self._resolve({row["index"]: future}, lambda future, row=row: self._settle(future, row, item))  # type: ignore[misc]

    def _resolve(self, futures: Mapping[int, Future], how: Callable[[Future], None]) -> None:
        for index, future in futures.items():
            with self._lock:
                known = self.futures.pop(index, None)
            if known is not None:
                how(future)
                self._ended(1)

    def _settle(self, future: Future, row: Plain, item: Plain) -> None:
        try:
            value = self._value(row, item)
        except Exception as error:  # noqa: BLE001  a decoder of the user's own may raise anything: it is this call's answer
            future.set_exception(error)
        else:
            future.set_result(value)

    def _value(self, row: Plain, item: Plain) -> Any:
        if row.get("value") is not None and row["state"] == "settled":
            return self._own.value(row, self._pickles)
        if row.get("failure"):
            raise failure_of(row["failure"])
        if row["state"] == "disputed":
            raise CallFailed(
                f"The machines that ran this call disagree: {row.get('words') or 'no two results are the same'}.",
                "Does it draw numbers without its seed, or use the time? A parameter `seed` gives every machine the same.", "disputed",
            )  # fmt: skip
        why = row.get("words") or item["reason"] or "nobody said why"
        raise CallFailed(f"This call was not run: its job is {item['state']}: {why}", f"See: ctorrent why {self.name}", str(row["state"]))


def _pieces(calls: Sequence[Call]) -> list[list[Call]]:
    """As many at once as one append takes."""
    found: list[list[Call]] = [[]]
    size = 0
    for call in calls:
        size += len(call.params)
        if found[-1] and (len(found[-1]) >= BLOCKS_MAX or size > BYTES_MAX):
            found.append([])
            size = len(call.params)
        found[-1].append(call)
    return found


def _patiently(ask: Callable[[], Any]) -> Any:
    """What was asked, over a restart of the node. Raises what it says."""
    until = time.monotonic() + BACK_S
    while True:
        try:
            return ask()
        except Unavailable:
            if time.monotonic() > until:
                raise
            threading.Event().wait(LOOK_S)


def _fail(calls: Sequence[Call], error: Exception) -> None:
    for call in calls:
        call.future.set_exception(error)


def payload_file(folder: pathlib.Path, payload: bytes) -> pathlib.Path | None:
    """Arguments that are too large for parameters wait on the disk, not in memory."""
    if not payload:
        return None
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(payload)
    return pathlib.Path(file.name)
