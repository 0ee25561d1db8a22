"""A process gives up, for ever, what untrusted code must not have: files, sockets, other processes, most of the kernel.

No root needed. In order: rlimits, no_new_privs, capabilities, Landlock (kernel 5.13), seccomp. Costs about half a
millisecond. Landlock: docs.kernel.org/userspace-api/landlock.html; filters are classic BPF (linux/filter.h).
Profiles: `supervisor` may fork, and connect to unix sockets: each child makes its own connection, and what the
supervisor gave up it would lack; so a supervisor runs nothing that this machine's owner did not choose. `python` is one process; `command` may also execute,
from read-only paths. Layers add up: what a supervisor gave up its children lack too.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from . import syscalls

_libc = ctypes.CDLL(None, use_errno=True)
_EPERM, _ENOSYS = 1, 38
_SECCOMP = 277 if platform.machine() == "aarch64" else 317
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 23, 24, 38

# Landlock access bits
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_MAKE_NODES = 1 << 6 | 1 << 11  # character and block devices: nobody needs them
_FILE_BITS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV


class Lock(NamedTuple):
    """How to lock a process. Paths that do not exist are skipped; None leaves a limit as it is."""

    profile: str  # "supervisor", "python", "command"
    read: Sequence[str] = ()
    listed: Sequence[str] = ()  # folders whose names may be read, not their files
    write: Sequence[str] = ()  # folders
    devices: Sequence[str] = ()  # read, write and ioctl: GPUs
    cpu_s: Optional[int] = None
    data_bytes: Optional[int] = None  # private memory of one process
    file_bytes: Optional[int] = None  # of one file
    files: Optional[int] = None  # open at once
    processes: Optional[int] = None  # of this user in this user namespace
    may_exec: bool = False  # for a supervisor that starts fresh interpreters
    may_own: bool = False  # for a supervisor of commands: they may change modes and times of their own files
    need_landlock: bool = True  # false where a container already is the wall


class Prepared(NamedTuple):
    """A lock made ready: what can be done once, before many forks. The ruleset is a file descriptor."""

    limits: Sequence[Tuple[int, int]]
    ruleset: int  # -1: the kernel has no Landlock
    abi: int
    filter: Any  # a ctypes buffer: making one costs as much as the kernel's own part
    header: Any  # a struct sock_fprog that points to it
    myself: Sequence[int]  # where in the filter this process's number belongs


NOTHING = Prepared((), -1, 0, None, None, ())  # for children that prepare their own


def die_with_parent() -> None:
    """End this process, and no other, when the process that made it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)


def lock(how: Lock) -> int:
    """Lock this process. -> Landlock's ABI (0: the kernel has none). Raises OSError, then nothing may run here."""
    return apply(prepare(how))


def prepare(how: Lock) -> Prepared:
    """All that needs no giving up: open the paths, write the filter. Raises OSError."""
    steps = _filter(how)
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(program)))
    myself = [8 * at + 4 for at, step in enumerate(steps) if step[3] == _MYSELF]
    abi = landlock_abi()
    if abi < 1 and how.need_landlock:
        raise OSError(_ENOSYS, "this kernel has no Landlock")
    return Prepared(_limits(how), _rules(how, abi) if abi else -1, abi, program, header, myself)


def apply(ready: Prepared) -> int:
    """Lock this process as prepared, by it or by its parent. -> Landlock's ABI. Raises OSError."""
    for which, value in ready.limits:
        resource.setrlimit(which, (value, value))
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    _drop_capabilities()
    if ready.ruleset >= 0:
        if _libc.syscall(446, ready.ruleset, 0):
            raise OSError(ctypes.get_errno(), "landlock_restrict_self")
        os.close(ready.ruleset)
    myself = os.getpid()
    for at in ready.myself:
        struct.pack_into("I", ready.filter, at, myself)
    if _libc.syscall(_SECCOMP, 1, 1, ready.header):  # SET_MODE_FILTER, TSYNC: every thread of the process
        raise OSError(ctypes.get_errno(), "seccomp")
    return ready.abi


def landlock_abi() -> int:
    """Which Landlock the kernel has; 0 for none."""
    return max(0, int(_libc.syscall(444, None, 0, 1)))


