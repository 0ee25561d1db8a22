"""Results are data. What a function returns is written down where it ran (inside.py) and read here, type by type."""

from __future__ import annotations

import datetime
import decimal
import fractions
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from ctorrent.errors import CTorrentError, LocalError
from ctorrent.library.inside import PICKLE, TYPE
from ctorrent.library.job import decode_value

T = TypeVar("T")

_FRACTION = re.compile(r"-?[0-9]{1,4000}(/[0-9]{1,4000})?")  # Python reads no longer numbers from text either
ALIKE_MAX = 1000  # keys with one hash: of 64 bits, and of what no worker chose, hardly two have
_registered: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {}


def register(kind: type[T], encode: Callable[[T], Any], decode: Callable[[Any], T], name: str = "") -> None:
    """Say how results of a type of your own travel: as data, never as pickles.

    encode: the object -> numbers, text, bytes, lists, dicts or numpy arrays; it runs where the function ran. decode:
    the same data -> the object; it runs here, on what a worker sent, so it must not trust its shape. name: what the
    data is marked with; the type's own name unless said. Registering a type again replaces what was said of it.

        ctorrent.register(Point, lambda p: [p.x, p.y], lambda data: Point(*data))
    """
    if not isinstance(kind, type):
        raise LocalError(f"{kind!r:.100} is no type.", "ctorrent.register(MyType, encode, decode).")
    name = name or kind.__name__
    taken = _registered.get(name)
    if name in _KNOWN or name == PICKLE or (taken is not None and taken[0].__qualname__ != kind.__qualname__):
        raise LocalError(f"Another type is called {name} already.", 'Give this one a name of its own: register(…, name="my.Point").')
    _registered[name] = (kind, encode, decode)


def encoders() -> list[tuple[type, str, Callable[[Any], Any]]]:
    """What travels with each function: (type, name, encode)."""
    return [(kind, name, encode) for name, (kind, encode, _) in _registered.items()]


def read_value(raw: bytes) -> Any:
    """A result's canonical bytes as what the function returned.

    Raises LocalError: its type is not registered here, or it is none of that type's, which a worker may say too.
    """
    try:
        return undressed(decode_value(raw))
    except CTorrentError:
        raise
    except Exception as error:  # a registered type's decoder may raise anything on what a worker sent
        raise LocalError(f"A result cannot be read: {type(error).__name__}: {error!s:.200}.", "Whoever ran it may have made it up: replicas: 2 has two owners agree first.") from error


def undressed(value: Any) -> Any:
    """What inside.dressed wrote down, as it was."""
    kind = type(value)
    if kind is list:
        return [undressed(each) for each in value]
    if kind is not dict:
        return value
    if TYPE not in value:
        return {key: undressed(each) for key, each in value.items()}
    name, inner = value[TYPE], value.get("value")
    if name in _registered:
        return _registered[name][2](undressed(inner))
    if name not in _KNOWN:
        raise LocalError(f"A result is a {name!r:.100}, and no type of that name is registered here.", "ctorrent.register(type, encode, decode) before reading it.")
    return _KNOWN[name](inner)


def _items(inner: Any) -> list[Any]:
    """Of a list, and of nothing else: an array of a few bytes may have any number of rows."""
    if type(inner) is not list:
        raise TypeError(f"a {type(inner).__name__} where a list belongs")
    return [undressed(each) for each in inner]


def _dict(pairs: Any) -> dict[Any, Any]:
    if type(pairs) is not list:
        raise TypeError("a dict's pairs are no list")
    found = [_items(pair) for pair in pairs]
    _check_spread([pair[0] for pair in found if pair])
    return dict(found)


def _set(inner: Any) -> set[Any]:
    return set(_check_spread(_items(inner)))


def _check_spread(keys: list[Any]) -> list[Any]:
    """The same keys. Raises ValueError where many have one hash: to put them into one dict or set would take hours."""
    if len(keys) > ALIKE_MAX and max(Counter(map(hash, keys)).values()) > ALIKE_MAX:
        raise ValueError("its keys are made to collide")
    return keys


def _fraction(inner: Any) -> fractions.Fraction:
    """As str() writes it: "1e999999999" would be one as well, and nobody has the memory for it."""
    if type(inner) is not str or not _FRACTION.fullmatch(inner):
        raise ValueError("no fraction of whole numbers")
    return fractions.Fraction(inner)


def _frame(inner: Any) -> Any:
    """A pandas DataFrame where pandas is installed, else a dict of columns."""
    columns, titles = _items(inner["columns"]), _items(inner["titles"])
    try:
        import pandas
    except ImportError:
        return dict(zip(titles, columns, strict=True))
    frame = pandas.DataFrame(dict(enumerate(columns)), index=undressed(inner["index"]))
    frame.columns = titles
    return frame


def _series(inner: Any) -> Any:
    frame = _frame(inner)
    return frame.iloc[:, 0] if hasattr(frame, "iloc") else next(iter(frame.values()))


_KNOWN: dict[str, Callable[[Any], Any]] = {
    "int": lambda inner: int(inner, 16),
    "tuple": lambda inner: tuple(_items(inner)),
    "dict": _dict,
    "set": _set,
    "frozenset": lambda inner: frozenset(_set(inner)),
    "complex": lambda inner: complex(*_items(inner)),
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": lambda inner: datetime.timedelta(*_items(inner)),
    "Decimal": decimal.Decimal,
    "Fraction": _fraction,
    "DataFrame": _frame,
    "Series": _series,
}
