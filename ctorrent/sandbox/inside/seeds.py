"""Determinism: the same block gives the same numbers on any machine, in any unit, as its first or its thousandth.

Every block's seed goes into `random`, numpy and torch, if they are loaded; if the block loads them itself, then at
that moment, with torch's deterministic ways chosen. PYTHONHASHSEED, time zone, locale, thread counts and what GPUs'
libraries read are in the supervisor's environment.
"""

from __future__ import annotations

import importlib.machinery
import os
import random
import sys
import time
import types
from typing import Any, Callable, Dict, Optional, Sequence

_SEEDED = ("numpy.random", "torch")
_HALF = 0xFFFFFFFF
# of `time`, with the arguments from which on they are told what time it is
_CLOCKS = {"time": 1, "time_ns": 1, "localtime": 1, "gmtime": 1, "ctime": 1, "asctime": 1, "strftime": 2}
_STAMPS = "logging"  # it stamps what it writes, and its own import: no value comes from that


class Seeder:
    """Sets the block's seed, now and in generators that are imported later. Put into sys.meta_path."""

    def __init__(self) -> None:
        self._seed = 0
        self._busy = False
        self._twin = random.Random(0)
        self._twins: Dict[str, Any] = {}  # of numpy's and torch's: to make one takes 200 µs
        self.apart = False  # something was drawn from the system's own chance
        self.clock = False  # it was asked for; stays, for what this process remembers may stem from it

    def watch(self) -> None:
        """From now on, know of draws from the system's own chance, and of looks at the clock. Once a process."""
        for name, arguments in _CLOCKS.items():
            setattr(time, name, _Clock(getattr(time, name), arguments, self))

        def told(real: Callable[..., bytes]) -> Callable[..., bytes]:
            def urandom(size: int) -> bytes:
                self.apart = True
                return real(size)

            return urandom

        seeded = random.Random.seed

        def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            self.apart = self.apart or a is None
            seeded(generator, a, version)

        os.urandom = told(os.urandom)
        random._urandom = os.urandom  # type: ignore[attr-defined]  # numpy's and secrets' too
        random.Random.seed = seed  # type: ignore[method-assign, assignment, unused-ignore]

    def untouched(self) -> bool:
        """Has nothing been drawn since set()? Asks each generator for its next number, so set() must follow. ~10 µs."""
        self._twin.seed(self._seed)
        if self.apart or random.getrandbits(64) != self._twin.getrandbits(64):
            return False
        return all(self._next_is_first(name, sys.modules[name]) for name in _SEEDED if name in sys.modules)

    def _next_is_first(self, name: str, module: Any) -> bool:
        """Is the next number of this generator the first one after its seed?"""
        if name not in self._twins:
            apart = self.apart
            made = getattr(module, "Generator", None) if name == "torch" else lambda: module.RandomState(0)
            self._twins[name] = None if made is None else made()
            self.apart = apart
        twin = self._twins[name]
        if name != "torch":
            twin.seed([self._seed & _HALF, self._seed >> 32])
            same: bool = module.bytes(8) == twin.bytes(8)
        elif twin is None or (hasattr(module, "cuda") and module.cuda.is_initialized()):
            same = False  # devices draw for themselves
        else:
            same = module.equal(module.rand(2), module.rand(2, generator=twin.manual_seed(self._seed)))
        return same

    def set(self, seed: int) -> None:
        self._seed = seed
        self.apart = False
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


class _Clock:
    """One of `time`'s functions, which says that it was asked. Like those of C it becomes no method of a class. < 1 µs."""

    def __init__(self, real: Callable[..., Any], arguments: int, seeder: Seeder) -> None:
        self._real, self._arguments, self._seeder = real, arguments, seeder
        self.__name__ = self.__qualname__ = real.__name__
        self.__module__ = "time"
        self.__doc__ = real.__doc__

    def __call__(self, *given: Any) -> Any:
        asked = len(given) < self._arguments or given[self._arguments - 1] is None
        if asked and sys._getframe(1).f_globals.get("__name__") != _STAMPS:
            self._seeder.clock = True
        return self._real(*given)

    def __reduce__(self) -> str:
        return self.__name__  # pickled by name, as the real one


class _Seeding:
    """A loader that seeds what it has loaded."""

    def __init__(self, loader: Any, seeder: Seeder) -> None:
        self._loader = loader
        self._seeder = seeder

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        apart = self._seeder.apart
        self._loader.exec_module(module)
        self._seeder.seed_late(module)
        self._seeder.apart = apart  # what a generator began with is gone again

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _steady(torch: Any) -> None:
    """Where torch has the choice, the way that gives the same bits again. A program may choose otherwise afterwards."""
    if getattr(torch, "_ct_steady", False) or not hasattr(torch, "use_deterministic_algorithms"):
        return
    torch._ct_steady = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def _seed_module(name: str, module: Any, seed: int) -> None:
    if name == "torch":
        module.manual_seed(seed)
        _steady(module)
    else:  # numpy takes 32-bit words; both halves count
        module.seed([seed & _HALF, seed >> 32])
