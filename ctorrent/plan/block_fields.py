"""`blocks:` of a job file: what it may hold, and how often each part is run."""

from __future__ import annotations

from typing import Any

from ctorrent.plan.folder import is_pattern
from ctorrent.plan.kinds import (
    Field,
    Kind,
    choice,
    entries_of,
    number,
    one_or_more,
    section,
    several,
    size,
    text,
    whole,
)
from ctorrent.plan.ranges import spread
from ctorrent.plan.source import Count, Globs, Grid, Items, Records, Source, Split
from ctorrent.plan.tree import Spot
from ctorrent.plan.values import PARAMS_SCHEMA, read_params, read_value

BLOCKS_MAX = 1_000_000  # each costs 8 us to name and a hundred bytes to keep
REPEAT = "repeat"  # the param that tells the runs of one part apart: 0, 1, …
_PART_BYTES = 1 << 20  # part sizes when none is given: a part as params must fit blocks.PARAMS_BYTES_MAX
_PART_LINES, _PART_PARAMS = 10_000, 100


def _true(spot: Spot) -> bool:
    if not isinstance(spot.value, bool):
        raise spot.wrong(f"must be true or false, not {spot.shown()}")
    return spot.value


_END = Kind(number(-1e300, 1e300).read, {"type": "number", "minimum": -1e300, "maximum": 1e300})
RANGE_FIELDS = {
    "from": Field("first", _END, "the first value"),
    "to": Field("last", _END, "the last value, itself included"),
    "steps": Field("steps", whole(2, BLOCKS_MAX), "how many values, both ends among them", (200,)),
    "log": Field("log", Kind(_true, {"type": "boolean"}), "true: at equal ratios instead of equal distances", (True,)),
}
_SPLITS = ("lines", "csv", "bytes")
SPLIT_FIELDS = {
    "file": Field("file", text(1000, such_as="data.csv"), "which file", ("data.csv",)),
    "by": Field("by", choice({word: word for word in _SPLITS}), "lines, csv (rows under a header) or bytes"),
    "size": Field("size", Kind(lambda spot: spot, {"type": ["number", "string"]}), "lines, rows or bytes of a part", (1000, "1 MB")),
    "as": Field(
        "as_params",
        choice({"params": True, "file": False}),
        "params: the part comes as `lines` or `rows`; file: as an input file",
    ),
}


def _count(spot: Spot, python: bool) -> tuple[Source, int]:
    source = Count(whole(1, BLOCKS_MAX).read(spot))
    return source, source.count


def _items(spot: Spot, python: bool) -> tuple[Source, int]:
    if not isinstance(spot.value, list) or not spot.value:
        raise spot.wrong("must be a list of at least one item")
    items = tuple(read_params(item) if isinstance(item.value, dict) else read_value(item) for item in spot.value)
    return Items(items), len(items)


def _grid(spot: Spot, python: bool) -> tuple[Source, int]:
    if not isinstance(spot.value, dict) or not spot.value:
        raise spot.wrong("must be a map of lists, such as {C: [0.1, 1, 10], beta: {from: 0.1, to: 0.5, steps: 5}}")
    axes: dict[str, tuple[Any, ...]] = {}
    total = 1
    for name, axis in spot.value.items():
        _few(total * _steps(axis), spot)  # before a million values are made
        axes[name] = _axis(axis, name)
        total *= len(axes[name])
        _few(total, spot)
    return Grid(axes), total


def _steps(axis: Spot) -> int:
    """How many values a range says that it has; 1 for anything else."""
    steps = axis.value.get("steps") if isinstance(axis.value, dict) else None
    return steps.value if steps is not None and isinstance(steps.value, int) else 1


def _axis(axis: Spot, name: str) -> tuple[Any, ...]:
    """A list of values, one value, or a range."""
    if isinstance(axis.value, dict):
        read_value(Spot(axis.file, axis.line, axis.field, None), name)  # the name alone
        return _range(axis)
    values = axis.value if isinstance(axis.value, list) else [axis]
    if not values:
        raise axis.wrong("must have at least one value")
    return tuple(read_value(value, name) for value in values)


def _range(axis: Spot) -> tuple[Any, ...]:
    if not {"from", "to", "steps"} & set(axis.value):
        raise axis.wrong("is a map without from, to and steps", "A range is {from: 0.1, to: 0.5, steps: 5}; one value that is a map is [{…}].")
    got = section(RANGE_FIELDS, need=("from", "to", "steps")).read(axis)
    first, last = (read_value(axis.value[end]) for end in ("from", "to"))  # whole numbers stay whole
    if first == last:
        raise axis.wrong(f"from and to are both {first}: a range has two ends", f"One value is just {axis.field.rpartition('.')[2]}: {first}.")
    if got.get("log") and min(first, last) <= 0:
        raise axis.wrong("log: true needs from and to above 0")
    return spread(first, last, got["steps"], got.get("log", False))


def _files(spot: Spot, python: bool) -> tuple[Source, int]:
    patterns: tuple[str, ...] = several(text(1000, such_as="data/*.txt"), 1000, one_too=True, least=1).read(spot)
    for pattern in patterns:
        if not is_pattern(pattern):
            raise spot.wrong(f"{pattern} must be a pattern such as data/*.txt or data/**/*.txt, below the job file's folder")
    return Globs(patterns), 1


