"""One process, one unit: connect, lock down, and only then receive, run, reply.

Replies are gathered and sent in few writes: when 64 KiB are there, when the unit ends, and by a small thread every
few milliseconds, so that the node's deadline for a block starts when the one before it ended. A process that dies
with gathered replies loses them; the node then runs those blocks again in a careful unit, which sends each at once.
"""

from __future__ import annotations

import os
import resource
import select
import socket
import struct
import sys
import threading
import time
from typing import Any, Dict, List, Optional, Tuple

from . import frames, lockdown, runner
from .bundle import Bundle, Code, read
from .lockdown import Lock, Prepared
from .offered import Offered
from .seeds import Seeder
from .supervisor import Birth

_GATHER_BYTES = 64 << 10
_FLUSH_S = 0.005  # one GIL switch interval: rarer would blur deadlines, oftener would cost the program time
_IDLE_S = 0.25  # longer than a usual unit: where units follow one another, rehearsing costs more than it saves
_REHEARSAL = "rehearsal"
_REHEARSALS = 12  # CPython rewrites code after eight calls
_RAW_OUTPUT = 1  # the memfd behind file descriptors 1 and 2


class Wire:
    """The child's end of the connection: whole reads, gathered writes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._mutex = threading.Lock()
        self._out: List[bytes] = []
        self._out_bytes = 0
        self._in = memoryview(b"")
        self._flushed = time.monotonic()

    def idle(self) -> bool:
        """Has the node sent nothing for a while?"""
        return not select.select([self._sock], [], [], _IDLE_S)[0]

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes; leaves quietly when the node is gone."""
        have = self._in[:size]
        self._in = self._in[size:]
        if len(have) == size:
            return bytes(have)
        wanted = bytearray(size)
        view = memoryview(wanted)
        view[: len(have)] = have
        at = len(have)
        while at < size:
            if size - at >= _GATHER_BYTES:
                got = self._sock.recv_into(view[at:])
                at += got
            else:
                chunk = self._sock.recv(_GATHER_BYTES)
                got = len(chunk)
                take = min(got, size - at)
                view[at : at + take] = chunk[:take]
                self._in = memoryview(chunk)[take:]
                at += take
            if not got:
                os._exit(0)
        return bytes(wanted)

    def put(self, kind: int, position: int, body: bytes, usage: Tuple[float, float, int] = (0.0, 0.0, 0)) -> None:
        head = frames.REPLY.pack(kind, position, usage[0], usage[1], usage[2], len(body))
        with self._mutex:
            self._out += (head, body)
            self._out_bytes += len(body) + len(head)
        if self._out_bytes >= _GATHER_BYTES:
            self.flush()

    def _send(self) -> None:
        """Write what is gathered; a large body goes as it is, the rest in one piece."""
        out, self._out, self._out_bytes = self._out, [], 0
        if len(out[-1]) >= _GATHER_BYTES:
            self._sock.sendall(b"".join(out[:-1]))
            self._sock.sendall(out[-1])
        else:
            self._sock.sendall(b"".join(out))

    def flush_some(self) -> None:
        """Send what was gathered, at most every _FLUSH_S: for logs of a block that has the process to itself."""
        if time.monotonic() - self._flushed > _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        with self._mutex:
            if not self._out:
                return
            self._flushed = time.monotonic()
            try:
                self._send()
            except OSError:
                os._exit(0)


class Log:
    """What sys.stdout and sys.stderr write to: capped per block, handed on as it appears."""

    encoding = "utf-8"
    errors = "replace"
    closed = False

    def __init__(self, wire: Wire, cap: int) -> None:
        self._wire = wire
        self._cap = cap
        self._left = cap
        self._position = 0
        self.raw_seen = 0  # bytes of the file behind descriptor 1
        self.buffer = self

    def begin(self, position: int) -> None:
        self._position, self._left = position, self._cap

    def write(self, text: Any) -> int:
        if self._left > 0:
            data = text.encode("utf-8", "replace") if isinstance(text, str) else bytes(text)
            if data:
                self._wire.put(frames.LOG, self._position, data[: self._left])
                self._wire.flush_some()
                self._left -= len(data)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def take_raw(self) -> None:
        """Add what was written below Python, by C code, to file descriptors 1 and 2."""
        size = os.fstat(_RAW_OUTPUT).st_size
        if size > self.raw_seen:
            self.write(os.pread(_RAW_OUTPUT, min(size - self.raw_seen, max(self._left, 1)), self.raw_seen))
            self.raw_seen = size

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def fileno(self) -> int:
        return _RAW_OUTPUT


