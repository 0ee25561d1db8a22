"""What a field may hold. A kind reads a spot, and describes itself as a JSON schema; both from one place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ctorrent.plan.tree import Spot, nearest

_SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
_SPANS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_MEASURE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")
SPAN_S_MAX = 1e9  # thirty years
_DIGITS_MAX = 30  # of a size or a time: a million of them would take seconds to read
_SIZE_PATTERN = r"^\s*[0-9]{1,30}(\.[0-9]{1,30})?\s*(([kKmMgGtT][iI]?)?[bB]|[kKmMgGtT])?\s*$"
_SPAN_PATTERN = r"^\s*[0-9]{1,30}(\.[0-9]{1,30})?\s*([sS]|[mM][iI][nN]|[hH]|[dD])?\s*$"


@dataclass(frozen=True, slots=True)
class Kind:
    """`read` returns the model's value or raises JobFileError; `schema` says the same to an editor."""

    read: Callable[[Spot], Any]
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the job file. `to`: the model's attribute; `doc`: a sentence for people; `like`: right values."""

    to: str
    kind: Kind
    doc: str
    like: tuple[Any, ...] = ()


def whole(low: int, high: int) -> Kind:
    """A whole number within [low, high]."""

    def read(spot: Spot) -> int:
        value = spot.value
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)  # 1e6 is a way to write a million
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise spot.wrong(f"must be a whole number from {low} to {high}, not {spot.shown()}")
        return value

    return Kind(read, {"type": "integer", "minimum": low, "maximum": high})


def number(low: float = 0.0, high: float = 1e15) -> Kind:
    """A finite number within [low, high]."""

    def read(spot: Spot) -> float:
        value = spot.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise spot.wrong(f"must be a number, not {spot.shown()}")
        if not low <= value <= high:
            raise spot.wrong(f"must be from {low:g} to {high:g}, not {spot.shown()}")
        return float(value)

    return Kind(read, {"type": "number", "minimum": low, "maximum": high})


def size(high: int = 1 << 50) -> Kind:
    """Bytes: a number, or text such as "2 GB" (10^9) or "512 MiB" (2^20)."""

    def read(spot: Spot) -> int:
        found = _measured(spot, {**_SIZES, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}, "B", str.upper)
        if found is None:
            raise spot.wrong(f'must be a size such as "500 MB", "2 GB" or "512 MiB", not {spot.shown()}')
        if found > high:
            raise spot.wrong(f"must be at most {high} bytes, not {spot.shown()}")
        return int(found)

    return Kind(read, {"type": ["number", "string"], "minimum": 0, "maximum": high, "pattern": _SIZE_PATTERN})


def span() -> Kind:
    """Seconds above zero: a number, or text such as "90 s", "5 min", "2 h", "3 d"."""

    def read(spot: Spot) -> float:
        found = _measured(spot, _SPANS, "s", str.lower)
        if found is None or not 0 < found <= SPAN_S_MAX:
            raise spot.wrong(f'must be seconds above 0, or text such as "5 min", "2 h" or "3 d", not {spot.shown()}')
        return float(found)

    return Kind(read, {"type": ["number", "string"], "exclusiveMinimum": 0, "maximum": SPAN_S_MAX, "pattern": _SPAN_PATTERN})


def _measured(spot: Spot, units: Mapping[str, int], usual: str, fold: Callable[[str], str]) -> Fraction | None:
    """A number, or a number and its unit, counted in the smallest; None when it is neither."""
    if isinstance(spot.value, bool | list | dict) or spot.value is None:
        return None
    if isinstance(spot.value, int | float):
        return Fraction(spot.value) if math.isfinite(spot.value) and spot.value >= 0 else None
    found = _MEASURE.fullmatch(spot.raw)
    unit = units.get(fold(found[2] or usual)) if found else None
    if found is None or unit is None or max(map(len, found[1].split("."))) > _DIGITS_MAX:
        return None
    return Fraction(found[1]) * unit


