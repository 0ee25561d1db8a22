"""Runs argv once a block: files in, files out, in a private folder that nobody else can write or read.

The runner locks itself first; the program and its children inherit the lock: execute only read-only paths, write only
the folder, no network, no more processes than allowed. The runner outlives the program and ends all that is left.
A program without {output} answers with the map of the files it made; with it, with that file or folder. The last
part of {output} is the block's own name by the job's template, since programs look at a file's ending.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import select
import shutil
import signal
import stat
import subprocess
import time
from typing import Any, Dict, List, Optional, Set, Tuple

from . import child, frames, lockdown, reaping, runner
from .child import Log, Wire
from .lockdown import Lock, Prepared
from .supervisor import Birth

_canon: Any = importlib.import_module(".canon", __package__)
_names: Any = importlib.import_module(".output_name", __package__)

_OURS = (".tmp", ".output")  # of a work folder, beside what the job calls its files
_LOOK_S = 0.05  # how often the folder's size is looked at where no file system caps it
_FILES_MAX = 1000  # of a result: a map of more belongs into one archive
_PR_SET_CHILD_SUBREAPER = 36
_DISK_WORDS = (b"File too large", b"No space left on device")
_MEMORY_WORDS = (b"bad_alloc", b"MemoryError", b"annot allocate memory", b"ut of memory")


class Refused(Exception):
    """This block has no value: (kind, type, text)."""


def prepare(spec: Dict[str, Any]) -> Prepared:
    """In the supervisor. Children have a folder each, so each prepares its own lock."""
    return lockdown.NOTHING


def _lock(spec: Dict[str, Any], folder: str) -> Lock:
    return Lock(
        profile="command",
        read=spec["read"],
        listed=spec["listed"],
        write=[folder] if folder else [],
        devices=[*spec["devices"], "/dev/null"],
        data_bytes=spec["memory_bytes"],
        file_bytes=spec["scratch_bytes"],
        files=1024,
        processes=spec["processes"],
        need_landlock=spec["need_landlock"],
    )


def main(birth: Birth) -> None:
    """Serve one unit and leave. Never returns."""
    spec = birth.spec
    sock = child.connected(spec)
    folder = os.path.join(spec["scratch"], str(birth.serial))
    os.mkdir(folder, 0o700)
    lockdown.lock(_lock(spec, folder))
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wire = Wire(sock)
    child.greet(birth, sock)
    _, _, count, block_s, size = frames.UNIT.unpack(wire.read(frames.UNIT.size))
    wire.read(size)
    cpu_s = int(min(block_s, 1e8) * spec["cpu"]) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    unit = CommandUnit(spec, wire, folder)
    for position in range(count):
        unit.block(position)
    wire.put(frames.DONE, count, b"")
    wire.flush()
    os._exit(0)


class CommandUnit:
    """The blocks of one unit, each in a folder of its own that is removed after it."""

    def __init__(self, spec: Dict[str, Any], wire: Wire, folder: str) -> None:
        self._spec = spec
        self._wire = wire
        self._folder = folder
        self._log = Log(wire, spec["log_bytes"])
        self._tail = b""

    def block(self, position: int) -> None:
        """Receive, run and answer one block."""
        wire = self._wire
        index, seed, size, count = frames.BLOCK.unpack(wire.read(frames.BLOCK.size))
        params = wire.read(size)
        work = os.path.join(self._folder, "block%d" % position)
        self._log.begin(position)
        self._tail = b""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall = time.perf_counter()
        try:
            os.mkdir(work)
            names, inputs = self._inputs(count, work)
            given = runner.decoded(params)
            output = self._output(work, index, seed, given, names)
            body = self._run(work, output, {**given, "index": index, "seed": seed, "output": output}, inputs)
            kind = frames.VALUE
        except Refused as refused:
            kind, body = frames.FAILURE, frames.failed(*refused.args)
        except OSError as error:  # the folder is full
            kind, body = frames.FAILURE, frames.failed(frames.OUTPUT, "scratch", str(error))
        except Exception as error:
            kind, body = frames.FAILURE, frames.failed(*runner.explain(error))
        reaping.end_descendants(os.getpid())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        shutil.rmtree(work, ignore_errors=True)
        wire.put(kind, position, body, (cpu, time.perf_counter() - wall, after.ru_maxrss * 1024))
        wire.flush()

    def _inputs(self, count: int, work: str) -> Tuple[List[str], List[str]]:
        """Inputs as files of the work folder, and links to the job's files beside them. -> what they are called, their paths."""
        names, paths = [], []
        for number in range(count):
            name_size, size = frames.FILE.unpack(self._wire.read(frames.FILE.size))
            name = self._wire.read(name_size).decode("utf-8", "replace")
            path = os.path.join(work, "input%d%s" % (number, _suffix(name)))
            names.append(name)
            paths.append(path)
            self._copy(path, size)
        for name in os.listdir(self._spec["folder"]):
            if name not in _OURS and not os.path.lexists(os.path.join(work, name)):
                os.symlink(os.path.join(self._spec["folder"], name), os.path.join(work, name))
        return names, paths

    def _copy(self, path: str, size: int) -> None:
        """From the connection to a file, in parts. The whole is read even when the disk is full: the next block follows."""
        failure: Optional[OSError] = None
        with open(path, "wb") as file:
            while size:
                part = self._wire.read(min(size, 1 << 20))
                size -= len(part)
                try:
                    if failure is None:
                        file.write(part)
                except OSError as error:
                    failure = error
        if failure is not None:
            raise failure

    def _output(self, work: str, index: int, seed: int, params: Dict[str, Any], names: List[str]) -> str:
        """The path that {output} stands for. Only the last part of a templated name: folders are the requester's."""
        template = self._spec["outputs"]
        if not template:
            return os.path.join(work, "output")
        try:
            name: str = _names.output_name(template, index, seed, params, names[0] if names else "")
        except ValueError as error:
            raise Refused(frames.EXCEPTION, "ValueError", "outputs: %r %s" % (template[:200], error)) from None
        folder = os.path.join(work, ".output")
        os.mkdir(folder)
        return os.path.join(folder, os.path.basename(name))

    def _run(self, work: str, output: str, words: Dict[str, Any], inputs: List[str]) -> bytes:
        argv = filled(self._spec["argv"], words, inputs)
        there = _files(work)
        status = self._execute(argv, work, words["index"], words["seed"])
        if status:
            raise self._failed(status)
        if any("{output}" in word for word in self._spec["argv"]):
            return self._read_output(output)
        return self._read_made(work, there)

    def _execute(self, argv: List[str], work: str, index: int, seed: int) -> int:
        """-> exit code, or minus the signal."""
        temporary = os.path.join(work, ".tmp")
        os.mkdir(temporary)
        packages = {"PYTHONPATH": os.pathsep.join(self._spec["site"])} if self._spec["site"] else {}
        about = {**packages, "HOME": work, "TMPDIR": temporary, "CTORRENT_INDEX": str(index), "CTORRENT_SEED": str(seed)}
        try:
            process = subprocess.Popen(
                argv, cwd=work, env={**os.environ, **about}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True, bufsize=0,
            )  # fmt: skip
        except OSError as error:
            raise Refused(frames.EXIT, "127", "%s: %s" % (argv[0], error.strerror)) from None
        assert process.stdout is not None
        self._watch(process, process.stdout.fileno())
        code = process.wait()
        process.stdout.close()
        shutil.rmtree(temporary, ignore_errors=True)
        return code

    def _watch(self, process: "subprocess.Popen[bytes]", output: int) -> None:
        """Hand on its output until it ends; what its children still hold open is not waited for."""
        os.set_blocking(output, False)
        while True:
            ready, _, _ = select.select([output], [], [], _LOOK_S)
            data = self._drain(output) if ready else None
            if data == b"":  # closed by all; the process may still work
                process.wait()
            if process.poll() is not None:
                self._drain(output)
                return
            if _size(self._folder) > self._spec["scratch_bytes"]:
                process.kill()
                process.wait()
                raise Refused(frames.OUTPUT, "scratch", "wrote more than %d bytes" % self._spec["scratch_bytes"])

    def _drain(self, output: int) -> Optional[bytes]:
        """One read, handed on. b"" at the end, None when there is nothing now."""
        try:
            data = os.read(output, 65536)
        except BlockingIOError:
            return None
        self._tail = (self._tail + data)[-frames.TAIL_BYTES_MAX :]
        self._log.write(data)
        return data

    def _failed(self, status: int) -> Refused:
        words = self._tail.decode("utf-8", "replace")
        if status == -signal.SIGXCPU:
            return Refused(frames.TIME, "cpu", "used more processor time than its limit")
        if status == -signal.SIGXFSZ or any(word in self._tail for word in _DISK_WORDS):
            return Refused(frames.OUTPUT, "scratch", "wrote more than %d bytes" % self._spec["scratch_bytes"])
        if status == -signal.SIGKILL or any(word in self._tail for word in _MEMORY_WORDS):
            return Refused(frames.MEMORY, str(status), words)
        if status < 0:
            return Refused(frames.KILLED, signal.Signals(-status).name, words)
        return Refused(frames.EXIT, str(status), words)

    def _read_output(self, output: str) -> bytes:
        if os.path.isdir(output) and not os.path.islink(output):
            return self._read_made(output, set())
        if not os.path.lexists(output):
            raise Refused(frames.OUTPUT, "no output", "ended without an error and without writing {output}")
        return runner.encoded(self._read([output])[0])

    def _read_made(self, folder: str, there: Set[str]) -> bytes:
        names = sorted(_files(folder) - there)
        if len(names) > _FILES_MAX:
            raise Refused(frames.OUTPUT, "too many files", "made %d files; at most %d are taken" % (len(names), _FILES_MAX))
        contents = self._read([os.path.join(folder, name) for name in names])
        return runner.encoded({os.fsencode(n).decode("utf-8", "replace"): c for n, c in zip(names, contents)})  # noqa: B905 - Python 3.9

    def _read(self, paths: List[str]) -> List[bytes]:
        """Contents of regular files, together within the output limit. Links and pipes are not followed or waited for."""
        left = self._spec["output_bytes"]
        contents = []
        for path in paths:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(fd, "rb") as file:
                about = os.fstat(fd)
                if not stat.S_ISREG(about.st_mode):
                    raise Refused(frames.OUTPUT, "not a file", "%s is not a regular file" % os.path.basename(path))
                if about.st_size > left:
                    raise Refused(frames.OUTPUT, "too large", "its files are more than %d bytes" % self._spec["output_bytes"])
                contents.append(file.read(left + 1))
                left -= len(contents[-1])
        return contents


def filled(argv: List[str], words: Dict[str, Any], inputs: List[str]) -> List[str]:
    """argv with {input}, {output}, {index}, {seed} and {any param} replaced. A word "{input}" becomes as many as there are."""
    result: List[str] = []
    for word in argv:
        if word == "{input}":
            result += inputs
            continue
        for name, value in words.items():
            word = word.replace("{%s}" % name, value if isinstance(value, str) else repr(value))
        result.append(word.replace("{input}", " ".join(inputs)))
    if not result:
        raise Refused(frames.EXIT, "127", "the command is empty")
    return result


def _suffix(name: str) -> str:
    """".csv" of "data/a.csv": programs look at it; nothing else of the name is used."""
    suffix = os.path.splitext(name)[1]
    return suffix if suffix[1:].isalnum() and len(suffix) < 12 else ""


def _files(folder: str) -> Set[str]:
    """Relative paths of all that is not a folder."""
    found: Set[str] = set()
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".tmp"]
        found.update(os.path.relpath(os.path.join(top, name), folder) for name in names)
    return found


def _size(folder: str) -> int:
    """Bytes on disk below a folder."""
    total = 0
    for top, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(top, name)).st_blocks * 512
            except OSError:
                continue
    return total
