"""Which modules will the code import? Found by reading it, without running it.

Runs in a locked process of its own, for the text is a stranger's. The supervisor loads those that are packages of
the environment or of the standard library before it forks, so that no unit pays for importing numpy again.
"""

from __future__ import annotations

import ast
import importlib.machinery
import os
import re
import sys
from typing import Any, Dict, List, Set

SOURCE_BYTES_MAX = 256 << 10  # one file: larger ones have data in them
SOURCES_BYTES_MAX = 1 << 20  # all, for each child copies them with their compiled code
LOOKED_MAX = 20_000  # files in all, of whatever kind: 0.1 s
NAMES_MAX = 64  # a job file imports a dozen; more only slows the start
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*){0,7}\Z")
_NEVER = {"antigravity", "this", "idlelib", "test", "turtle", "turtledemo", "tkinter", "ensurepip", "lib2to3", "site"}


def sources(folder: str) -> Dict[str, bytes]:
    """Python files of a job's folder by their paths, those at the top first, as far as reading them ahead is worth it."""
    files: Dict[str, bytes] = {}
    looked = total = 0
    for top, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            looked += 1
            path = os.path.join(top, name)
            if not name.endswith(".py") or os.lstat(path).st_size > SOURCE_BYTES_MAX:
                continue
            with open(path, "rb") as file:
                content = file.read(SOURCE_BYTES_MAX)
            total += len(content)
            if looked > LOOKED_MAX or total > SOURCES_BYTES_MAX:
                return files
            files[os.path.relpath(path, folder)] = content
    return files


def imports(files: Dict[str, bytes]) -> List[str]:
    """Names that Python files import, sorted; files that do not parse are passed over."""
    found: Set[str] = set()
    for name in sorted(files):
        try:
            tree = ast.parse(files[name])
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
            found.update(_named(node))
    return sorted(name for name in found if _NAME.match(name))[:NAMES_MAX]


def _named(node: ast.AST) -> List[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module]
    return []


def preloadable(lines: bytes, site: List[str]) -> List[str]:
    """Of the names that a scan wrote, one a line, those that belong to the environment or the standard library."""
    names = [line.decode("ascii", "replace") for line in lines.split(b"\n")[:NAMES_MAX]]
    return [name for name in names if _NAME.match(name) and _ours(name.split(".")[0], site)]


def _ours(top: str, site: List[str]) -> bool:
    if top in _NEVER:
        return False
    standard: Any = getattr(sys, "stdlib_module_names", ())  # Python 3.10
    return top in standard or importlib.machinery.PathFinder.find_spec(top, site) is not None
