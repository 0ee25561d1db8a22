"""What a hostile program tries, one by one: each gives a typed failure or gets nothing, and the next block runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from ctorrent import canon
from ctorrent.model.job import Limits
from ctorrent.model.result import FailureKind as Kind
from ctorrent.ports import Cell
from tests.sandbox.cells import LEVELS, block, in_cell

pytestmark = [pytest.mark.real, pytest.mark.parametrize("level", LEVELS)]

_SHELL = """
import ctypes, os, sys, mmap
libc = ctypes.CDLL(None, use_errno=True)
def block(index, **given):
    return attack(**given) if index == 1 else index
"""

_ONE_PROCESS = ("fork", "subprocess", "multiprocessing")
_SENTENCE = "a block is one process: use n_jobs=1 and more blocks"

# name: (body of attack(), what must come of it)
FAIL: dict[str, tuple[str, tuple[Kind, ...]]] = {
    "fork": ("os.fork()", (Kind.FORBIDDEN,)),
    "fork below python": ("if libc.fork() < 0: raise PermissionError(ctypes.get_errno(), 'fork')", (Kind.FORBIDDEN,)),
    "fork bomb": ("while True: os.fork()", (Kind.FORBIDDEN,)),
    "subprocess": ("import subprocess; subprocess.run(['/bin/true'])", (Kind.FORBIDDEN,)),
    "multiprocessing": ("import multiprocessing as m; m.Process(target=print).start()", (Kind.FORBIDDEN,)),
    "exec": ("os.execv('/bin/true', ['true'])", (Kind.FORBIDDEN,)),
    "exec below python": ("libc.execv(b'/bin/true', (ctypes.c_char_p * 2)(b'true', None)); raise PermissionError(ctypes.get_errno(), 'exec')", (Kind.FORBIDDEN,)),
    "tcp socket": ("import socket; socket.socket()", (Kind.FORBIDDEN,)),
    "dns": ("import socket; socket.getaddrinfo('example.org', 80)", (Kind.FORBIDDEN, Kind.EXCEPTION)),
    "vsock": ("import socket; socket.socket(40, socket.SOCK_STREAM)", (Kind.FORBIDDEN,)),
    "netlink": ("import socket; socket.socket(16, socket.SOCK_RAW)", (Kind.FORBIDDEN,)),
    "unix socket": ("import socket; socket.socket(socket.AF_UNIX)", (Kind.FORBIDDEN,)),
    "vsock pair": ("import socket; socket.socketpair(40)", (Kind.FORBIDDEN,)),
    "allocate": ("b = []\n    while True: b.append(bytearray(1 << 20))", (Kind.MEMORY,)),
    "allocate by mmap": ("m = []\n    while True: m.append(mmap.mmap(-1, 1 << 24, flags=mmap.MAP_PRIVATE | 0x20)); m[-1].write(b'x' * (1 << 24))", (Kind.MEMORY, Kind.EXCEPTION)),
    "allocate shared": ("mmap.mmap(-1, 1 << 20)", (Kind.FORBIDDEN,)),
    "memfd": ("os.memfd_create('x')", (Kind.FORBIDDEN,)),
    "endless loop": ("while True: pass", (Kind.TIME,)),
    "sleep": ("import time; time.sleep(600)", (Kind.TIME,)),
    "endless loop without python": ("sum(range(10 ** 12))", (Kind.TIME,)),
    "ignores signals": ("import signal\n    for s in range(1, 32):\n        if s not in (9, 19): signal.signal(s, signal.SIG_IGN)\n    while True: pass", (Kind.TIME,)),
    "segfault": ("ctypes.string_at(0)", (Kind.KILLED,)),
    "abort": ("os.abort()", (Kind.KILLED,)),
    "leaves": ("os._exit(0)", (Kind.KILLED,)),
    "leaves with our own code": ("os._exit(3)", (Kind.KILLED,)),
    "sys.exit": ("sys.exit(4)", (Kind.EXCEPTION,)),
    "kills itself": ("os.kill(os.getpid(), 9)", (Kind.KILLED, Kind.MEMORY)),
    "kills its parent": ("os.kill(os.getppid(), 9)", (Kind.FORBIDDEN,)),
    "kills everybody": ("os.kill(-1, 9)", (Kind.FORBIDDEN,)),
    "kills process one": ("os.kill(1, 9)", (Kind.FORBIDDEN,)),
    "limits its parent": ("import resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0))", (Kind.FORBIDDEN, Kind.EXCEPTION)),
    "pins its parent": ("os.sched_setaffinity(os.getppid(), {0})", (Kind.FORBIDDEN, Kind.EXCEPTION)),
    "ptrace": ("if libc.ptrace(16, os.getppid(), 0, 0) < 0: raise PermissionError(ctypes.get_errno(), 'ptrace')", (Kind.FORBIDDEN,)),
    "io_uring": ("if libc.syscall(425, 8, 0) < 0: raise PermissionError(ctypes.get_errno(), 'io_uring')", (Kind.FORBIDDEN,)),
    "new namespaces": ("if libc.unshare(0x10000000) < 0: raise PermissionError(ctypes.get_errno(), 'unshare')", (Kind.FORBIDDEN,)),
    "bpf": ("if libc.syscall(321, 0, 0, 0) < 0: raise PermissionError(ctypes.get_errno(), 'bpf')", (Kind.FORBIDDEN,)),
    "setuid": ("os.setuid(0)", (Kind.FORBIDDEN,)),
    "watches folders": ("if libc.inotify_init() < 0: raise PermissionError(ctypes.get_errno(), 'inotify')", (Kind.FORBIDDEN,)),
    "a set": ("return {1, 2}", (Kind.OUTPUT,)),
    "an object": ("return object()", (Kind.OUTPUT,)),
    "a function": ("return attack", (Kind.OUTPUT,)),
    "a cycle": ("x = []; x.append(x); return x", (Kind.OUTPUT,)),
    "too large": ("return bytes(2 << 20)", (Kind.OUTPUT,)),
    "a value that raises when written": ("class A: dtype = property(lambda s: 1 / 0)\n    A.__module__ = 'numpy'\n    return A()", (Kind.OUTPUT,)),
    "an array whose shape lies": (
        "class A:\n        dtype = '<f8'; shape = (1 << 40,)\n    A.__module__ = 'numpy'\n    return A()",
        (Kind.OUTPUT,),
    ),
    "writes ten gigabytes of header": (
        "import struct\n    for fd in range(3, 20):\n        try: os.write(fd, struct.pack('>BIddQQ', 1, 1, 0, 0, 0, 10 << 30))\n        except OSError: pass\n    import time; time.sleep(600)",
        (Kind.OUTPUT,),
    ),
    "writes an array that lies": (
        "import struct\n    d = bytes.fromhex('c71393a33c663891ce40000000c4080000000000000000')[:21]\n"
        "    for fd in range(3, 20):\n        try: os.write(fd, struct.pack('>BIddQQ', 1, 1, 0, 0, 0, len(d)) + d)\n        except OSError: pass\n    os._exit(0)",
        (Kind.OUTPUT,),
    ),
    "writes noise": ("for fd in range(3, 20):\n        try: os.write(fd, os.urandom(4096))\n        except OSError: pass\n    import time; time.sleep(600)", (Kind.OUTPUT,)),
    "closes everything": ("os.closerange(0, 256); import time; time.sleep(600)", (Kind.KILLED,)),
    "deep recursion": ("f = lambda: f()\n    return f()", (Kind.EXCEPTION,)),
    "an exception that fights": ("class E(Exception):\n        def __str__(self): raise E\n    raise E", (Kind.EXCEPTION,)),
    "a value that kills when written": ("class A: dtype = property(lambda s: os._exit(1))\n    A.__module__ = 'numpy'\n    return A()", (Kind.KILLED,)),
}  # fmt: skip


@pytest.mark.parametrize("late", [False, True], ids=["at once", "when its time is over"])
def test_each_fails_by_type_and_the_next_block_runs(level: str, late: bool, tmp_path: Path) -> None:
    """One warm cell for all of them: whatever one does, the next must find the sandbox as it was.

    Those that only their time ends have little of it. The others have much: it must be something else that ends them, also
    where the machine is busy.
    """
    source = _SHELL.replace("attack(**given)", "ATTACKS[given['name']]()") + "".join(
        f"def attack{number}():\n    {body}\nattack = attack{number}\n" for number, (body, _) in enumerate(FAIL.values())
    )
    source += "ATTACKS = {" + ",".join(f"{name!r}: attack{number}" for number, name in enumerate(FAIL)) + "}\n"
    wrong: dict[str, object] = {}

    async def play(cell: Cell) -> None:
        for name, (_, expected) in FAIL.items():
            if (expected == (Kind.TIME,)) != late:
                continue
            outcomes = await cell.run([block(index, name=name) for index in range(3)])
            outcomes += await cell.run([block(1, name=name)])  # alone in its process
            if (outcomes[0].value, outcomes[2].value) != (canon.encode(0), canon.encode(2)):
                wrong[name + ": a neighbour suffered"] = outcomes
            for attack in (outcomes[1], outcomes[3]):
                if attack.failure is None or attack.value is not None or attack.failure.kind not in expected:
                    wrong[name] = attack
            if name in _ONE_PROCESS and not (outcomes[1].failure and _SENTENCE in outcomes[1].failure.text):
                wrong[name + ": no sentence"] = outcomes[1]

    in_cell(level, tmp_path, source, play, limits=Limits(block_s=1.0 if late else 30.0, output_bytes=1 << 20, log_bytes=1 << 16))
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())


def test_it_writes_nowhere(level: str, tmp_path: Path) -> None:
    home = str(Path.home())
    source = _SHELL + """
