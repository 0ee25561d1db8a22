"""What opens a function in a worker's sandbox: it travels with the job as `ctorrent_call.py`, beside function.pkl.

Standard library only, Python 3.9 or later, and nothing of ctorrent's: it runs where ctorrent is not. A result leaves as
data. What canonical values have no form for goes as {TYPE: name, "value": …}, which values.py reads; what is no data is
refused, or goes as a pickle where the job's person asked for that and the job is for that person's own machines alone.
"""

from __future__ import annotations

import pickle
from typing import Any

TYPE = "__type__"  # the key of a value that says what it is
POSITIONS = "*"  # of params: arguments by position; every other key is one by name
PICKLED = "#"  # of params: (args, kwargs) as a pickle, where a canonical form would change them
PICKLE = "pickle"  # the TYPE of a result that is no data; of a whole result only, never inside one
PAYLOAD = "arguments"  # the input that holds such a pickle when it is large
BUFFER = "array"  # array0, array1 …: inputs that hold its arrays, each once for all the calls that have it
_INT_LEAST, _INT_MOST = -(1 << 63), (1 << 64) - 1
_AS_IT_IS = (str, float, bool, bytes, type(None))


def _read(path: Any) -> Any:
    return pickle.loads(globals()["__loader__"].get_data(path))  # the job's own finder of files


_given: Any = _read("function.pkl") if __name__ == "ctorrent_call" else {"function": None, "shared": {}, "encoders": []}
_function = _given["function"]
_shared = {name: _read(path) for name, path in _given["shared"].items()}
_encoders = _given["encoders"]  # [(type, its name, encode)]
_pickles = _given.get("pickles", False)  # a result that is no data leaves as a pickle


def call(params: Any, inputs: Any) -> Any:
    """One block: the function on the arguments of one item. -> its result as data."""
    args, words = arguments(params, inputs)
    return _result(_function(*args, **words, **_shared))


def call_seeded(params: Any, inputs: Any, seed: Any) -> Any:
    """The same, of a function with a parameter `seed` that its caller left to the job."""
    args, words = arguments(params, inputs)
    return _result(_function(*args, **{"seed": seed, **words}, **_shared))


def _result(value: Any) -> Any:
    if not _pickles:
        return dressed(value, _encoders)
    try:
        return dressed(value, _encoders)
    except TypeError:
        import cloudpickle

        return _tagged(PICKLE, cloudpickle.dumps(value, protocol=5))


def arguments(params: Any, inputs: Any) -> Any:
    """-> (args, kwargs) of a block's call."""
    if PAYLOAD in inputs:
        arrays = [bytearray(inputs[f"{BUFFER}{at}"]) for at in range(len(inputs) - 1)]  # a call may write into its arguments
        given = pickle.loads(inputs[PAYLOAD], buffers=arrays)
        return pickle.loads(given["pickle"], buffers=map(bytearray, given["arrays"])) if type(given) is dict else given
    if PICKLED in params:
        return pickle.loads(params[PICKLED])
    words = dict(params)
    return words.pop(POSITIONS, ()), words


def dressed(value: Any, encoders: Any = ()) -> Any:
    """A result as canonical data. Raises TypeError that names the type, and what to do about it."""
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is int:
        return value if _INT_LEAST <= value <= _INT_MOST else _tagged("int", hex(value))
    if kind is list:
        return [dressed(each, encoders) for each in value]
    if kind is dict:
        return _dict(value, encoders)
    if kind is tuple:
        return _tagged("tuple", [dressed(each, encoders) for each in value])
    for known, name, encode in encoders:
        if isinstance(value, known):
            return _tagged(name, dressed(encode(value), [each for each in encoders if each[0] is not known]))
    return _other(value, encoders)


def _tagged(name: Any, value: Any) -> Any:
    return {TYPE: name, "value": value}


def _dict(value: Any, encoders: Any) -> Any:
    if TYPE in value or not all(type(key) is str for key in value):
        return _tagged("dict", [[dressed(key, encoders), dressed(each, encoders)] for key, each in value.items()])
    return {key: dressed(each, encoders) for key, each in value.items()}


def _other(value: Any, encoders: Any) -> Any:
    """Types of the standard library and of well-known packages, by where they come from: none of those is imported here."""
    kind = type(value)
    home = kind.__module__.partition(".")[0]
    if home in ("numpy", "ctorrent"):  # canonical already; what has no form (objects) is refused with its place
        if _pickles and getattr(getattr(value, "dtype", None), "kind", "O") not in "biufc":
            raise TypeError("an array of objects")
        return value
    if isinstance(value, (bool, int, float, str, bytes)):  # a subclass, such as an IntEnum
        return dressed(getattr(value, "value", value) if hasattr(kind, "__members__") else _heart(value), encoders)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _dict(dict(value._asdict()), encoders)
    if isinstance(value, tuple):
        return _tagged("tuple", [dressed(each, encoders) for each in value])
    if isinstance(value, list):
        return [dressed(each, encoders) for each in value]
    if isinstance(value, dict):
        return _dict(dict(value), encoders)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if hasattr(kind, "__dataclass_fields__"):
        return _dict({name: getattr(value, name) for name in kind.__dataclass_fields__}, encoders)
    return _named(value, home, kind.__name__, encoders)


def _heart(value: Any) -> Any:
    kinds: Any = (int, float, str, bytes)
    for kind in kinds:
        if isinstance(value, kind):
            return kind(value)
    return value


def _named(value: Any, home: Any, name: Any, encoders: Any) -> Any:
    kind: Any = type(value)
    if isinstance(value, (set, frozenset)):
        ordered = sorted(value, key=lambda each: (type(each).__name__, repr(each)))  # two workers must agree on the order
        return _tagged(name if home == "builtins" else "set", [dressed(each, encoders) for each in ordered])
    if isinstance(value, complex):
        return _tagged("complex", [value.real, value.imag])
    if home == "datetime" and name in ("datetime", "date", "time"):
        return _tagged(name, value.isoformat())
    if home == "datetime" and name == "timedelta":
        return _tagged(name, [value.days, value.seconds, value.microseconds])
    if (home, name) in (("decimal", "Decimal"), ("fractions", "Fraction")):
        return _tagged(name, str(value))
    if home == "pandas" and name in ("DataFrame", "Series"):
        return _frame(value, name, encoders)
    if home == "torch" and hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    raise TypeError(
        f"the result has {'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name} ({kind.__module__}.{kind.__qualname__}), which is no data: return numbers, text, "
        f"bytes, lists, dicts or numpy arrays, or say how it is written down: ctorrent.register({name}, encode, decode); "
        "from your own machines alone it may come as it is: pickled='own'"
    )


def _frame(value: Any, name: Any, encoders: Any) -> Any:
    """A table of pandas, column by column; a Series is a table of one."""
    alone = name == "Series"
    columns = [value] if alone else [value.iloc[:, at] for at in range(value.shape[1])]
    titles = [value.name] if alone else list(value.columns)
    return _tagged(name, {
        "titles": dressed(titles, encoders),
        "columns": [_column(column, encoders) for column in columns],
        "index": _column(value.index, encoders),
    })  # fmt: skip


def _column(column: Any, encoders: Any) -> Any:
    if getattr(column.dtype, "kind", "O") in "biufc":
        return column.to_numpy()
    return dressed([_heart(each) for each in column.tolist()], encoders)