def text(limit: int = 200, pattern: str = "", such_as: str = "", numbers: bool = False) -> Kind:
    """One line of text, as typed: `3.10` stays "3.10". numbers: what fits the pattern may be typed as a number."""

    def read(spot: Spot) -> str:
        if isinstance(spot.value, list | dict) or spot.value is None:
            raise spot.wrong(f"must be text{_example(such_as)}, not {spot.shown()}")
        value = spot.raw.strip()
        if not value or len(spot.raw) > limit or "\n" in value or not value.isprintable():
            raise spot.wrong(f"must be one line of 1 to {limit} characters{_example(such_as)}")
        typed = not pattern or numbers or isinstance(spot.value, str)
        if not typed or (pattern and not re.fullmatch(pattern, value)):
            raise spot.wrong(f"must be{_example(such_as).removeprefix(' such as')}, not {value!r:.60}")
        return value

    types = ["string", *(["number"] if numbers else []), *([] if pattern else ["number", "boolean"])]
    shape = rf"^\s*(?:{pattern})\s*$" if pattern else r"\S"
    return Kind(read, {"type": types if len(types) > 1 else "string", "maxLength": limit, "pattern": shape})


def choice(options: Mapping[str, Any]) -> Kind:
    """One word of a few, in lower case."""

    def read(spot: Spot) -> Any:
        word = spot.raw.strip()
        if isinstance(spot.value, list | dict) or word not in options:
            near = f"; {nearest(word.lower(), options)}" if nearest(word.lower(), options).startswith("did") else ""
            raise spot.wrong(f"must be {' or '.join(options)}, not {spot.shown()}{near}")
        return options[word]

    return Kind(read, {"enum": list(options)})


def flag() -> Kind:
    """true or false."""

    def read(spot: Spot) -> bool:
        if not isinstance(spot.value, bool):
            raise spot.wrong(f"must be true or false, not {spot.shown()}")
        return spot.value

    return Kind(read, {"type": "boolean"})


def several(each: Kind, limit: int, one_too: bool = False, least: int = 0) -> Kind:
    """A list; with `one_too`, a single value stands for a list of it."""

    def read(spot: Spot) -> tuple[Any, ...]:
        if isinstance(spot.value, list):
            if not least <= len(spot.value) <= limit:
                raise spot.wrong(f"has {len(spot.value)} items: {f'at least {least}' if len(spot.value) < least else f'at most {limit}'}")
            return tuple(each.read(item) for item in spot.value)
        if one_too and spot.value is not None:
            return (each.read(spot),)
        raise spot.wrong(f"must be a list, such as [a, b], not {spot.shown()}")

    listed: dict[str, Any] = {"type": "array", "items": dict(each.schema), "maxItems": limit, "minItems": least}
    return Kind(read, one_or_more(each.schema, limit, least) if one_too else listed)


def one_or_more(each: Mapping[str, Any], limit: int, least: int = 0) -> dict[str, Any]:
    """The schema of one value, or of a list of such."""
    return {"anyOf": [{"type": "array", "items": dict(each), "maxItems": limit, "minItems": least}, dict(each)]}


def section(fields: Mapping[str, Field], need: tuple[str, ...] = ()) -> Kind:
    """A map of known fields -> {attribute: value} of those that are there."""

    def read(spot: Spot) -> dict[str, Any]:
        entries = entries_of(spot, fields)
        for name in need:
            if name not in entries:
                raise spot.wrong(f"needs the field {name}: {fields[name].doc}")
        return {fields[name].to: fields[name].kind.read(entry) for name, entry in entries.items()}

    properties = {name: shape(each) for name, each in fields.items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return Kind(read, schema | ({"required": list(need)} if need else {}))


def shape(field: Field) -> dict[str, Any]:
    """What an editor is told of a field."""
    return {**field.kind.schema, "description": field.doc, **({"examples": list(field.like)} if field.like else {})}


def entries_of(spot: Spot, known: Iterable[str], homes: Mapping[str, str] | None = None) -> dict[str, Spot]:
    """The map at a spot, every key of it known. homes: where a field belongs that is often put here."""
    names = tuple(known)
    if not isinstance(spot.value, dict):
        raise spot.wrong(f"must be a map of {', '.join(names)}, not {spot.shown()}")
    entries: dict[str, Spot] = spot.value
    for name, entry in entries.items():
        if name not in names:
            home = (homes or {}).get(name)
            near = f"write {home}: {{{name}: …}}" if home else nearest(name, names)
            raise entry.wrong(f"is not a field{' here' if home else ''}; {near}")
    return entries


def _example(such_as: str) -> str:
    return f" such as {such_as}" if such_as else ""
