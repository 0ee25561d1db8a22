"""A function, made ready to travel: its files, what it needs, and how its arguments are written down.

    packed = pack(simulate)
    packed.files       # {"function.pkl": …, "ctorrent_call.py": …, "cloudpickle/__init__.py": …}, for a job's folder
    packed.entry       # "ctorrent_call.py:call", the job's program
    packed.arguments((0.3,), {"n": 10})   # -> (params, payload) of a block

It is pickled here and opened only in a worker's sandbox. What cannot travel is said before anything is sent.
"""

from __future__ import annotations

import dis
import inspect
import io
import pickle
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.library import imports, inside
from ctorrent.library.opener import carried

FUNCTION_BYTES_MAX = 8 << 20  # every worker gets it with every job; more is data, which `shared` sends once
SHARED_BYTES_MAX = 4 << 30  # of one shared value: it is loaded whole by each process that runs blocks
_OURS = {inside.POSITIONS, inside.PICKLED}  # no names of parameters, but a **row of a table may have them
PARAMS_BYTES_MAX = 32 << 10  # of one call's arguments in the list of blocks (half of what a block may have); beyond: an input
PAYLOAD_BYTES_MAX = 256 << 20  # of one call's arguments: they are held in memory at both ends
ARRAY_BYTES_MIN = 64 << 10  # of an argument's array that travels as a blob of its own: below, naming it costs as much
ARRAYS_MAX = 16  # of one call; a block may have four times as many inputs
_INLINE_BYTES_MAX = 512 << 10  # a pickled function this large gets a look at what makes it so when it is refused
ENTRY, ENTRY_SEEDED = "ctorrent_call.py:call", "ctorrent_call.py:call_seeded"


@dataclass(frozen=True, slots=True)
class Packed:
    """A function as it travels."""

    name: str  # for people: what a job of it is called
    files: Mapping[str, bytes]  # by path, for the folder of a job
    python: str  # "3.11": code objects open in that minor version only
    packages: tuple[str, ...]  # names an index knows
    signature: inspect.Signature | None  # None: nobody can tell, as of some functions written in C
    shared: frozenset[str] = frozenset()  # parameters that every call gets from a file of the job
    plain: tuple[str, ...] = ()  # its parameters where each may be given by name and none is left to the job; else empty
    seeded: bool = False  # it requires a parameter `seed` that nobody gave: each call gets its own block's
    pickles: bool = False  # a result that is no data comes back as a pickle: for machines of one's own alone

    @property
    def entry(self) -> str:
        """The job's program, as a job file names it."""
        return ENTRY_SEEDED if self.seeded else ENTRY

    def arguments(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, modules: set[str] | None = None, arrays: list[memoryview] | None = None
    ) -> tuple[bytes, bytes]:
        """-> canonical params of a block, and a payload that is its input "arguments" ("" mostly).

        modules: those that opening the arguments imports are added to it. arrays: large ones are added to it instead of
        being a part of the payload, if there is a payload.

        Raises LocalError: they do not fit the function's parameters, cannot be pickled, or are too large.
        """
        named, words = self._bound(args, kwargs or {})
        params = {**words, inside.POSITIONS: list(named)} if named else words
        if _is_plain(params, 0) and not _OURS & words.keys():
            data = canon.encode(params)
            if len(data) <= PARAMS_BYTES_MAX:
                return data, b""
        return self._pickled(args, kwargs or {}, modules if modules is not None else set(), arrays)

    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """As many arguments as possible by name: tables have a column for each. -> (by position, by name)."""
        if self.signature is None:
            return args, dict(kwargs)
        if not kwargs and len(args) == len(self.plain) and args:
            return (), dict(zip(self.plain, args, strict=True))
        absent = self.shared | ({"seed"} if self.seeded and "seed" not in kwargs else frozenset())
        try:
            given = self.signature.bind(*args, **kwargs, **dict.fromkeys(absent)).arguments
        except TypeError as error:
            raise LocalError(f"{self.name} cannot be called so: {error}.", "Its parameters are: " + str(self.signature)) from None
        words: dict[str, Any] = {}
        for name, value in given.items():
            kind = self.signature.parameters[name].kind
            if kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL):
                return args, dict(kwargs)
            if kind is inspect.Parameter.VAR_KEYWORD:
                words.update(value)
            elif name not in absent:
                words[name] = value
        return (), {name: value for name, value in words.items() if name not in absent}

    def _pickled(self, args: Sequence[Any], kwargs: Mapping[str, Any], modules: set[str], arrays: list[memoryview] | None) -> tuple[bytes, bytes]:
        dump = dumped((tuple(args), dict(kwargs)), "an argument", arrays=arrays)
        modules |= dump.modules
        data = dump.data
        size = len(data) + sum(each.nbytes for each in arrays or ())
        if size > PAYLOAD_BYTES_MAX:
            raise LocalError(
                f"The arguments of one call take {size >> 20} MiB: at most {PAYLOAD_BYTES_MAX >> 20}.",
                "What all calls need goes as shared={…}; a file goes as net.blob(path); else cut it into more calls.",
            )
        if arrays:
            return canon.encode({}), data
        if len(data) <= PARAMS_BYTES_MAX:
            return canon.encode({inside.PICKLED: data}), b""
        return canon.encode({}), data


