"""What the supervisor is told: one JSON file, made from the job's spec and this machine's paths."""

from __future__ import annotations

import hashlib
import os
import py_compile
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from ctorrent.model.job import ProgramKind
from ctorrent.ports import CellSpec
from ctorrent.sandbox.limits import SandboxRules

# Part of what model/hardware_class.DETERMINISM names; torch's own switches are in inside/seeds.py.
DETERMINISTIC_GPU = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "NVIDIA_TF32_OVERRIDE": "0"}
_PACKAGE = "ctinside"  # the name of sandbox/inside/ inside
_SHARED = ("canon.py", "model/output_name.py", "verify/freivalds.py")  # the last for programs (inside/offered.py)
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
_OTHERS = ("site-packages", "dist-packages")
_MACHINE = ("/dev/null", "/dev/urandom", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")


def interpreter() -> str:
    """This node's own Python outside any virtual environment."""
    return str(Path(getattr(sys, "_base_executable", "") or sys.executable).resolve())


def standard_library() -> str:
    return sysconfig.get_path("stdlib")


def python_paths(masked: bool = False) -> list[str]:
    """The standard library and the shared libraries of that Python, without anybody's site-packages.

    masked: those are hidden by other means, so the folder can be named as one. The kernel copies a process's list of
    paths at each fork's lock: two hundred cost a tenth of a millisecond.
    """
    library = Path(standard_library())
    paths = [library] if masked else [path for path in library.iterdir() if path.name not in _OTHERS]
    paths += Path(sysconfig.get_config_var("LIBDIR") or library).glob("libpython*.so*")
    return sorted(str(path) for path in paths)


def packages_of_others() -> list[str]:
    """Folders that hold the owner's own packages, beside what blocks may read."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = [f"{standard_library()}/{name}" for name in _OTHERS]
    return [*library, "/usr/lib/python3/dist-packages", f"/usr/local/lib/{version}/dist-packages", f"/usr/local/lib/{version}/site-packages"]


def describe(spec: CellSpec, rules: SandboxRules) -> dict[str, Any]:
    """What is the same at every level; a level adds socket, code, site, read, write, devices, need_landlock."""
    python = spec.program.kind is ProgramKind.PYTHON
    return {
        "kind": "python" if python else "command",
        "argv": list(spec.program.argv),
        "outputs": spec.program.outputs,
        "ready": max(1, spec.slots) + rules.spare,
        "cpu": max(1, spec.needs.cpu),
        "memory_bytes": None if spec.gpus else spec.needs.memory_bytes,  # CUDA maps more than any machine has
        "log_bytes": spec.limits.log_bytes,
        "output_bytes": spec.limits.output_bytes,
        "scratch_bytes": spec.limits.scratch_bytes,
        "scratch_files": rules.scratch_files,
        "processes": rules.processes,
        "hash_seed": spec.hash_seed,
        "gpu": bool(spec.gpus),
        "preload": spec.own or not spec.environment.lock,  # packages that others pinned run in their own blocks only
        "supervisor_read": [],
        "listed": [standard_library()],
    }


def surroundings(spec: CellSpec) -> dict[str, str]:
    """The whole environment of a program: the same on every machine."""
    threads = str(max(1, spec.needs.cpu))
    counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    return {
        "PYTHONHASHSEED": str(spec.hash_seed),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "PATH": "/ct-bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/nonexistent",
        **dict.fromkeys(counts, threads),
        **(DETERMINISTIC_GPU if spec.gpus else {}),
    }


def system_paths() -> list[str]:
    """Read-only paths any program of this machine needs."""
    return [path for path in (*_SYSTEM, *_MACHINE) if os.path.lexists(path)]


def install_inside(data_dir: Path) -> Path:
    """Copy sandbox/inside/ and what it shares with us where a sandbox may read it. -> the folder that holds the package."""
    here = Path(__file__).parent
    files = [*sorted((here / "inside").glob("*.py")), *(here.parent / shared for shared in _SHARED)]
    contents = {file.name: file.read_bytes() for file in files}
    mark = hashlib.sha256(b"".join(name.encode() + b"\0" + data for name, data in contents.items())).hexdigest()[:16]
    target = data_dir / "inside" / mark
    if target.is_dir():
        return target
    fresh = target.with_name(f"{mark}.{os.getpid()}")
    package = fresh / _PACKAGE
    package.mkdir(parents=True)
    for name, data in contents.items():
        (package / name).write_bytes(data)
        py_compile.compile(str(package / name), dfile=f"{_PACKAGE}/{name}", quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    try:
        fresh.rename(target)
    except OSError:  # another node of this data folder was faster
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def boot_file(installed: Path | str) -> str:
    return f"{installed}/{_PACKAGE}/boot.py"