def _limits(how: Lock) -> List[Tuple[int, int]]:
    wanted = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, how.cpu_s),
        (resource.RLIMIT_DATA, how.data_bytes),
        (resource.RLIMIT_FSIZE, how.file_bytes),
        (resource.RLIMIT_NOFILE, how.files),
        (resource.RLIMIT_NPROC, how.processes),
    )
    limits = []
    for which, value in wanted:
        if value is not None:
            hard = resource.getrlimit(which)[1]
            limits.append((which, value if hard == resource.RLIM_INFINITY else min(value, hard)))
    return limits


def _drop_capabilities() -> None:
    """Root without capabilities is nobody in particular; for others this changes nothing."""
    if not _libc.prctl(_PR_CAPBSET_READ, 0, 0, 0, 0):
        return  # the supervisor did it for its children
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
            break
    header = struct.pack("=Ii", 0x20080522, 0)  # version 3, this process
    if _libc.capset(header, b"\0" * 24):
        raise OSError(ctypes.get_errno(), "capset")


# -- Landlock ---------------------------------------------------------------------------------------------------------


def _rules(how: Lock, abi: int) -> int:
    known = (1 << 13) - 1
    for needed_abi, bit in ((2, 1 << 13), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        if abi >= needed_abi:
            known |= bit
    ruleset = _ruleset(abi, known)
    read = _READ_FILE | _READ_DIR | (_EXECUTE if how.profile == "command" or how.may_exec else 0)
    write = known & ~(_EXECUTE | _IOCTL_DEV | _MAKE_NODES)
    device = (_READ_FILE | _WRITE_FILE | _IOCTL_DEV) & known
    for paths, access in ((how.read, read), (how.listed, _READ_DIR), (how.write, write), (how.devices, device)):
        for path in paths:
            _allow(ruleset, path, access)
    return ruleset


def _ruleset(abi: int, known: int) -> int:
    network = 3  # TCP bind and connect
    scope = 3  # signals and abstract sockets stay inside
    attributes = struct.pack("QQQ", known, network, scope)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    ruleset = _libc.syscall(444, attributes, len(attributes), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    return int(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):
            access &= _FILE_BITS
        if _libc.syscall(445, ruleset, 1, struct.pack("=Qi", access, beneath), 0):
            raise OSError(ctypes.get_errno(), "landlock_add_rule", path)
    finally:
        os.close(beneath)


# -- seccomp ----------------------------------------------------------------------------------------------------------

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_CLONE_THREAD, _CLONE_NEW = 0x10000, 0x7E020080
_MAP_SHARED, _MAP_ANONYMOUS = 0x01, 0x20
_AF_UNIX = 1
_IOCTLS = (
    0x5412, 0x541C,  # TIOCSTI, TIOCLINUX: typing into a terminal
    0x40086602, 0x40046602, 0x401C5820, 0x40806685, 0x800C6613,  # FS_IOC_SETFLAGS (two sizes), FSSETXATTR, ENABLE_VERITY,
)  # SET_ENCRYPTION_POLICY: an owner may change a file's nature through a descriptor that only reads  # fmt: skip
_MYSELF = 0x7FFFFFF1  # no process has this number; replaced by the locked one's own

_Step = Tuple[int, int, int, int]
_Numbers = Dict[str, Tuple[Optional[int], Optional[int]]]


def _filter(how: Lock) -> List[_Step]:
    """The program: a search tree over call numbers; each leaf refuses, looks at an argument, or allows.

    A tree, because the kernel tries every number once when a filter is set: a list of 150 would cost a millisecond.
    """
    machine = {"x86_64": 0, "aarch64": 1}.get(platform.machine())
    if machine is None:
        raise OSError(_ENOSYS, "no table of kernel calls for " + platform.machine())
    leaves: List[List[_Step]] = [[_give(_ALLOW)] for _ in range(syscalls.NUMBER_MAX + 1)]
    for name, numbers in _refused(how).items():
        number = numbers[machine]
        if number is not None and number < len(leaves):
            leaves[number] = [_give(_ERRNO | (_ENOSYS if name == "clone3" else _EPERM))]
    for name, body in _conditions(how):
        number = syscalls.SPECIAL[name][machine]
        if number is not None:
            leaves[number] = body
    leaves.append([_give(_ERRNO | _ENOSYS)])  # newer calls, and those of other machine types
    runs = [(at, leaf) for at, leaf in enumerate(leaves) if not at or leaf != leaves[at - 1]]
    steps: List[_Step] = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, (0xC000003E, 0xC00000B7)[machine]), _give(_KILL)]
    return [*steps, (_LOAD, 0, 0, 0), *_tree(runs)]