def _is_plain(value: Any, depth: int) -> bool:
    """Does it come out of its canonical form as it went in, type for type?"""
    kind = type(value)
    if kind is int:
        return bool(-(1 << 63) <= value < 1 << 64)
    if kind in (str, float, bool, bytes, type(None)):
        return not (kind is str and not value.isascii() and _has_surrogates(value))
    if depth > 16:
        return False
    if kind is list:
        return all(_is_plain(each, depth + 1) for each in value)
    return kind is dict and all(type(key) is str and _is_plain(each, depth + 1) for key, each in value.items())


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


# Packing -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dump:
    """A pickle, and what it needs where it is opened."""

    data: bytes
    modules: frozenset[str]  # imported when it is opened
    inner: frozenset[str]  # imported by code in it, when that runs; after _OPTIONAL where it may do without


def pack(
    function: Callable[..., Any],
    shared: Mapping[str, Any] | None = None,
    packages: Sequence[str] | None = None,
    encoders: Sequence[tuple[type, str, Callable[[Any], Any]]] = (),
    pickles: bool = False,
) -> Packed:
    """Make a function ready to travel.

    shared: parameter name -> a value that every call gets; it is sent once to each worker. packages: instead of those
    found by looking at what it imports. encoders: (type, its name, encode) of results (ctorrent.register). pickles: what
    is no data comes back as a pickle.

    Raises LocalError, which names what to do: it is async, a parameter of `shared` is not one of its own, something in
    it cannot be pickled or is too large, or a package has no name that an index knows.
    """
    name = named(function)
    shared = dict(shared or {})
    signature = _signature(function)
    _check(function, name, signature, shared)
    seeded = signature is not None and _wants_seed(signature) and "seed" not in shared
    given = {"function": function, "encoders": list(encoders), "shared": {each: f"shared/{each}.pkl" for each in shared}, **({"pickles": True} if pickles else {})}
    dump = dumped(given, name, function)
    if len(dump.data) > FUNCTION_BYTES_MAX:
        raise _too_large(function, name, len(dump.data))
    files = {"function.pkl": dump.data, **carried()}
    modules, inner = set(dump.modules), set(dump.inner)
    for each, value in shared.items():
        one = dumped(value, f"shared[{each!r}]")
        if len(one.data) > SHARED_BYTES_MAX:
            raise LocalError(f"shared[{each!r}] takes {len(one.data) >> 20} MiB: at most {SHARED_BYTES_MAX >> 20}.", "Put it into a file: net.blob(path).")
        files[f"shared/{each}.pkl"] = one.data
        modules |= one.modules
    must = {each for each in inner if not each.startswith(_OPTIONAL)}
    may = {each.removeprefix(_OPTIONAL) for each in inner - must}
    sources, others = imports.sources_of(module for module in must | may if imports.is_local(module))
    found = packages if packages is not None else imports.packages_of({*modules, *must, *(each for each in may | others if _is_there(each))})
    return Packed(
        name=name, files={**sources, **files}, python=f"{sys.version_info.major}.{sys.version_info.minor}",
        packages=tuple(sorted(found)), signature=signature, shared=frozenset(shared), plain=() if shared or seeded else _plain(signature), seeded=seeded,
        pickles=pickles,
    )  # fmt: skip