def _split(spot: Spot, python: bool) -> tuple[Source, int]:
    got = section(SPLIT_FIELDS, need=("file", "by")).read(spot)
    by: str = got["by"]
    as_params = got.get("as_params", python and by != "bytes")
    if as_params and (by == "bytes" or not python):
        raise spot.wrong("as: params is for python programs, and for lines and csv")
    part = _PART_BYTES if by == "bytes" else _PART_PARAMS if as_params else _PART_LINES
    given: Spot | None = got.get("size")
    if given is not None:
        part = (size() if by == "bytes" else whole(1, 1 << 40)).read(given)
        if part < 1:
            raise given.wrong("must be above 0")
    return Split(got["file"], by, part, as_params), 1


def _records(spot: Spot, python: bool) -> tuple[Source, int]:
    if not python:
        raise spot.wrong("is for python programs: their arguments, as the library writes them")
    return Records(text(1000, such_as="calls.records").read(spot)), 1


_SOURCES = {"count": _count, "items": _items, "grid": _grid, "files": _files, "split": _split, "records": _records}
SOURCES = tuple(_SOURCES)


def _few(total: int, spot: Spot) -> None:
    if total > BLOCKS_MAX:
        raise spot.wrong(f"makes {total} blocks: at most {BLOCKS_MAX}", "Let each block do more.")


def read_blocks(spot: Spot, python: bool) -> tuple[Source, int]:
    """Where blocks come from, and `repeat` (0: it is not there). A bare number is a count; {file: …, split: lines} a split."""
    if not isinstance(spot.value, dict):
        if isinstance(spot.value, int | float) and not isinstance(spot.value, bool):
            return _count(spot, python)[0], 0
        raise spot.wrong(f"must be a map with one of {', '.join(_SOURCES)}, such as {{count: 10}}, not {spot.kind()}")
    wanted = dict(spot.value)
    again = wanted.pop(REPEAT, None)
    repeat: int = 0 if again is None else whole(1, BLOCKS_MAX).read(again)
    source, least = _source(Spot(spot.file, spot.line, spot.field, wanted), python)
    _few(least * max(1, repeat), spot)
    return source, repeat


def _source(spot: Spot, python: bool) -> tuple[Source, int]:
    """-> the source, and how many parts it makes at least."""
    if "file" in spot.value and "split" in spot.value and not isinstance(spot.value["split"].value, dict):
        renamed = {"by" if name == "split" else name: value for name, value in spot.value.items()}
        return _split(Spot(spot.file, spot.line, spot.field, renamed), python)
    entries = entries_of(spot, (*_SOURCES, REPEAT))
    if len(entries) != 1:
        raise spot.wrong(f"must have exactly one of {', '.join(_SOURCES)}")
    ((name, entry),) = entries.items()
    return _SOURCES[name](entry, python)


# What an editor is told ----------------------------------------------------------------------------------------------

_REPEAT_SHAPE = {
    **whole(1, BLOCKS_MAX).schema,
    "description": "how often each part is run, with a seed of its own each time; the program gets `repeat`: 0, 1, …",
    "examples": [50],
}
_AXIS: dict[str, Any] = {
    "description": "a list of values, one value, or {from: 0.1, to: 0.5, steps: 200}",
    "anyOf": [
        {"type": "array", "minItems": 1},
        {"type": ["string", "number", "boolean", "null"]},
        section(RANGE_FIELDS, need=("from", "to", "steps")).schema,
    ],
}
_SHAPES: dict[str, dict[str, Any]] = {
    "count": {**whole(1, BLOCKS_MAX).schema, "description": "so many blocks, told apart by index and seed", "examples": [20]},
    "items": {
        "type": "array",
        "minItems": 1,
        "items": {"if": {"type": "object"}, "then": PARAMS_SCHEMA},
        "description": "one block per item: a map gives its keys by name, anything else comes as `item`",
        "examples": [["a", "b"]],
    },
    "grid": {
        **PARAMS_SCHEMA,
        "minProperties": 1,
        "additionalProperties": _AXIS,
        "description": "one block per combination, the last key fastest",
        "examples": [{"beta": {"from": 0.1, "to": 0.5, "steps": 200}, "n": [100, 1000]}],
    },
    "files": {
        **one_or_more(text(1000).schema, 1000, 1),
        "description": "one block per file that matches: it is the block's input, its path the param `file`",
        "examples": ["data/*.txt", ["a/*.csv", "b/**/*.csv"]],
    },
    "split": {**section(SPLIT_FIELDS, need=("file", "by")).schema, "description": "one block per part of a file"},
    "records": {**text(1000).schema, "description": "one block per record of a file that the library wrote", "examples": ["calls.records"]},
}
_SHORT_SPLIT = section({"split" if name == "by" else name: each for name, each in SPLIT_FIELDS.items()}, need=("file", "split")).schema
BLOCKS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {**whole(1, BLOCKS_MAX).schema, "description": "so many blocks, told apart by index and seed"},
        *(
            {"type": "object", "properties": {name: shape, REPEAT: _REPEAT_SHAPE}, "required": [name], "additionalProperties": False}
            for name, shape in _SHAPES.items()
        ),
        {**_SHORT_SPLIT, "properties": {**_SHORT_SPLIT["properties"], REPEAT: _REPEAT_SHAPE}},
    ]
}
