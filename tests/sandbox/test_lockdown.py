"""The lock's own tables, read as the kernel would run them."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from ctorrent.sandbox.inside import lockdown, syscalls
from ctorrent.sandbox.inside.lockdown import Lock

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026


def _answer(how: Lock, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the filter says to a call: a small interpreter of the BPF that it is made of."""
    data = struct.pack("IIQ6Q", number, _ARCH[platform.machine()] if arch is None else arch, 0, *(*arguments, *[0] * 6)[:6])
    steps, at, value = lockdown._filter(how), 0, 0
    while True:
        code, yes, no, operand = steps[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            (value,) = struct.unpack_from("I", data, operand)
            continue
        test = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[code]
        at += yes if test else no


def _number(name: str) -> int:
    machine = 0 if platform.machine() == "x86_64" else 1
    for group in vars(syscalls).values():
        if isinstance(group, dict) and name in group:
            return int(group[name][machine])
    raise KeyError(name)


PYTHON, COMMAND, SUPERVISOR = Lock("python"), Lock("command"), Lock("supervisor")


def test_another_machine_type_is_killed_and_newer_calls_do_not_exist() -> None:
    assert _answer(PYTHON, 0, arch=0x40000003) == _KILL
    assert _answer(PYTHON, syscalls.NUMBER_MAX + 1) == _ENOSYS
    assert _answer(PYTHON, 0x40000000 | _number("ptrace")) == _ENOSYS  # the x32 numbers of x86-64


@pytest.mark.parametrize("group", ["SIGNALS", "OTHERS_MEMORY", "NAMESPACES", "KERNEL", "CREDENTIALS", "SOCKETS", "SHARED_MEMORY"])
def test_no_program_makes_calls_of_these_groups(group: str) -> None:
    machine = 0 if platform.machine() == "x86_64" else 1
    for name, numbers in getattr(syscalls, group).items():
        number = numbers[machine]
        if number is not None:
            wanted = _ENOSYS if number > syscalls.NUMBER_MAX else _EPERM
            assert _answer(PYTHON, number) == _answer(COMMAND, number) == wanted, name


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these numbers are of x86-64")
def test_ordinary_calls_are_allowed() -> None:
    for number in (0, 1, 3, 8, 9, 10, 11, 12, 13, 14, 24, 35, 39, 60, 72, 96, 186, 202, 228, 230, 231, 257, 262, 318, 332, 334):
        assert _answer(PYTHON, number) == _ALLOW, number


def test_a_python_block_is_one_process_and_a_command_is_not() -> None:
    thread, namespace = 0x10000, 0x10000000
    assert _answer(PYTHON, _number("clone"), thread) == _ALLOW and _answer(PYTHON, _number("clone"), 17) == _EPERM
    assert _answer(COMMAND, _number("clone"), 17) == _ALLOW and _answer(COMMAND, _number("clone"), 17 | namespace) == _EPERM
    assert _answer(PYTHON, _number("clone3")) == _ENOSYS
    assert _answer(PYTHON, _number("execve")) == _EPERM and _answer(COMMAND, _number("execve")) == _ALLOW
    assert _answer(SUPERVISOR, _number("execve")) == _EPERM and _answer(SUPERVISOR, _number("clone"), 17) == _ALLOW


def test_a_supervisor_of_python_blocks_leaves_files_modes_alone_too() -> None:
    for name in ("chmod", "fchmodat", "fchmodat2", "utimensat", "setxattr"):
        assert _answer(SUPERVISOR, _number(name)) == _answer(PYTHON, _number(name)) == _EPERM, name
        assert _answer(Lock("supervisor", may_exec=True), _number(name)) == _EPERM, name
        assert _answer(Lock("supervisor", may_own=True), _number(name)) == _answer(COMMAND, _number(name)) == _ALLOW, name


def test_arguments_decide() -> None:
    myself, other = lockdown._MYSELF, 1
    for name in ("kill", "tgkill"):
        assert _answer(PYTHON, _number(name), myself) == _ALLOW and _answer(PYTHON, _number(name), other) == _EPERM
    for name in ("prlimit64", "sched_setaffinity"):
        assert _answer(COMMAND, _number(name), 0) == _ALLOW and _answer(COMMAND, _number(name), other) == _EPERM
    mmap, shared, private, anonymous = _number("mmap"), 1, 2, 0x20
    assert _answer(PYTHON, mmap, 0, 0, 0, shared | anonymous) == _EPERM
    assert _answer(PYTHON, mmap, 0, 0, 0, private | anonymous) == _ALLOW and _answer(PYTHON, mmap, 0, 0, 0, shared) == _ALLOW
    assert _answer(PYTHON, _number("ioctl"), 0, 0x5412) == _EPERM and _answer(PYTHON, _number("ioctl"), 0, 0x5401) == _ALLOW
    assert _answer(SUPERVISOR, _number("socket"), 1) == _ALLOW and _answer(SUPERVISOR, _number("socket"), 40) == _EPERM
    assert _answer(PYTHON, _number("socketpair"), 1) == _ALLOW and _answer(PYTHON, _number("socketpair"), 40) == _EPERM


def test_the_table_agrees_with_this_machines_headers() -> None:
    """Where the C library's headers are installed; a wrong number would refuse nothing, or the wrong thing."""
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("no kernel headers here")
    known = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())}
    for group in (value for title, value in vars(syscalls).items() if title.isupper() and isinstance(value, dict)):
        for name, (x86, _) in group.items():
            assert x86 is None or name not in known or known[name] == x86, name


def _in_a_locked_child(how: Lock, body: Callable[[], object]) -> int:
    """Exit code of a process that locked itself and ran `body`: 0, or the errno of what it raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # trio's idle threads: the child uses none of their locks
        pid = os.fork()
    if not pid:
        try:
            lockdown.lock(how)
            body()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 255)
        finally:
            os._exit(254)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.real
def test_a_lock_holds_for_root_too() -> None:
    how = Lock("python", read=["/usr", "/lib", "/lib64"], files=64)
    assert _in_a_locked_child(how, lambda: Path("/usr").stat()) == 0
    assert _in_a_locked_child(how, lambda: os.close(os.open("/usr/bin/env", os.O_RDONLY))) == 0
    assert _in_a_locked_child(how, lambda: os.open("/etc/passwd", os.O_RDONLY)) == 13
    assert _in_a_locked_child(how, lambda: Path("/tmp").chmod(0o1777)) == 1
    assert _in_a_locked_child(how, lambda: os.setuid(0)) == 1
    assert _in_a_locked_child(how, lambda: ctypes.CDLL(None).prctl(22, 0, 0, 0, 0)) == 0
