"""Determinism: the same block gives the same numbers on any machine, in any unit, as its first or its thousandth.

Every block's seed goes into `random`, numpy and torch, if they are loaded; if the block loads them itself, then at
that moment. PYTHONHASHSEED, time zone, locale and thread counts are in the supervisor's environment.
"""

from __future__ import annotations

import importlib.machinery
import random
import sys
import types
from typing import Any, Optional, Sequence

_SEEDED = ("numpy.random", "torch")
_HALF = 0xFFFFFFFF


class Seeder:
    """Sets the block's seed, now and in generators that are imported later. Put into sys.meta_path."""

    def __init__(self) -> None:
        self._seed = 0
        self._busy = False

    def set(self, seed: int) -> None:
        self._seed = seed
        random.seed(seed)
        for name in _SEEDED:
            module = sys.modules.get(name)
            if module is not None:
                _seed_module(name, module, seed)

    def find_spec(self, name: str, path: Optional[Sequence[str]], target: Any = None) -> Any:
        """Finds nothing itself: lets the others find a generator, and seeds it after it ran."""
        if name not in _SEEDED or self._busy:
            return None
        self._busy = True
        try:
            spec = importlib.machinery.PathFinder.find_spec(name, path)
        finally:
            self._busy = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Seeding(spec.loader, self)  # type: ignore[assignment]
        return spec

    def seed_late(self, module: types.ModuleType) -> None:
        _seed_module(module.__name__, module, self._seed)


class _Seeding:
    """A loader that seeds what it has loaded."""

    def __init__(self, loader: Any, seeder: Seeder) -> None:
        self._loader = loader
        self._seeder = seeder

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        self._loader.exec_module(module)
        self._seeder.seed_late(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _seed_module(name: str, module: Any, seed: int) -> None:
    if name == "torch":
        module.manual_seed(seed)
    else:  # numpy takes 32-bit words; both halves count
        module.seed([seed & _HALF, seed >> 32])
