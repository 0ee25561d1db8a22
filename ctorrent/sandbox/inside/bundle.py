"""Imports from the code bundle: a map {relative path: bytes} that never becomes files.

A traceback names `search.py`, line 3, and shows the line; `pkgutil.get_data` and `importlib.resources.files(…)` of
Python 3.9 read other files through `get_data`.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import marshal
import sys
import types
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple


class Code(NamedTuple):
    """A job's code, as the node packed it and as a locked process read it. Both are a stranger's."""

    packed: bytes
    read: bytes = b""  # only a locked process may look into it; empty where reading failed


def read(files: Dict[str, bytes]) -> bytes:
    """Files and their compiled code, for `unpacked`: most of a small unit's time was reading the same text again."""
    compiled: Dict[str, types.CodeType] = {}
    for file, content in files.items():
        if file.endswith(".py"):
            try:
                compiled[file] = _compiled(content, file)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue  # whoever imports it meets the same
    return marshal.dumps((files, compiled))


def unpacked(data: bytes) -> Tuple[Dict[str, bytes], Dict[str, types.CodeType]]:
    """What `read` made of a bundle."""
    files, compiled = marshal.loads(data)
    return files, compiled


class Bundle:
    """Finder and loader of the bundle's modules. Comes before the folders of sys.path, as a script's own folder does."""

    def __init__(self, files: Dict[str, bytes], compiled: Optional[Dict[str, types.CodeType]] = None) -> None:
        self.files = files
        self._ready = compiled or {}

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

    def get_source(self, name: str) -> str:
        """The text of a module; tracebacks ask for it. Raises ImportError when it is not here."""
        spec = self.find_spec(name, None)
        if spec is None or spec.origin is None:
            raise ImportError("not in the code bundle", name=name)
        return importlib.util.decode_source(self.files[spec.origin])

    def compiled(self, file: str) -> types.CodeType:
        """Code of one file. Raises SyntaxError."""
        return self._ready.get(file) or _compiled(self.files[file], file)

    def imported(self, file: str) -> types.ModuleType:
        """The module of a file. One at the bundle's top is made by hand: the import system's ways are ten times as long."""
        name = module_of(file)
        if name in sys.modules or "." in name or name in sys.builtin_module_names or name + "/__init__.py" in self.files:
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
