"""One item of a map -> the arguments of one call.

    the item is   and the function                                    then it is called
    a dict        has parameters of exactly these names               f(**item)
    a tuple       requires two positional arguments or more           f(*item)
    anything      otherwise                                           f(item)

`star=True` always spreads dicts and tuples, `star=False` never does. What `shared` gives, and a `seed` that the job
gives, count as given. The first item of each kind decides for all: a map never calls f in two ways.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from ctorrent.errors import LocalError
from ctorrent.library.function import Packed

Call = tuple[tuple[Any, ...], dict[str, Any]]


def calls(packed: Packed, items: Iterable[Any], star: bool | None = None) -> Iterator[Call]:
    """(args, kwargs) of each item, in order."""
    decided: dict[type, bool] = {}
    if not isinstance(items, Iterable):
        raise LocalError(f"{items!r:.80} is no list of items, nor anything else to go through.", "Such as range(10), or [{...}, {...}]: one call for each.")
    for item in items:
        kind: type = dict if isinstance(item, dict) else tuple if isinstance(item, tuple) else object
        if kind is object:
            yield (item,), {}
            continue
        if kind not in decided:
            decided[kind] = star if star is not None else _fits(packed, item) if kind is dict else _several_required(packed)
        if not decided[kind]:
            yield (item,), {}
        elif kind is dict:
            yield (), _named(item)
        else:
            yield tuple(item), {}


def _named(item: dict[Any, Any]) -> dict[str, Any]:
    if all(type(key) is str for key in item):
        return item
    raise LocalError(f"An item has a key that is no text: {next(key for key in item if type(key) is not str)!r:.80}.", "Keys are the names of parameters; star=False gives the dict as it is.")


def _fits(packed: Packed, item: dict[Any, Any]) -> bool:
    """Are these exactly names of its parameters, and all that it requires?"""
    if packed.signature is None or not all(type(key) is str for key in item):
        return False
    absent = dict.fromkeys(packed.shared | ({"seed"} if packed.seeded else frozenset()))
    try:
        packed.signature.bind(**{**absent, **item})
    except TypeError:
        return _several_required(packed)  # it cannot be the one argument either: then say what is wrong with these names
    return True


def _several_required(packed: Packed) -> bool:
    if packed.signature is None:
        return False
    given = packed.shared | ({"seed"} if packed.seeded else frozenset())
    required = [
        each for each in packed.signature.parameters.values()
        if each.default is each.empty and each.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) and each.name not in given
    ]  # fmt: skip
    return len(required) > 1
