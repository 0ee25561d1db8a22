"""Imports from the job's folder: its Python files as a locked process read and compiled them, once for all units.

What that process did not read (large files, compiled modules) the interpreter itself finds in the folder. A traceback
names `search.py`, line 3, and shows the line; `pkgutil.get_data` reads other files through `get_data`.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import marshal
import os
import re
import sys
import types
from typing import Any, Dict, NamedTuple, Optional, Sequence

# `datetime` and what is built on it ask the system below Python, and its types must stay what they are: so it is the
# words that count, in the job's own text and, as names, in its pickled functions
_TODAY = re.compile(rb"\.(?:now|utcnow|today)\b")
_TODAY_PICKLED = re.compile(rb"\b(?:now|utcnow|today)\b")


class Code(NamedTuple):
    """A job's files: the folder, read-only, and what a locked process read of it. Both are a stranger's."""

    folder: str  # "" in a rehearsal
    read: bytes = b""  # only a locked process may look into it; empty where reading failed


def read(files: Dict[str, bytes]) -> bytes:
    """Python files and their compiled code, for `Bundle`: most of a small unit's time was reading the same text again."""
    compiled: Dict[str, types.CodeType] = {}
    for file, content in files.items():
        try:
            compiled[file] = _compiled(content, file)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # whoever imports it meets the same
    return marshal.dumps((files, compiled, any(map(_TODAY.search, files.values()))))


class Bundle:
    """Finder and loader of the job's modules. Comes before the folders of sys.path, as a script's own folder does."""

    def __init__(self, code: Code) -> None:
        self.folder = code.folder
        self.files: Dict[str, bytes] = {}
        self._ready: Dict[str, types.CodeType] = {}
        self.clock = True  # may it ask what day it is? Where nobody could read it: perhaps
        if code.read:
            self.files, self._ready, self.clock = marshal.loads(code.read)

    def install(self) -> None:
        sys.meta_path.insert(-1 if sys.meta_path else 0, self)
        if self.folder:
            sys.path.insert(0, self.folder)

    def remove(self) -> None:
        sys.meta_path.remove(self)
        if self.folder:
            sys.path.remove(self.folder)

    def find_spec(self, name: str, path: Optional[Sequence[str]], target: Any = None) -> Any:
        base = name.replace(".", "/")
        for file, package in ((base + "/__init__.py", True), (base + ".py", False)):
            if file in self.files:
                spec = importlib.machinery.ModuleSpec(name, self, origin=file, is_package=package)  # type: ignore[arg-type]
                spec.has_location = True
                if package:
                    spec.submodule_search_locations = [os.path.join(self.folder, base)]
                return spec
        if any(file.startswith(base + "/") for file in self.files):
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)  # a namespace package
            spec.submodule_search_locations = [os.path.join(self.folder, base)]
            return spec
        return None

    def create_module(self, spec: Any) -> Optional[types.ModuleType]:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        file = module.__spec__.origin if module.__spec__ else None
        assert file is not None
        exec(self.compiled(file), module.__dict__)

    def get_data(self, path: str) -> bytes:
        """A file of the job. Raises OSError when there is none."""
        if path in self.files:
            return self.files[path]
        with open(os.path.join(self.folder, path), "rb") as file:
            data = file.read()
        self.clock = self.clock or (path.endswith(".pkl") and _TODAY_PICKLED.search(data) is not None)
        return data

    def get_source(self, name: str) -> str:
        """The text of a module; tracebacks ask for it. Raises ImportError when it is not here."""
        spec = self.find_spec(name, None)
        if spec is None or spec.origin is None:
            raise ImportError("not among the job's files", name=name)
        return importlib.util.decode_source(self.files[spec.origin])

    def compiled(self, file: str) -> types.CodeType:
        """Code of one file. Raises SyntaxError."""
        return self._ready.get(file) or _compiled(self.files[file], file)

    def imported(self, file: str) -> types.ModuleType:
        """The module of a file. One at the folder's top is made by hand: the import system's ways are ten times as long."""
        name = module_of(file)
        if file not in self.files or name in sys.modules or "." in name or name in sys.builtin_module_names or name + "/__init__.py" in self.files:
            return importlib.import_module(name)
        module = types.ModuleType(name)
        spec = importlib.machinery.ModuleSpec(name, self, origin=file)  # type: ignore[arg-type]
        spec.has_location = True
        module.__spec__, module.__loader__, module.__file__, module.__package__ = spec, self, file, ""  # type: ignore[assignment]
        sys.modules[name] = module
        try:
            exec(self.compiled(file), module.__dict__)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return sys.modules.get(name, module)


def _compiled(content: bytes, file: str) -> types.CodeType:
    code: types.CodeType = compile(importlib.util.decode_source(content), file, "exec", dont_inherit=True)
    return code


def module_of(file: str) -> str:
    """Module name of "tools/search.py": "tools.search"."""
    return file[: -len(".py")].replace("/", ".")