def named(function: Callable[..., Any]) -> str:
    """What people call it: "simulate", "a lambda"; of a class or a partial, what that is called."""
    inner = getattr(function, "func", function)
    name = getattr(inner, "__name__", "") or type(inner).__name__
    return "a lambda" if name == "<lambda>" else str(name)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def _check(function: Callable[..., Any], name: str, signature: inspect.Signature | None, shared: Mapping[str, Any]) -> None:
    if not callable(function):
        raise LocalError(f"{function!r:.100} is no function.", "Give a function of which each item is the argument.")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise LocalError(f"{name} is async; a block is a plain function.", "Write it with def; many blocks run at once anyway.")
    if inspect.isgeneratorfunction(function):
        raise LocalError(f"{name} is a generator, and a generator is no data.", "Return a list.")
    for each in shared:
        if not each.isidentifier():
            raise LocalError(f"shared gives {each!r:.80}, which is no name of a parameter.", "Such as shared={'data': data}, for def f(item, data): …")
    if signature is None:
        return
    takes_all = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
    for each in shared:
        known = signature.parameters.get(each)
        if not takes_all and (known is None or known.kind in (known.POSITIONAL_ONLY, known.VAR_POSITIONAL)):
            such = f"def {name}(item, {each})" if name.isidentifier() else f"lambda item, {each}"
            raise LocalError(f"shared gives {each}, and {name}{signature} has no parameter of that name.", f"Such as {such}: …")


def _wants_seed(signature: inspect.Signature) -> bool:
    """A required parameter `seed` beside others; of one parameter alone the item is what it gets."""
    seed = signature.parameters.get("seed")
    return seed is not None and seed.default is seed.empty and seed.kind in (seed.POSITIONAL_OR_KEYWORD, seed.KEYWORD_ONLY) and len(signature.parameters) > 1


def _plain(signature: inspect.Signature | None) -> tuple[str, ...]:
    given = list(signature.parameters.values()) if signature is not None else []
    return tuple(each.name for each in given) if all(each.kind is each.POSITIONAL_OR_KEYWORD for each in given) else ()


def _is_there(module: str) -> bool:
    """Can it be imported here? What code imports inside `try:` may not be."""
    import importlib.util

    try:
        return module in sys.modules or importlib.util.find_spec(imports.top(module)) is not None
    except (ImportError, ValueError):
        return False


# Pickling ------------------------------------------------------------------------------------------------------------


def dumped(value: Any, what: str, function: Callable[..., Any] | None = None, arrays: list[memoryview] | None = None) -> Dump:
    """The pickle of anything. Raises LocalError that names the variable which cannot be pickled.

    arrays: large ones go into it and not into the pickle; None: all is in the pickle.
    """
    with _by_value():
        try:
            return _dump(value, arrays)
        except (pickle.PicklingError, TypeError, AttributeError, ValueError, NotImplementedError, RecursionError) as error:
            raise _unpicklable(what, function, error) from None