def attack(places):
    wrote = []
    for place in places:
        for folder in (place, os.path.join(place, "new")):
            try:
                open(os.path.join(folder, "ctorrent-was-here"), "w").close()
                wrote.append(folder)
            except OSError: pass
            for call in (lambda: os.mkdir(folder + "/ctorrent-dir"), lambda: os.symlink("/", folder + "/ctorrent-link"),
                         lambda: os.chmod(place, 0o777), lambda: os.utime(place), lambda: os.rename(place, place + "x"),
                         lambda: os.truncate(place, 0), lambda: os.unlink(place), lambda: os.setxattr(place, "user.x", b"x")):
                try:
                    call(); wrote.append(folder)
                except OSError: pass
    return wrote
"""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o644)
    places = ["/", "/tmp", "/dev/shm", "/var/tmp", "/run", "/etc", "/usr", "/proc/self", "/sys/fs/cgroup", "/dev", home, str(tmp_path), str(victim)]

    async def play(cell: Cell) -> None:
        attack = (await cell.run([block(1, places=places)]))[0]
        assert attack.failure is None and canon.decode(attack.value or b"") == []

    in_cell(level, tmp_path, source, play)
    assert victim.read_text() == "precious" and victim.stat().st_mode & 0o777 == 0o644


def test_it_reads_nothing_of_the_host(level: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    source = _SHELL + """
def attack(paths):
    got = []
    for path in paths:
        for read in (lambda: open(path, "rb").read(1) or True, lambda: os.listdir(path)):
            try:
                if read(): got.append(path)
            except OSError: pass
    return got + [v for v in os.environ.values() if "secret" in v]
