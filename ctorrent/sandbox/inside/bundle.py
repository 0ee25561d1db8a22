"""Imports from the code bundle: a map {relative path: bytes} that never becomes files.

A traceback names `search.py`, line 3, and shows the line; `pkgutil.get_data` and `importlib.resources.files(…)` of
Python 3.9 read other files through `get_data`.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import linecache
import sys
import types
from typing import Any, Dict, Optional, Sequence


class Bundle:
    """Finder and loader of the bundle's modules. Comes before the folders of sys.path, as a script's own folder does."""

    def __init__(self, files: Dict[str, bytes]) -> None:
        self.files = files

    def install(self) -> None:
        sys.meta_path.insert(-1 if sys.meta_path else 0, self)

    def find_spec(self, name: str, path: Optional[Sequence[str]], target: Any = None) -> Any:
        base = name.replace(".", "/")
        for file, package in ((base + "/__init__.py", True), (base + ".py", False)):
            if file in self.files:
                spec = importlib.machinery.ModuleSpec(name, self, origin=file, is_package=package)  # type: ignore[arg-type]
                spec.has_location = True
                return spec
        if any(file.startswith(base + "/") for file in self.files):
            return importlib.machinery.ModuleSpec(name, None, is_package=True)  # a namespace package
        return None

    def create_module(self, spec: Any) -> Optional[types.ModuleType]:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        file = module.__spec__.origin if module.__spec__ else None
        assert file is not None
        exec(self.compiled(file), module.__dict__)

    def get_data(self, path: str) -> bytes:
        """A file of the bundle. Raises OSError when there is none."""
        if path not in self.files:
            raise FileNotFoundError(2, "not in the code bundle", path)
        return self.files[path]

    def compiled(self, file: str) -> types.CodeType:
        """Code of one file. Raises SyntaxError; its source is kept for tracebacks."""
        source = importlib.util.decode_source(self.files[file])
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        code: types.CodeType = compile(source, file, "exec", dont_inherit=True)
        return code


def module_of(file: str) -> str:
    """Module name of "tools/search.py": "tools.search"."""
    return file[: -len(".py")].replace("/", ".")
