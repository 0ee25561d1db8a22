"""The standard library's own tests of executors, from wherever this machine has them.

An interpreter may come without its tests; then those of another Python here are taken, the nearest version first. They
are copied into a folder of the test's and imported under a name of their own, so that what they define travels as a
user's own module does. $CTORRENT_STDLIB_TESTS names a folder that holds them.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

NAME = "stdlib_suite_copy"
_VERSION = re.compile(r"python3\.(\d+)$")
_HOMES = {  # of the mixins, in the package that it is from 3.12 on
    "ExecutorTest": "executor", "WaitTests": "test_wait", "AsCompletedTests": "test_as_completed",
    "ExecutorShutdownTest": "test_shutdown", "FutureTests": "test_future",
}  # fmt: skip


def load(folder: Path) -> SimpleNamespace | None:
    """The mixins, by name, and `modules` that they are in; None where no Python here has them."""
    found = next(_places(), None)
    if found is None:
        return None
    support: Any = importlib.import_module("test.support")
    if not hasattr(support, "Py_GIL_DISABLED"):  # asked by the suite of 3.13 about its own interpreter
        support.Py_GIL_DISABLED = False
    sys.path.insert(0, str(folder))
    try:
        if found.is_dir():
            shutil.copytree(found, folder / NAME, ignore=shutil.ignore_patterns("__pycache__"))
            modules = {name: importlib.import_module(f"{NAME}.{home}") for name, home in _HOMES.items()}
        else:
            shutil.copyfile(found, folder / f"{NAME}.py")
            modules = dict.fromkeys(_HOMES, importlib.import_module(NAME))
    finally:
        sys.path.remove(str(folder))
    mixins: dict[str, Any] = {name: getattr(module, name) for name, module in modules.items()}
    return SimpleNamespace(modules=modules, where=found, **mixins)


def _places() -> Iterator[Path]:
    """Where the suite lies: this interpreter's, then others' by how near their version is."""
    folders = [Path(os.environ["CTORRENT_STDLIB_TESTS"])] if "CTORRENT_STDLIB_TESTS" in os.environ else []
    folders.append(Path(sysconfig.get_path("stdlib")) / "test")
    beside = [*Path(sys.base_prefix).parent.glob("*/lib/python3.*"), *Path("/usr/lib").glob("python3.*")]
    known = sorted((abs(int(match[1]) - sys.version_info.minor), str(path)) for path in beside if (match := _VERSION.search(path.name)))
    folders += [Path(path) / "test" for distance, path in known if distance <= 2]
    for folder in folders:
        for name in ("test_concurrent_futures", "test_concurrent_futures.py"):
            if (folder / name).exists():
                yield folder / name