"""
    paths = [
        "/etc/shadow", "/etc/passwd", "/etc/hostname", "/proc/1/environ", "/proc/1/cmdline", "/proc/1", "/proc", "/root", str(Path.home()),
        f"/proc/{os.getpid()}/environ", f"/proc/{os.getpid()}/root/etc/shadow", f"/proc/{os.getpid()}/mem", "/proc/self/environ",
        "/proc/self/mountinfo", "/proc/self/root/etc/shadow", "/proc/net/tcp", "/proc/kallsyms", str(secret), str(tmp_path), "/dev/mem", "/dev/vda",
        "/var/run/docker.sock", "/var/log", "/tmp", "/home", "/work",
    ]  # fmt: skip

    async def play(cell: Cell) -> None:
        attack = (await cell.run([block(1, paths=paths)]))[0]
        got = canon.decode(attack.value or b"")
        allowed = {"/etc/passwd", "/etc/hostname", "/proc/1", "/proc"} if level == "docker" else set()  # the container's own
        assert attack.failure is None and set(got) <= allowed, got

    os.environ["CTORRENT_TEST_SECRET"] = "secret"
    try:
        in_cell(level, tmp_path, source, play)
    finally:
        del os.environ["CTORRENT_TEST_SECRET"]


def test_a_flood_of_raw_output_is_capped(level: str, tmp_path: Path) -> None:
    source = _SHELL + "def attack():\n    try:\n        while os.write(1, b'x' * 65536): pass\n    except OSError: pass\n    return 'still here'\n"

    async def play(cell: Cell) -> None:
        before, attack, after = await cell.run([block(0), block(1), block(2)])
        assert (before.value, after.value) == (canon.encode(0), canon.encode(2))
        assert attack.value == canon.encode("still here") and len(attack.log) <= 1 << 16

    in_cell(level, tmp_path, source, play, limits=Limits(block_s=5, log_bytes=1 << 16))


def test_a_program_that_kills_its_process_at_import(level: str, tmp_path: Path) -> None:
    async def play(cell: Cell) -> None:
        for _ in range(3):
            outcomes = await cell.run([block(i) for i in range(3)])
            assert [o.failure.kind for o in outcomes if o.failure] == [Kind.KILLED] * 3

    in_cell(level, tmp_path, "import os\nos._exit(3)\n", play)


def test_blocks_after_a_crash_are_each_run_and_none_is_blamed_for_another(level: str, tmp_path: Path) -> None:
    async def play(cell: Cell) -> None:
        outcomes = await cell.run([block(i) for i in range(50)])
        for index, outcome in enumerate(outcomes):
            if index % 10 == 3:
                assert outcome.failure is not None and outcome.failure.kind is Kind.KILLED
            else:
                assert outcome.value == canon.encode(index), (index, outcome)

    in_cell(level, tmp_path, "import os\ndef block(index):\n    if index % 10 == 3: os._exit(1)\n    return index\n", play)


def test_files_without_a_program_fail_their_blocks(level: str, tmp_path: Path) -> None:
    async def main() -> None:
        from tests.sandbox.cells import sandbox_of, spec_of

        sandbox = await sandbox_of(level, tmp_path)
        for files in ({}, {"program.py": os.urandom(1000)}, {"program.py/x": b""}, {f"{n}.py": b"x = (" * 1000 for n in range(300)}):
            cell = await sandbox.open(spec_of(sandbox, files))
            (only,) = await cell.run([block(0)])
            assert only.failure is not None and only.failure.kind is Kind.EXCEPTION
            await cell.aclose()
        await sandbox.aclose()

    trio.run(main)
