"""What a function needs where it runs: packages of an index by their names, and modules of one's own as their text.

A module is the standard library's, or a package's that is installed, or local: a file of one's own, an editable
install, a notebook. Functions and classes of local modules travel by value; a local module that is imported inside a
function's body travels as its source.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import pathlib
import re
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from types import ModuleType

from ctorrent.errors import LocalError

SOURCES_MAX = 1000  # files of local modules: more is a project, which belongs into a package
SOURCES_BYTES_MAX = 4 << 20  # of them together: what a job carries inside its list of files
_OWN = frozenset({"__main__", "__mp_main__"})
_OFFERED = "ctorrent.verify.freivalds"  # what of ours a sandbox has
_CARRIED = frozenset({"cloudpickle", "ctorrent_call"})  # travel with every function


@cache
def _installed_folders() -> tuple[str, ...]:
    """Folders whose modules are not one's own."""
    found = {*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()}
    own = {sysconfig.get_path("scripts"), sysconfig.get_path("data")}  # "data" is the environment's root: a project may lie there
    return tuple(sorted(str(pathlib.Path(folder)) + "/" for folder in found - own))


def top(module: str) -> str:
    """"sklearn.svm" -> "sklearn"."""
    return module.partition(".")[0]


@cache
def is_standard(module: str) -> bool:
    """Is it there wherever Python is?"""
    return top(module) in sys.stdlib_module_names or top(module) in sys.builtin_module_names


def is_local(module: str) -> bool:
    """Is it one's own: a script, a notebook, a file beside one, or an editable install? Then no index has it."""
    name = top(module)
    if name in _OWN:
        return True
    if is_standard(name) or name in _CARRIED or name == "ctorrent":
        return False
    place = _place(name)
    return place is not None and not place.startswith(_installed_folders()) and "-packages/" not in place


def _place(name: str) -> str | None:
    """Where a top-level module is, or None: made by hand, or not there at all."""
    module = sys.modules.get(name)
    try:
        spec = getattr(module, "__spec__", None) if module is not None else importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    file = getattr(module, "__file__", None) or (spec.origin if spec is not None and spec.has_location else None)
    if file is None and spec is not None and spec.submodule_search_locations:
        file = next(iter(spec.submodule_search_locations), None)
    return None if file is None else str(pathlib.Path(file).absolute()) + ("" if file.endswith(".py") else "/")


def local_modules() -> list[ModuleType]:
    """Loaded modules whose functions and classes travel by value."""
    found = [(name, module) for name, module in list(sys.modules.items()) if isinstance(module, ModuleType)]
    known: dict[str, bool] = {}
    for name, _ in found:
        if top(name) not in known:
            known[top(name)] = is_local(name)
    return [module for name, module in found if known[top(name)] and name not in _OWN and module.__name__ == name]


# Packages ------------------------------------------------------------------------------------------------------------


def packages_of(modules: Iterable[str]) -> tuple[str, ...]:
    """Names, as an index has them, of the packages whose modules these are; sorted.

    Raises LocalError: a package was installed from a file or a repository, so that no worker can install it, or a
    module is not there.
    """
    found = set()
    for name in sorted({top(module) for module in modules if not module.startswith(_OFFERED)}):
        if not (is_standard(name) or name in _CARRIED or is_local(name)):
            found.add(_package_of(name))
    return tuple(sorted(found))


def _package_of(module: str) -> str:
    if module == "ctorrent":
        raise LocalError(
            "The function uses ctorrent itself, which is not there where it runs.", "Keep what talks to the network out of it; it gets its data as arguments."
        )
    try:
        package = importlib.metadata.distribution(module)
    except importlib.metadata.PackageNotFoundError:
        names = _distributions().get(module)
        if not names:
            raise LocalError(
                f"The function imports {module}, which is not installed here, so nobody knows which package it is of.",
                f'Install it, or name its package: net.map(…, packages=["{module}"]).',
            ) from None
        package = importlib.metadata.distribution(names[0])
    name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
    if package.read_text("direct_url.json"):
        raise LocalError(
            f"The function imports {module} of {name}, which was installed from a file or a repository: no worker can install it.",
            f'Name what an index has instead: net.map(…, packages=["{name}"]); or put its source beside your script.',
        )
    return name


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())  # looks through every installed package: a tenth of a second


# Source --------------------------------------------------------------------------------------------------------------


def sources_of(modules: Iterable[str]) -> tuple[dict[str, bytes], set[str]]:
    """Text of local modules and of the local ones that they import. -> path -> content, and what else they import.

    Raises LocalError where that is more than a job carries.
    """
    files: dict[str, bytes] = {}
    others: set[str] = set()
    waiting, seen = sorted({top(module) for module in modules}), set()
    while waiting:
        name = waiting.pop()
        if name in seen or name in _OWN:
            continue
        seen.add(name)
        if not is_local(name):
            others.add(name)
            continue
        for path, content in _files(name):
            files[path] = content
            _check(name, files)
            waiting += _imported(content)
    return files, others


def _files(name: str) -> Iterator[tuple[str, bytes]]:
    place = _place(name)
    if place is None:
        return
    path = pathlib.Path(place.rstrip("/"))
    root = path if path.is_dir() else path.parent
    if path.is_file() and path.name != "__init__.py":
        yield path.name, path.read_bytes()
        return
    for each in sorted(root.rglob("*.py")):
        yield f"{name}/{each.relative_to(root).as_posix()}", each.read_bytes()


def _check(name: str, files: dict[str, bytes]) -> None:
    if len(files) > SOURCES_MAX or sum(map(len, files.values())) > SOURCES_BYTES_MAX:
        raise LocalError(
            f"The function imports {name}, which with what it imports is more than {SOURCES_MAX} files or {SOURCES_BYTES_MAX >> 20} MiB of source.",
            "Import only the part that is needed, or make a package of it that workers can install.",
        )


def _imported(content: bytes) -> list[str]:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # whoever imports it is told
        return []
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [top(alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.append(top(node.module))
    return names