def _tree(runs: Sequence[Tuple[int, List[_Step]]]) -> List[_Step]:
    if len(runs) == 1:
        return runs[0][1]
    middle = len(runs) // 2
    low, high = _tree(runs[:middle]), _tree(runs[middle:])
    assert len(low) < 256, "a jump in a filter has eight bits"
    return [(_AT_LEAST, len(low), 0, runs[middle][0]), *low, *high]


def _refused(how: Lock) -> _Numbers:
    groups: List[_Numbers] = [
        syscalls.SIGNALS, syscalls.OTHERS_MEMORY, syscalls.NAMESPACES, syscalls.KERNEL, syscalls.CREDENTIALS,
        syscalls.SCHEDULING, {"clone3": syscalls.SPECIAL["clone3"]},
    ]  # fmt: skip
    if how.profile != "supervisor":
        groups += [syscalls.SOCKETS, syscalls.SHARED_MEMORY, {"socket": syscalls.SPECIAL["socket"]}]
    if how.profile == "python" and not how.may_exec:
        groups.append(syscalls.PROCESSES)
    if how.profile != "command" and not how.may_own:
        groups.append(syscalls.OWNERSHIP)
    refused: _Numbers = {name: numbers for group in groups for name, numbers in group.items()}
    if how.profile == "supervisor":  # its children lock themselves down once more; it keeps their logs in memfds
        for name in ("capset",) + (() if how.may_exec else ("execve", "execveat")):
            refused.pop(name, None)
        if not how.may_exec:
            refused.update({name: syscalls.PROCESSES[name] for name in ("execve", "execveat")})
    return refused


def _conditions(how: Lock) -> List[Tuple[str, List[_Step]]]:
    """Calls that depend on an argument. Every body ends in a return, on every way through it."""
    myself = _MYSELF
    forbidden_clone = [(_ANY_BIT, 0, 1, _CLONE_NEW), _give(_ERRNO | _EPERM), _give(_ALLOW)]
    if how.profile == "python":
        forbidden_clone = [(_ANY_BIT, 1, 0, _CLONE_THREAD), _give(_ERRNO | _EPERM), _give(_ALLOW)]
    rules: List[Tuple[str, List[_Step]]] = [
        ("clone", [_argument(0), *forbidden_clone]),
        ("socketpair", [_argument(0), *_only(_AF_UNIX)]),
        ("prlimit64", [_argument(0), *_only(0, myself)]),  # limits of the node itself could be lowered otherwise
        ("sched_setaffinity", [_argument(0), *_only(0, myself)]),
        ("ioctl", [_argument(1), *_but(*_IOCTLS)]),
    ]
    if how.profile == "supervisor":
        return [*rules, ("socket", [_argument(0), *_only(_AF_UNIX)])]
    shared = [
        _argument(3), (_ANY_BIT, 0, 2, _MAP_ANONYMOUS), (_ANY_BIT, 0, 1, _MAP_SHARED), _give(_ERRNO | _EPERM), _give(_ALLOW),
    ]  # fmt: skip
    rules.append(("mmap", shared))
    if how.profile == "python":
        rules += [(name, [_argument(0), *_only(myself)]) for name in ("kill", "tgkill")]
    return rules


def _argument(position: int) -> _Step:
    """Load the low half of a call's argument (both machines are little-endian)."""
    return (_LOAD, 0, 0, 16 + 8 * position)


def _only(*values: int) -> List[_Step]:
    tests: List[_Step] = [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [*tests, _give(_ERRNO | _EPERM), _give(_ALLOW)]


def _but(*values: int) -> List[_Step]:
    tests: List[_Step] = [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [*tests, _give(_ALLOW), _give(_ERRNO | _EPERM)]


def _give(action: int) -> _Step:
    return (_RETURN, 0, 0, action)
