"""Calls the program's function: only by the names its signature asks for.

What it may ask for: index, seed, params, inputs, or any key of the params. What goes wrong becomes (kind, type,
text): an exception with the program's own traceback, without our frames.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pickle
import sys
import traceback
import types
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import frames
from .bundle import Bundle

_canon: Any = importlib.import_module(".canon", __package__)

ONE_PROCESS = "a block is one process: use n_jobs=1 and more blocks"
NO_NETWORK = "a block has no network: give it data as inputs or files"
OWN_FILES = "a block reads only what its job names, and writes no files: return what is to be kept"
REFUSED = "a block may not do this"
_FORKS = ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system", "execv", "execve")
_NO_FILE = (1, 2, 13, 30)  # not permitted, not there, access denied, read-only: which of them depends on the walls
_LOOKUPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")
_Failure = Tuple[int, str, str]


def refuse_processes() -> None:
    """Say why before the kernel refuses; what goes round this meets the filter."""
    import _posixsubprocess

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(1, ONE_PROCESS)

    for name in _FORKS:
        setattr(os, name, refuse)
    _posixsubprocess.fork_exec = refuse


def refuse_network() -> None:
    """The same for sockets. Those that exist may be wrapped: a pair of them is how a program wakes itself."""
    import socket

    make = socket.socket.__init__

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(1, NO_NETWORK)

    def wrap(self: Any, *given: Any, **named: Any) -> None:
        if len(given) < 4 and named.get("fileno") is None:
            refuse()
        make(self, *given, **named)

    socket.socket.__init__ = wrap  # type: ignore[method-assign]
    for name in _LOOKUPS:  # else a name is looked up for seconds, and "not known" is all that is said
        setattr(socket, name, refuse)


class Runner:
    """One program, loaded at its first block, so that a broken one fails like any other."""

    def __init__(self, bundle: Bundle, entry: str) -> None:
        self._bundle = bundle
        self._entry = entry
        self._function: Optional[Callable[..., Any]] = None
        self._wants: List[str] = []
        self._optional: List[str] = []
        self._takes_all = False
        self.asks_place = False  # for its seed or its index

    def load(self) -> None:
        """Import the file and look at the signature. Raises whatever the file raises, or LookupError."""
        file, _, name = self._entry.partition(":")
        if file not in self._bundle.files and not os.path.isfile(os.path.join(self._bundle.folder, file)):
            raise LookupError("the job has no file %r, only %s" % (file, ", ".join(sorted(os.listdir(self._bundle.folder)))[:500]))
        if file.endswith(".py"):
            owner: Any = self._bundle.imported(file)
            self._function = getattr(owner, name, None)
            if not callable(self._function):
                raise LookupError("%s has no function %r" % (file, name))
        else:
            self._function = pickle.loads(self._bundle.get_data(file))
        if not self._look_quickly(self._function):
            self._look(inspect.signature(self._function))
        self.asks_place = not {"seed", "index"}.isdisjoint(self._wants + self._optional)

    def _look_quickly(self, function: Any) -> bool:
        """What inspect would find of a plain function, without its five hundred lines. False for anything else."""
        if type(function) is not types.FunctionType or function.__dict__:
            return False
        code = function.__code__
        named = code.co_varnames[: code.co_argcount]
        if code.co_posonlyargcount or code.co_kwonlyargcount or code.co_flags & inspect.CO_VARKEYWORDS:
            return False
        optional = len(function.__defaults__ or ())
        self._wants += named[: len(named) - optional]
        self._optional += named[len(named) - optional :]
        return True

    def _look(self, signature: inspect.Signature) -> None:
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                self._takes_all = True
            elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                (self._wants if parameter.default is parameter.empty else self._optional).append(parameter.name)

    def ready(self) -> bool:
        """Load at the first call; was it now? A file that raises raises again for each block, as a function would."""
        if self._function is not None:
            return False
        self.load()
        return True

    def call(self, index: int, seed: int, params: Dict[str, Any], inputs: Dict[str, bytes], more: Optional[Dict[str, Any]] = None) -> Any:
        """The block's value, as the program returned it. Raises what the program raises. more: what a check gets too."""
        self.ready()
        assert self._function is not None
        given = {**params, "index": index, "seed": seed, "params": params, "inputs": inputs, **(more or {})}
        try:
            words = {name: given[name] for name in self._wants}
        except KeyError as missing:
            known = ", ".join(sorted(given))
            raise TypeError("%s asks for %s, which is none of: %s" % (self._entry, missing, known)) from None
        for name in self._optional:
            if name in given:
                words[name] = given[name]
        if self._takes_all:
            words.update((name, value) for name, value in params.items() if name not in words)
        return self._function(**words)

    def reduce(self, values: List[Any]) -> Any:
        """The function's answer to the list of all values."""
        self.ready()
        assert self._function is not None
        return self._function(values)

    def compare(self, left: Any, right: Any) -> Any:
        """The function's answer to two outputs."""
        self.ready()
        assert self._function is not None
        return self._function(left, right)


def encoded(value: Any) -> bytes:
    """Canonical bytes. Raises CanonError (an Unencodable), saying which part has none."""
    try:
        data: bytes = _canon.encode(value)
    except _canon.CanonError:
        raise
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # a value with code of its own: numpy-like, or a hostile __iter__
        raise Unencodable("%s: %s" % (type(error).__name__, error)) from None
    return data


class Unencodable(ValueError):
    """A value whose own methods fail while it is written down."""


def explain(error: BaseException) -> _Failure:
    """(kind, type, text) of what left the program."""
    name = type(error).__name__
    text = _program_traceback(error)
    if isinstance(error, MemoryError):
        return frames.MEMORY, name, text
    if isinstance(error, (_canon.CanonError, Unencodable)):
        return frames.OUTPUT, "not encodable", str(error)[:2000]
    if isinstance(error, OSError) and error.errno in _NO_FILE and error.filename is not None:
        text = _with_reason(text, OWN_FILES)
    if isinstance(error, PermissionError) and error.errno in (1, 13):
        return frames.FORBIDDEN, name, text if error.filename is not None else _with_reason(text, REFUSED)
    return frames.EXCEPTION, name, text


def _with_reason(text: str, reason: str) -> str:
    """The kernel says "not permitted" only. On the last line: it is the one that lists of failures show."""
    if any(said in text for said in (ONE_PROCESS, NO_NETWORK)):
        return text
    return "%s (%s)\n" % (text.rstrip("\n"), reason)


def _program_traceback(error: BaseException) -> str:
    """The traceback as the program's author would see it. Built defensively: __str__ is foreign code."""
    ours = __file__.rpartition("/")[0]
    try:
        shown = traceback.TracebackException.from_exception(error, limit=-40)
        seen: Optional[traceback.TracebackException] = shown
        while seen is not None:
            kept = [f for f in seen.stack if not f.filename.startswith((ours, "<frozen importlib"))]
            seen.stack = traceback.StackSummary.from_list(kept)
            seen = seen.__cause__ or seen.__context__
        return "".join(shown.format())
    except Exception as broken:
        return "%s (its text cannot be shown: %s)" % (type(error).__name__, type(broken).__name__)


def decoded(params: bytes) -> Dict[str, Any]:
    """The block's params; numpy arrays where numpy is there."""
    value = _canon.decode(params, arrays="numpy" if "numpy" in sys.modules else "raw") if params else {}
    return value if isinstance(value, dict) else {"item": value}


def decoded_value(data: bytes) -> Any:
    """One value handed to a reduce function."""
    return _canon.decode(data, arrays="numpy" if "numpy" in sys.modules else "raw")