def prepare(spec: Dict[str, Any]) -> Prepared:
    """In the supervisor, once: what every child would do alike."""
    for _ in range(_REHEARSALS):
        rehearse(spec)
    return lockdown.prepare(own_lock(spec))


def rehearse(spec: Dict[str, Any]) -> None:
    """Serve a unit of our own, from its code to its reply.

    The interpreter rewrites code that runs often, and remembers where it found each attribute. A page that a child
    need not write to is one that the kernel need not copy for it: half of a small unit's time went there.
    """
    kept = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__, sys.argv
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire, seeder = Wire(theirs), Seeder()
        unit = Unit(spec, wire, seeder)
        files = {_REHEARSAL + ".py": b"def block(index, seed):\n    return [index, seed, {}]\n"}
        unit.log.raw_seen = sys.maxsize  # here, that file may be another
        unit.prepare(Code("", read(files)))
        ours.sendall(frames.UNIT.pack(frames.PROGRAM, 1, 1, 1.0, 0) + frames.BLOCK.pack(1, 1, 3, 0) + b"\x81\xa1x\x01")
        wire.read(frames.UNIT.size)
        unit.begin(_REHEARSAL + ".py:block", True)
        unit.block(0, frames.PROGRAM)
    unit.strike()
    sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__, sys.argv = kept  # type: ignore[misc]


def main(birth: Birth) -> None:
    """Serve one unit and leave. Never returns; any exit status but 0 is this file's own fault."""
    spec = birth.spec
    sock = connected(spec)
    lockdown.apply(birth.ready)
    if not spec["preload"]:
        sys.path += spec["site"]  # only now: what is there was not chosen by this machine's owner
    runner.refuse_network()  # after our own connection was made
    wire = Wire(sock)
    birth.seeder.watch()
    unit = Unit(spec, wire, birth.seeder)
    unit.prepare(birth.code)
    greet(birth, sock)
    if wire.idle():
        rehearse(spec)
    mode, careful, count, block_s, size = frames.UNIT.unpack(wire.read(frames.UNIT.size))
    entry = wire.read(size).decode()
    cpu_s = int(min(block_s * count, 1e8) * spec["cpu"]) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    unit.begin(entry, bool(careful) or count == 1)
    if not unit.careful:
        threading.Thread(target=_keep_flushing, args=(wire,), daemon=True).start()
    for position in range(count):
        unit.block(position, mode)
    wire.put(frames.DONE, count, b"")
    wire.flush()
    os._exit(0)


