"""What a jail behind walls sees: the plan that inside/walls.py carries out.

    /ct          the cell's socket and description               /site     the environment's packages
    /job         the job's files
    /ct-bin      this node's Python, for commands                /scratch  a command's only place to write; capped
    and, at the same paths as outside and read-only: Python, system libraries; for commands the programs in /usr
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ctorrent.sandbox import description, gpu
from ctorrent.sandbox.inside import frames

_COMMANDS = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/fonts", "/etc/magic", "/etc/mime.types", "/etc/java", "/etc/perl",
)  # fmt: skip
_SCRATCH = "/scratch"
JOB = "/job"
_READ_DEVICES = ["/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"]


def walls(root: Path, cell: Path, site: Path | None, told: dict[str, Any], installed: Path) -> dict[str, Any]:
    """The plan for one cell. told: the description so far; behind walls some of it is different."""
    commands = told["kind"] == "command"
    programs = [path for path in _COMMANDS if os.path.lexists(path)]
    system = programs if commands else description.system_paths()
    library = str(Path(description.standard_library()).parent)
    folders = [path for path in (library, str(Path(description.interpreter()).parent)) if not path.startswith("/usr/")]
    bind = [[path, path] for path in (*system, *folders) if not path.startswith(("/dev/", "/proc/"))]
    bind += [["/sys/devices/system/cpu", "/sys/devices/system/cpu"], [str(cell), "/ct"], [told["folder"], JOB]]
    sites = ["/site"] if site else []
    if site:
        bind.append([str(site), "/site"])
    inside: dict[str, Any] = {"socket": "/ct/s", "folder": JOB, "site": sites, "supervisor_read": ["/ct", "/proc"]}
    python = ["/ct-bin", *folders] if commands else description.python_paths(masked=True)
    inside["read"] = [JOB, *python, *system, *sites, "/sys/devices/system/cpu", "/proc" if commands else "/proc/cpuinfo", *_READ_DEVICES]
    if told["gpu"]:
        bind += [[path, path] for path in (*told["devices"], *gpu.read_paths(), description.interpreter()) if not path.startswith("/proc")]
        bind.append([str(installed), "/ctlib"])
        inside["boot"] = description.boot_file("/ctlib")
        inside["supervisor_read"] += ["/ctlib", description.interpreter()]
        inside["read"] += gpu.read_paths()
    if commands:
        inside.update({"scratch": _SCRATCH, "write": [_SCRATCH]})
    return {
        "root": str(root),
        "bind": bind,
        "links": [["/proc/self/fd", "/dev/fd"], [description.interpreter(), "/ct-bin/python3"], ["python3", "/ct-bin/python"]],
        "mask": description.packages_of_others(),
        "scratch": _SCRATCH if commands else "",
        "scratch_bytes": told["scratch_bytes"] * told["ready"],
        "scratch_files": told["scratch_files"] * told["ready"],
        "inside": inside,
    }


def probe(data_dir: Path, installed: Path) -> int:
    """Which walls can be raised on this machine (frames.WALL_*)? Tries it, in 50 ms."""
    with tempfile.TemporaryDirectory(dir=data_dir, prefix="probe-") as folder:
        cell, root, spec = Path(folder) / "cell", Path(folder) / "root", Path(folder) / "spec.json"
        cell.mkdir()
        root.mkdir()
        told = {"kind": "command", "scratch_bytes": 1 << 20, "scratch_files": 64, "ready": 1, "gpu": False, "folder": str(cell)}
        spec.write_text(json.dumps({"kind": "probe", "walls": walls(root, cell, None, told, installed)}))
        argv = [description.interpreter(), "-s", "-S", "-B", description.boot_file(installed), str(spec)]
        done = subprocess.run(argv, capture_output=True, env={}, timeout=30, check=False, stdin=subprocess.DEVNULL)
    try:
        return int(done.stdout)
    except ValueError:
        return 0


WALLS_ALL = frames.WALL_ROOT | frames.WALL_NET | frames.WALL_PIDS | frames.WALL_SCRATCH
