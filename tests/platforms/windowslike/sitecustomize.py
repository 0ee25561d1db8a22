"""Takes from a Python what Windows does not have, before any of ours is imported. On PYTHONPATH of child processes.

Third-party libraries were installed for this machine's system and are loaded first, as it is. `-I` and `-S` keep this
out. What it cannot show: how Windows itself behaves (its files that cannot be removed while open, its firewall).
"""

import asyncio  # noqa: F401 - its loop for this system needs fcntl
import fcntl
import functools
import importlib
import multiprocessing.util  # noqa: F401
import os
import platform
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile  # noqa: F401
import time
import types

GONE = ["fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "readline", "curses", "syslog", "crypt", "nis", "spwd"]
OS_GONE = ["fork", "forkpty", "getuid", "geteuid", "getgid", "getegid", "setuid", "setgid", "getpgid", "setpgid", "setsid", "getsid", "killpg", "pread", "pwrite", "preadv", "pwritev", "sync", "fdatasync", "fstatvfs", "mkfifo", "mknod", "copy_file_range", "sched_getaffinity", "sched_setaffinity", "sysconf", "getloadavg", "chown", "fchown", "lchown", "fchmod", "nice", "getpriority", "posix_fadvise", "posix_fallocate", "memfd_create", "pipe2", "wait3", "wait4", "O_DIRECTORY", "O_PATH", "O_SYNC", "O_DSYNC", "register_at_fork"]
SIGNALS_GONE = ["SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGALRM", "SIGPIPE", "SIGSYS", "SIGXCPU", "SIGWINCH", "SIGTSTP", "SIGQUIT", "SIGSTOP", "SIGCONT", "pthread_sigmask", "pthread_kill"]
LIBRARIES = ["fastapi", "hypercorn.trio", "libp2p", "libp2p.kad_dht.kad_dht", "libp2p.pubsub.gossipsub", "numpy", "platformdirs.unix", "prometheus_client", "psutil", "rich.console", "rich.progress", "ruamel.yaml", "trio", "typer", "zeroconf.asyncio"]
_socketpair, _AF_UNIX = socket.socketpair, socket.AF_UNIX
_flock, _EX, _NB = fcntl.flock, fcntl.LOCK_EX, fcntl.LOCK_NB


def _load_libraries() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    cores = os.cpu_count()
    sys.modules["psutil"]._psplatform.cpu_count_logical = lambda: cores  # its Linux asks os.sysconf, its Windows does not


def _msvcrt() -> types.ModuleType:
    """What our lock asks of it: of one file, one process at a time."""
    module = types.ModuleType("msvcrt")
    module.LK_NBLCK = 2

    def locking(handle: int, mode: int, size: int) -> None:
        assert mode == 2 and size == 1
        _flock(handle, _EX | _NB)

    module.locking = locking
    module.getwch = lambda: "\r"
    return module


class _Popen(subprocess.Popen):
    def __init__(self, *args: object, **more: object) -> None:
        assert not more.get("pass_fds"), "pass_fds not supported on Windows."
        assert not more.get("preexec_fn"), "preexec_fn is not supported on Windows platforms"
        super().__init__(*args, **more)


def take_away() -> None:
    _load_libraries()
    for name in GONE:
        sys.modules[name] = None
    sys.modules["msvcrt"] = _msvcrt()
    for name in OS_GONE:
        os.__dict__.pop(name, None)
    for name in SIGNALS_GONE:
        signal.__dict__.pop(name, None)
    for name in ("AF_UNIX", "SO_PEERCRED", "SCM_RIGHTS"):
        socket.__dict__.pop(name, None)
    for name in ("clock_gettime", "CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        time.__dict__.pop(name, None)
    socket.socketpair = functools.partial(_socketpair, _AF_UNIX)  # Windows has one, made of loopback sockets
    platform.system = lambda: "Windows"
    if os.environ.get("WINDOWSLIKE_NAME"):  # for what only talks: libraries that run a loop look at this name late
        sysconfig.get_config_vars()  # reads a file that is named after the system
        sys.platform = "win32"
    subprocess.Popen = _Popen


if not sys.flags.isolated:
    take_away()