def _dump(value: Any, arrays: list[memoryview] | None = None) -> Dump:
    import cloudpickle

    def apart(buffer: pickle.PickleBuffer) -> bool:
        """Is it to stay in the pickle?"""
        if arrays is None or len(arrays) >= ARRAYS_MAX or memoryview(buffer).nbytes < ARRAY_BYTES_MIN:
            return True
        arrays.append(buffer.raw())
        return False

    modules: set[str] = set()
    inner: set[str] = set()

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Notes on the way what is met: persistent_id is asked about every object."""

        def persistent_id(self, met: Any) -> None:
            _note(met, modules, inner)

    stream = io.BytesIO()
    Pickler(stream, protocol=5, buffer_callback=apart).dump(value)
    return Dump(stream.getvalue(), frozenset(modules), frozenset(inner))


def _note(met: Any, modules: set[str], inner: set[str]) -> None:
    kind = type(met)
    if kind in _PLAIN:
        return
    if kind is types.CodeType:
        inner.update(_imports(met))
        return
    if kind is types.ModuleType:
        name = met.__name__
    elif isinstance(met, type | types.FunctionType | types.BuiltinFunctionType):
        name = getattr(met, "__module__", None) or "builtins"
    else:
        name = kind.__module__
    if not imports.is_standard(name) and not imports.is_local(name):
        modules.add(name)


_PLAIN = frozenset({str, int, float, bool, bytes, type(None), list, dict, tuple, set, frozenset})


_OPTIONAL = "?"  # before a module that code imports inside `try:` or `with`: it may do without


def _imports(code: types.CodeType) -> Iterator[str]:
    """Modules that a function's body imports; those of functions inside it too."""
    tried = [(entry.start, entry.end) for entry in getattr(dis.Bytecode(code), "exception_entries", ())]
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME" and step.argval:
            optional = any(start <= step.offset < end for start, end in tried)
            yield (_OPTIONAL if optional else "") + str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imports(constant)


@contextmanager
def _by_value() -> Iterator[None]:
    """Functions and classes of local modules travel whole: no worker has those modules."""
    import cloudpickle

    registered = []
    for module in imports.local_modules():
        if module.__name__ not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)
            registered.append(module)
    try:
        yield
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)


# What is in the way --------------------------------------------------------------------------------------------------


def variables(function: Any) -> dict[str, Any]:
    """What a function takes along by name: what it closes over, globals it uses, defaults; of a method, its object."""
    found: dict[str, Any] = {}
    function = getattr(function, "func", function)
    if isinstance(function, types.MethodType):
        found["self"] = function.__self__
        function = function.__func__
    code = getattr(function, "__code__", None)
    if code is None:
        return found
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not yet bound
            continue
    for name in _names(code):
        if name in function.__globals__:
            found[name] = function.__globals__[name]
    for position, default in enumerate(function.__defaults__ or ()):
        found[code.co_varnames[code.co_argcount - len(function.__defaults__) + position]] = default
    return found


def _names(code: types.CodeType) -> set[str]:
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*inner)


def _unpicklable(what: str, function: Callable[..., Any] | None, error: Exception) -> LocalError:
    why = str(error).strip().rstrip(".").splitlines()[0] if str(error) else type(error).__name__
    for name, value in variables(function).items() if function is not None else ():
        try:
            _dump(value)
        except (pickle.PicklingError, TypeError, AttributeError, ValueError, NotImplementedError, RecursionError):
            return LocalError(
                f"{what} uses {name}, a {type(value).__name__}, which cannot travel: {why}.",
                f"Make it inside the function, or pass what it is made of (a path, a number, text) instead of {name}.",
            )
    return LocalError(f"{what} cannot travel: {why}.", "Open files, locks, connections and generators stay where they are: pass what they are made of.")


def _too_large(function: Callable[..., Any], name: str, size: int) -> LocalError:
    sizes = {}
    for word, value in variables(function).items():
        sizes[word] = len(_dump(value).data)
    largest = max(sizes, key=lambda word: sizes[word], default="")
    if largest and sizes[largest] > _INLINE_BYTES_MAX:
        return LocalError(
            f"{name} takes {largest} along, which has {sizes[largest] >> 20} MiB: a function travels with at most {FUNCTION_BYTES_MAX >> 20}.",
            f"Make {largest} a parameter, and send it once to each worker: net.map(…, shared={{{largest!r}: {largest}}}).",
        )
    return LocalError(f"{name} takes {size >> 20} MiB: at most {FUNCTION_BYTES_MAX >> 20}.", "Send what is large once: net.map(…, shared={…}).")
