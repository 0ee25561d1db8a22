"""Runs pip in a process that can do little else: python -I piprun.py FOLDER FILE_BYTES PIP-ARGUMENTS…

With a FOLDER the kernel (Landlock) lets the process write only below it and start no other program, so that no flaw in
pip's own checks of a wheel can reach farther. FOLDER "-": the owner's own request, not confined. Standard library only:
it is run as a file.
"""

import ctypes
import os
import resource
import runpy
import struct
import sys
import threading

_MEMORY = 4 << 30  # address space; pip reads metadata whole, and a hostile wheel's may unpack to anything
_PR_SET_NO_NEW_PRIVS = 38
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_EXECUTE, _WRITE_FILE, _IOCTL = 1, 2, 1 << 15
_CHANGES = _WRITE_FILE | 0x1FF0 | 1 << 13 | 1 << 14  # and make, remove, link, truncate
_ABI_BITS = ((1, (1 << 13) - 1), (2, (1 << 14) - 1), (3, (1 << 15) - 1))


def main() -> None:
    folder, file_bytes = sys.argv[1], int(sys.argv[2])
    libc = ctypes.CDLL(None, use_errno=True)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if folder != "-":
        _lower(resource.RLIMIT_AS, _MEMORY)
        _lower(resource.RLIMIT_FSIZE, file_bytes)
        if sys.platform == "linux":
            _confine(libc, folder)
    sys.argv = ["pip", *sys.argv[3:]]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


def _leave_with_parent() -> None:
    """End with the node, however it ends: it holds the other end of our stdin. (A signal for a parent's death comes
    already when the thread that started us does.)"""
    while os.read(0, 1):
        pass
    os._exit(1)


def _lower(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _confine(libc: ctypes.CDLL, folder: str) -> None:
    """Landlock: writes below `folder` only, no execution. A kernel without it (before 5.13) leaves pip's own checks."""
    abi = libc.syscall(_CREATE, None, 0, 1)
    if abi < 1:
        return
    known = max(bits for needed, bits in _ABI_BITS if abi >= needed)
    handled = (_CHANGES | _EXECUTE) & known
    ruleset = libc.syscall(_CREATE, struct.pack("Q", handled), 8, 0)
    _must(ruleset >= 0, "landlock_create_ruleset")
    for path, access in ((folder, _CHANGES & known), ("/dev/null", _WRITE_FILE)):
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        _must(libc.syscall(_ADD, ruleset, 1, struct.pack("=Qi", access, beneath), 0) == 0, "landlock_add_rule")
        os.close(beneath)
    _must(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs")
    _must(libc.syscall(_RESTRICT, ruleset, 0) == 0, "landlock_restrict_self")
    os.close(ruleset)


def _must(held: bool, what: str) -> None:
    if not held:
        raise OSError(ctypes.get_errno(), what)


if __name__ == "__main__":
    main()
