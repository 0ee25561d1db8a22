"""What of ours a program may import: checks of products. By the name it has where the program's author tries it out.

Asked last: a job or an environment that brings a package of that name has its own.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
from typing import Any, Optional, Sequence

_PACKAGES = ("ctorrent", "ctorrent.verify")
_MODULES = {"ctorrent.verify.freivalds": "freivalds"}


class Offered:
    """Finder and loader. Its modules were imported before this process was locked: it may not read them any more."""

    def install(self) -> None:
        sys.meta_path.append(self)

    def find_spec(self, name: str, path: Optional[Sequence[str]], target: Any = None) -> Any:
        if name not in _PACKAGES and name not in _MODULES:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=name in _PACKAGES)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> Optional[types.ModuleType]:
        if spec.name in _MODULES:
            return importlib.import_module("." + _MODULES[spec.name], __package__)
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        """Was done, or there is nothing to do."""