def connected(spec: Dict[str, Any]) -> socket.socket:
    """The way to the node."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(spec["socket"])
    except OSError:
        os._exit(frames.EXIT_NODE_GONE)
    os.chdir(spec["folder"])  # only now: the socket may be named from the cell's folder
    return sock


def greet(birth: Birth, sock: socket.socket) -> None:
    """Tell supervisor and node that this process is locked."""
    os.write(birth.greeted, struct.pack("=I", birth.serial))
    os.close(birth.greeted)
    sock.sendall(frames.HELLO.pack(frames.MAGIC, frames.CHILD, birth.serial))


def own_lock(spec: Dict[str, Any]) -> Lock:
    """How a child locks itself; the memory it may add is counted from what it was born with."""
    data = spec["memory_bytes"]
    return Lock(
        profile="python",
        read=spec["read"],
        listed=spec["listed"],
        devices=spec["devices"],
        data_bytes=None if data is None else data + _data_now(),
        file_bytes=spec["log_bytes"],
        files=256,  # data loaders and shared libraries; the table itself is memory
        need_landlock=spec["need_landlock"],
    )


def _data_now() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[5]) * resource.getpagesize()
    except OSError:
        return 128 << 20  # numpy's own need, where /proc cannot be asked


def _keep_flushing(wire: Wire) -> None:
    while True:
        time.sleep(_FLUSH_S)
        wire.flush()


class Unit:
    """The blocks of one unit, one after the other."""

    def __init__(self, spec: Dict[str, Any], wire: Wire, seeder: Seeder) -> None:
        self._spec = spec
        self._wire = wire
        self._seeder = seeder
        self._bundle: Optional[Bundle] = None
        self._offered = Offered()
        self._runner: Optional[runner.Runner] = None
        self._broken: Optional[Tuple[int, str, str]] = None
        self.log = Log(wire, spec["log_bytes"])
        self._peak = 0
        self._touched = False  # once a seed was used here, what this process remembers may stem from it
        self.careful = True

    def prepare(self, code: Code) -> None:
        """Stand in for a program's surroundings: its output, its arguments, its modules. Runs nothing of it yet."""
        sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = self.log  # type: ignore[assignment,misc]
        sys.argv = ["block"]
        try:
            self._bundle = Bundle(code)
            self._bundle.install()
            self._offered.install()
        except (ValueError, TypeError) as error:
            self._broken = (frames.EXCEPTION, type(error).__name__, str(error)[:2000])

    def strike(self) -> None:
        """Take the modules of a rehearsal away again."""
        assert self._bundle is not None
        self._bundle.remove()
        sys.meta_path.remove(self._offered)
        sys.modules.pop(_REHEARSAL, None)

    def begin(self, entry: str, careful: bool) -> None:
        """The unit is known. Module code runs once a unit, so not with a block's seed."""
        self.careful = careful
        self._seeder.set(self._spec["hash_seed"])
        if self._bundle is not None:
            self._runner = runner.Runner(self._bundle, entry)

    def block(self, position: int, mode: int) -> None:
        """Receive, run and answer one block."""
        wire = self._wire
        index, seed, size, count = frames.BLOCK.unpack(wire.read(frames.BLOCK.size))
        params = wire.read(size)
        inputs = self._inputs(count)
        self.log.begin(position)
        cpu, wall = time.process_time(), time.perf_counter()
        body = failure = None
        kind = frames.VALUE
        try:
            if self._runner is None:
                failure = self._broken
            elif mode != frames.PROGRAM:
                body = runner.encoded(self._other(mode, index, seed, params, inputs))
            else:
                body = self._value(index, seed, params, inputs)
                kind = self._kind()
        except BaseException as error:
            failure = runner.explain(error)
        self._answer(position, body, failure, cpu, wall, kind)

    def _value(self, index: int, seed: int, params: bytes, inputs: Dict[str, bytes]) -> bytes:
        assert self._runner is not None
        if self._runner.ready():
            self._touched = self._runner.asks_place or not self._seeder.untouched()
        self._seeder.set(seed)
        return runner.encoded(self._runner.call(index, seed, runner.decoded(params), inputs))

    def _kind(self) -> int:
        """Would the block that just ran have given this with any other seed and index too, and on any other day?"""
        self._touched = self._touched or not self._seeder.untouched()
        if self._seeder.clock or (self._bundle is not None and self._bundle.clock):
            return frames.CLOCK
        return frames.VALUE if self._touched else frames.SAME_ALWAYS

    def _other(self, mode: int, index: int, seed: int, params: bytes, inputs: Dict[str, bytes]) -> Any:
        """What a function of the job's files other than its program answers. Loaded first: numpy may come with it."""
        assert self._runner is not None
        self._runner.ready()
        values = [runner.decoded_value(data) for name, data in inputs.items() if name.startswith(frames.VALUE_NAME)]
        if mode == frames.REDUCE:
            return self._runner.reduce(values)
        draw = values.pop()
        self._seeder.set(draw)  # secret to whoever made the outputs: a random test is one only then
        if mode == frames.COMPARE:
            return self._runner.compare(*values)
        files = {name: data for name, data in inputs.items() if not name.startswith(frames.VALUE_NAME)}
        return self._runner.call(index, seed, runner.decoded(params), files, {"output": values[0], "draw": draw})

    def _inputs(self, count: int) -> Dict[str, bytes]:
        inputs = {}
        for _ in range(count):
            name_size, size = frames.FILE.unpack(self._wire.read(frames.FILE.size))
            name = self._wire.read(name_size).decode()
            inputs[name] = self._wire.read(size)
        return inputs

    def _answer(self, position: int, body: Optional[bytes], failure: Any, cpu: float, wall: float, kind: int) -> None:
        self.log.take_raw()
        wall = time.perf_counter() - wall
        if wall > 0.001 or not position:  # asking costs as much as an empty block
            self._peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        usage = (time.process_time() - cpu, wall, self._peak)
        if body is not None and len(body) > self._spec["output_bytes"]:
            text = "the value is %d bytes; limits allow %d" % (len(body), self._spec["output_bytes"])
            body, failure = None, (frames.OUTPUT, "too large", text)
        if body is not None:
            self._wire.put(kind, position, body, usage)
        else:
            self._wire.put(frames.FAILURE, position, frames.failed(*failure), usage)
        if self.careful:
            self._wire.flush()
