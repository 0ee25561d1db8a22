"""The first process of a sandbox: `python -s -S -B boot.py SPEC`, where SPEC is a JSON file that the node wrote.

Connects to the node, raises walls where it may, locks itself half down, preloads, and becomes the supervisor. What
fails on the way is told to the node in words.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import sysconfig
from typing import Any, Dict

_PRELOADED_BYTES_MAX = 2 << 30  # private memory of packages, before any block: torch takes half of it


def _import_ours(kind: str) -> Any:
    """Our package by the name of its folder, and then out of the program's way."""
    registers = os.register_at_fork
    # threading's hook and random's write to eighty pages of each child, for threads that are not there and a seed that
    # is set anyway; the supervisor calls threading's where it is needed. Packages may hook as they like.
    os.register_at_fork = lambda **_: None
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = os.path.dirname(here)
    package = os.path.basename(here)
    names = ("frames", "lockdown", "walls", "runner", "canon", "seeds", "freivalds", "offered", "supervisor", "child") + (("command",) if kind == "command" else ())
    modules = {name: importlib.import_module(package + "." + name) for name in names}
    del sys.path[0]
    os.register_at_fork = registers
    return modules


def child_main() -> None:
    """A child that was started afresh, with its description in a memory file that its supervisor made."""
    with open(int(sys.argv[2]), "rb") as file:
        file.seek(0)
        spec: Dict[str, Any] = json.load(file)
    ours = _import_ours(spec["kind"])
    if spec["preload"]:
        sys.path += spec["site"]
    sys.dont_write_bytecode = True
    seeder = ours["seeds"].Seeder()
    sys.meta_path.insert(0, seeder)
    read = ours["supervisor"].preload(spec) if spec["kind"] == "python" else b""
    child = ours["child" if spec["kind"] == "python" else "command"]
    child.main(ours["supervisor"].Birth(spec, int(sys.argv[3]), ours["supervisor"].Code(spec["folder"], read), seeder, child.prepare(spec), int(sys.argv[4])))


def main() -> None:
    with open(sys.argv[1]) as file:
        spec: Dict[str, Any] = json.load(file)
    ours = _import_ours(spec["kind"])
    frames = ours["frames"]
    if spec["kind"] == "probe":  # which walls could be raised on this machine?
        os.write(1, b"%d" % ours["walls"].raise_walls(spec))
        return
    control = socket.socket(socket.AF_UNIX)
    control.connect(spec["socket"])
    try:
        walls = _prepare(spec, ours)
        read = b""
        walls |= _lock(spec, ours)
        supervise = ours["supervisor"]
        child = ours["child" if spec["kind"] == "python" else "command"]
        if spec["kind"] == "python" and not spec["gpu"]:
            read = supervise.preload(spec)
        ready = child.prepare(spec)
        control.sendall(frames.HELLO.pack(frames.MAGIC, frames.SUPERVISOR, walls))
        supervise.Supervisor(spec, supervise.Code(spec["folder"], read), control, child.main, ready).run()
    except BaseException as error:
        text = ("%s: %s" % (type(error).__name__, error)).encode("utf-8", "replace")[-4000:]
        control.sendall(frames.HELLO.pack(frames.MAGIC, frames.TROUBLE, len(text)) + text)
        raise


def _prepare(spec: Dict[str, Any], ours: Any) -> int:
    """Walls, working folder and paths of this process; children inherit them."""
    walls: int = ours["walls"].raise_walls(spec)
    if spec["preload"]:  # else not even in sight: the standard library asks for modules that are not there, msvcrt for one
        sys.path += spec["site"]
    if spec.get("image_packages"):  # a named image: its packages are the environment
        spec["site"] += [path for path in (sysconfig.get_path("purelib"), "/usr/lib/python3/dist-packages") if os.path.isdir(path)]
        spec["read"].append(sys.base_prefix)
        sys.path += spec["site"]
    sys.dont_write_bytecode = True
    return walls


def _lock(spec: Dict[str, Any], ours: Any) -> int:
    """Lock the supervisor itself, before any package is imported."""
    lockdown = ours["lockdown"]
    how = lockdown.Lock(
        profile="supervisor",
        read=spec["read"] + spec["supervisor_read"],
        listed=spec["listed"],
        write=spec["write"],
        devices=[*spec["devices"], "/dev/null"],
        data_bytes=None if spec["memory_bytes"] is None else spec["memory_bytes"] + _PRELOADED_BYTES_MAX,
        may_own=spec["kind"] != "python",
        may_exec=spec["kind"] != "python" or bool(spec["devices"]),
        need_landlock=spec["need_landlock"],
    )
    landlock = lockdown.lock(how) >= 1
    return int(ours["frames"].WALL_LANDLOCK) if landlock else 0


if sys.argv[1] == "child":
    try:
        child_main()
    except BaseException as error:
        os.write(2, ("%s: %s" % (type(error).__name__, error)).encode("utf-8", "replace"))
        os._exit(3)  # frames.EXIT_BROKEN: our own fault
else:
    main()
