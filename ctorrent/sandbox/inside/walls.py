"""Namespaces and a private root, raised around a jail's supervisor where the kernel lets us.

Three processes: the first stays outside, only to name the user; the second makes the namespaces; the third is
process one inside and goes on. Inside: no network, other process numbers, the host name "sandbox", and a root that
holds nothing but what was asked for, read-only. Where any step is refused (no user namespaces, AppArmor, a container
around us) the first process goes on alone, without walls, and says so.
Sources: user_namespaces(7), pivot_root(2), mount_setattr(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from typing import Any, Dict, Tuple

from . import frames

NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)
_NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000 | 0x02000000
# user, mount, pid, net, ipc, uts, cgroup
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_ATTR_RDONLY, _ATTR_NOSUID = 1, 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_SETATTR = 442
_PR_SET_PDEATHSIG = 1
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def raise_walls(spec: Dict[str, Any]) -> int:
    """Go on inside walls if they can be raised. -> which stand (frames.WALL_*); 0: none, and nothing has changed.

    spec["walls"]: root (an empty folder), bind ([from, to]), links ([to, name]), mask, scratch (its path inside, or
    ""), scratch_bytes, scratch_files, inside (what of the spec is different behind them).
    """
    plan = spec.get("walls")
    if not plan:
        return 0
    up, down = os.pipe(), os.pipe()
    outer = os.fork()
    if outer:
        return _stay_outside(outer, up, down)
    try:
        _enter(plan, up[1], down[0])
    except OSError:
        os._exit(1)
    os.write(up[1], b"k")
    for fd in (*up, *down):
        os.close(fd)
    spec.update(plan["inside"])
    walls = frames.WALL_ROOT | frames.WALL_NET | frames.WALL_PIDS
    return walls | (frames.WALL_SCRATCH if plan["scratch"] else 0)


def _stay_outside(outer: int, up: Tuple[int, int], down: Tuple[int, int]) -> int:
    """The first process: names the user inside, then waits. Returns only if there are no walls."""
    os.close(up[1])
    os.close(down[0])
    if os.read(up[0], 1) == b"u" and _name_user(outer):
        os.write(down[1], b"g")
        if os.read(up[0], 1) == b"k":
            _wait_as_shell(outer)
    os.close(up[0])
    os.close(down[1])
    os.waitpid(outer, 0)
    return 0


def _wait_as_shell(pid: int) -> None:
    """Hold nothing, wait, and end as the one inside ended."""
    os.closerange(3, 1024)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _, status = os.waitpid(pid, 0)
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)


def _name_user(pid: int) -> bool:
    """Inside we are nobody: for root really another user, who owns nothing; else this user by another name."""
    user, group = os.getuid(), os.getgid()
    users = "0 0 1\n%d %d 1\n" % (NOBODY, NOBODY) if user == 0 else "%d %d 1\n" % (NOBODY, user)
    groups = "0 0 1\n%d %d 1\n" % (NOBODY, NOBODY) if user == 0 else "%d %d 1\n" % (NOBODY, group)
    try:
        for name, text in (("setgroups", "deny" if user else ""), ("uid_map", users), ("gid_map", groups)):
            if text:
                with open("/proc/%d/%s" % (pid, name), "w") as file:
                    file.write(text)
    except OSError:
        return False
    return True


def _enter(plan: Dict[str, Any], say: int, hear: int) -> None:
    """The second process; returns in the third. Raises OSError when a step is refused."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _check(_libc.unshare(_NEW_NAMESPACES), "unshare")
    os.write(say, b"u")
    if os.read(hear, 1) != b"g":
        os._exit(1)
    inner = os.fork()
    if inner:
        os.close(say)
        _wait_as_shell(inner)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _check(_libc.sethostname(b"sandbox", 7), "sethostname")
    _build_root(plan)
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a change of user forgets it
    os.umask(0o077)


# -- the root ---------------------------------------------------------------------------------------------------------


def _build_root(plan: Dict[str, Any]) -> None:
    root = plan["root"]
    _mount("", "/", "", _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,nr_inodes=2k,mode=755")
    for source, target in plan["bind"]:
        _bind(source, root + target)
    for device in _DEVICES:
        _bind(device, root + device)
    for target, name in plan["links"]:
        _folder(os.path.dirname(root + name))
        if not os.path.lexists(root + name):
            os.symlink(target, root + name)
    for path in plan["mask"]:
        if os.path.isdir(root + path):
            _mount("tmpfs", root + path, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "size=4k,mode=755")
    _mount_proc(root)
    if plan["scratch"]:
        _mount_scratch(root + plan["scratch"], plan)
    os.chdir(root)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", 2), "umount2")  # MNT_DETACH: the old root, which lies on top
    os.chdir("/")
    attributes = struct.pack("QQQQ", _ATTR_RDONLY, 0, 0, 0)
    _check(_libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, b"/", 0, attributes, len(attributes)), "mount_setattr /")


def _bind(source: str, target: str) -> None:
    """A read-only view of a file or folder; symbolic links are made again. What is not there is skipped."""
    if not os.path.lexists(source):
        return
    if os.path.lexists(target) and not os.path.isdir(source):
        return
    _folder(os.path.dirname(target))
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        _folder(target)
    else:
        open(target, "w").close()
    _mount(source, target, "", _MS_BIND | _MS_REC)
    attributes = struct.pack("QQQQ", _ATTR_RDONLY | _ATTR_NOSUID, 0, 0, 0)
    _check(
        _libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, target.encode(), _AT_RECURSIVE, attributes, len(attributes)),
        "mount_setattr " + target,
    )


def _mount_proc(root: str) -> None:
    """Only where no container has hidden parts of it from us; the few files that libraries want otherwise."""
    _folder(root + "/proc")
    try:
        _mount("proc", root + "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    except OSError:
        for name in ("/proc/cpuinfo", "/proc/meminfo"):
            _bind(name, root + name)


def _mount_scratch(target: str, plan: Dict[str, Any]) -> None:
    options = "size=%d,nr_inodes=%d,mode=1777" % (plan["scratch_bytes"], plan["scratch_files"])
    _folder(target)
    _mount("tmpfs", target, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, options)


def _folder(path: str) -> None:
    os.makedirs(path, 0o755, exist_ok=True)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    words = [word.encode() or None for word in (source, target, kind, options)]
    _check(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), "mount " + target)


def _check(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), what)
