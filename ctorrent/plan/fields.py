"""The table: every field of a job file, what it may hold, and a sentence on it."""

from __future__ import annotations

import re
from typing import Any

from ctorrent import canon
from ctorrent.model.job import Equality, Isolation
from ctorrent.plan.folder import is_pattern
from ctorrent.plan.kinds import Field, Kind, choice, entries_of, number, section, several, size, span, text, whole
from ctorrent.plan.source import Count, Globs, Grid, Items, Source, Split
from ctorrent.plan.tree import Spot, nearest

BLOCKS_MAX = 1_000_000  # each costs 8 us to name and a hundred bytes to keep
ENTRY = '"file.py:function"'
RINGS = ("friends", "swarm", "public")
BUILT_IN = ("sum", "mean", "concat", "table", "best-by FIELD")
GIVEN = ("index", "seed", "params", "inputs")  # every block has these names already
_ENTRY = r"[A-Za-z0-9_][A-Za-z0-9_./-]*\.py:[A-Za-z_][A-Za-z0-9_]*"
_REQUIREMENT = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*((?:(?:==|>=|<=|~=|!=|<|>)\s*[\w.*+!-]+\s*,?\s*)*)")
_PYTHON = r"(?:3\.\d{1,2}(?:\.\d{1,3})?|(?:(?:>=|<=|==|<|>)\s*3(?:\.\d{1,3}){0,2}\s*,?\s*)+)"
_EMPTY_BRACES = 'a word in braces must be quoted: "{input}"'


def _entry(spot: Spot) -> str:
    value: str = text(200, _ENTRY, ENTRY).read(spot)
    if ".." in value.partition(":")[0].split("/"):
        raise spot.wrong("must be a file beside the job file or below it")
    return value


def _requirements(spot: Spot) -> tuple[str, ...]:
    """Names as PEP 503 has them, sorted, none twice."""
    found = {}
    for word in several(text(200, such_as="scikit-learn or numpy>=1.26"), 256, one_too=True).read(spot):
        match = _REQUIREMENT.fullmatch(word)
        if match is None:
            raise spot.wrong(f"{word!r:.60} is not a package such as scikit-learn or numpy>=1.26")
        name = re.sub(r"[-_.]+", "-", match[1]).lower()
        if name in found:
            raise spot.wrong(f"{name} is there twice")
        found[name] = name + re.sub(r"\s+", "", match[2]).rstrip(",")
    return tuple(sorted(found.values()))


def _programs(spot: Spot) -> tuple[str, ...]:
    return tuple(sorted(set(several(text(100, r"[A-Za-z0-9_.+-]+", "awk"), 256, one_too=True).read(spot))))


def _argv(spot: Spot) -> tuple[str, ...]:
    if not isinstance(spot.value, list) or not spot.value:
        raise spot.wrong('must be a list of words, such as [wc, -w, "{input}"]')
    for word in spot.value:
        if isinstance(word.value, dict):
            raise word.wrong(_EMPTY_BRACES)
        if isinstance(word.value, list) or word.value is None:
            raise word.wrong(f"must be a word, not {word.kind()}")
    if len(spot.value) > 256 or any(len(word.raw) > 4096 or "\0" in word.raw for word in spot.value):
        raise spot.wrong("has at most 256 words of at most 4096 characters")
    return tuple(word.raw for word in spot.value)


def _params(spot: Spot) -> dict[str, Any]:
    if not isinstance(spot.value, dict):
        raise spot.wrong("must be a map, such as {points: 1000000}")
    return {name: _value(value, name) for name, value in spot.value.items()}


def _value(spot: Spot, name: str = "") -> Any:
    """A value that travels to the program: encodable, and not in the way of what every block has."""
    if name in GIVEN:
        raise spot.wrong(f"{name} is given to every block already", "Take another name.")
    plain = spot.plain()
    try:
        canon.encode(plain)
    except canon.CanonError as error:
        raise spot.wrong(str(error).replace("result", "the value", 1)) from None
    return plain


_ANY: dict[str, Any] = {}
_NAMES = {"type": "array", "items": {"type": "string"}}

NEEDS = {
    "cpu": Field("cpu", whole(1, 4096), "whole cores of one slot"),
    "memory": Field("memory_bytes", size(), 'memory of one slot, such as "2 GB"'),
    "gpu": Field("gpu", whole(0, 64), "whole GPUs of one slot"),
    "gpu_memory": Field("gpu_memory_bytes", size(), 'memory of each GPU, at least, such as "8 GB"'),
    "compute_capability": Field(
        "compute_capability", text(10, r"\d{1,2}\.\d", "8.0"), "CUDA compute capability, at least, such as 8.0"
    ),
    "isolation": Field(
        "isolation", choice({i.name.lower(): i for i in Isolation}), "the least that stands between a block and the machine"
    ),
    "packages": Field("packages", Kind(_requirements, _NAMES), "Python packages, such as [scikit-learn, numpy>=1.26]"),
    "programs": Field("programs", Kind(_programs, _NAMES), "commands that must be there, such as [awk]"),
    "image": Field(
        "image", text(300, r"[\w./:-]+@sha256:[0-9a-f]{64}", '"name@sha256:…"'), "a container image, by digest"
    ),
    "python": Field("python", text(60, _PYTHON, '"3.11" or ">=3.11,<3.13"'), 'Python version or range, such as "3.11"'),
    "arch": Field("arch", choice({"x86_64": "x86_64", "aarch64": "aarch64"}), "processor"),
}
VERIFY = {
    "replicas": Field("replicas", whole(1, 64), "how many owners must agree on each block"),
    "replicas_max": Field("replicas_max", whole(1, 64), "with no majority by then a block is reported disputed"),
    "equal": Field("equal", choice({e.name.lower(): e for e in (Equality.AUTO, Equality.EXACT, Equality.NUMERIC)}), "what agreeing means"),
    "rtol": Field("rtol", number(0, 1), "relative tolerance of floats"),
    "atol": Field("atol", number(), "absolute tolerance of floats"),
    "nan": Field("nan_equal", choice({"equal": True, "different": False}), "whether NaN agrees with NaN"),
}
LIMITS = {
    "seconds": Field("block_s", span(), "wall clock of one block"),
    "output": Field("output_bytes", size(1 << 40), "output of one block"),
    "log": Field("log_bytes", size(1 << 30), "stdout and stderr of one block"),
    "scratch": Field("scratch_bytes", size(1 << 45), "files one block may write"),
    "job_seconds": Field("job_s", span(), 'wall clock of the whole job, such as "2 h"'),
    "attempts": Field("attempts", whole(1, 100), "how often a lost replica is tried again"),
}


# Blocks --------------------------------------------------------------------------------------------------------------


def _count(spot: Spot, python: bool) -> Source:
    return Count(whole(1, BLOCKS_MAX).read(spot))


def _items(spot: Spot, python: bool) -> Source:
    if not isinstance(spot.value, list) or not spot.value:
        raise spot.wrong("must be a list of at least one item")
    _few(len(spot.value), spot)
    for item in spot.value:
        if isinstance(item.value, dict):
            _params(item)
    return Items(tuple(_value(item) for item in spot.value))


def _grid(spot: Spot, python: bool) -> Source:
    if not isinstance(spot.value, dict) or not spot.value:
        raise spot.wrong("must be a map of lists, such as {C: [0.1, 1, 10], gamma: [1e-3, 1e-2]}")
    axes = {}
    total = 1
    for name, axis in spot.value.items():
        values = axis.value if isinstance(axis.value, list) else [axis]
        if not values:
            raise axis.wrong("must have at least one value")
        axes[name] = tuple(_value(value, name) for value in values)
        total *= len(values)
    _few(total, spot)
    return Grid(axes)


def _files(spot: Spot, python: bool) -> Source:
    patterns: tuple[str, ...] = several(text(1000, such_as="data/*.txt"), 1000, one_too=True).read(spot)
    for pattern in patterns:
        if not is_pattern(pattern):
            raise spot.wrong(f"{pattern} must be a pattern such as data/*.txt or data/**/*.txt, below the job file's folder")
    return Globs(patterns)


_SPLITS = ("lines", "csv", "bytes")
_PART_BYTES = 1 << 20  # part sizes when none is given: a part as params must fit blocks.PARAMS_BYTES_MAX
_PART_LINES, _PART_PARAMS = 10_000, 100
_SPLIT_FIELDS = {
    "file": Field("file", text(1000, such_as="data.csv"), "which file"),
    "by": Field("by", choice({word: word for word in _SPLITS}), "lines, csv (rows under a header) or bytes"),
    "size": Field("size", Kind(lambda spot: spot, {"type": ["integer", "string"]}), "lines, rows or bytes of a part"),
    "as": Field(
        "as_params",
        choice({"params": True, "file": False}),
        "params: the part comes as `lines` or `rows`; file: as an input file",
    ),
}


def _split(spot: Spot, python: bool) -> Source:
    got = section(_SPLIT_FIELDS, need=("file", "by")).read(spot)
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
    return Split(got["file"], by, part, as_params)


_SOURCES = {"count": _count, "items": _items, "grid": _grid, "files": _files, "split": _split}


def _few(total: int, spot: Spot) -> None:
    if total > BLOCKS_MAX:
        raise spot.wrong(f"makes {total} blocks: at most {BLOCKS_MAX}", "Let each block do more.")


def read_blocks(spot: Spot, python: bool) -> Source:
    """Where blocks come from. A bare number is a count; {file: …, split: lines} is a split."""
    if not isinstance(spot.value, dict):
        if isinstance(spot.value, int | float) and not isinstance(spot.value, bool):
            return _count(spot, python)
        raise spot.wrong(f"must be a map with one of {', '.join(_SOURCES)}, such as {{count: 10}}, not {spot.kind()}")
    if "file" in spot.value:
        renamed = {"by" if name == "split" else name: value for name, value in spot.value.items()}
        return _split(Spot(spot.file, spot.line, spot.field, renamed), python)
    entries = entries_of(spot, _SOURCES)
    if len(entries) != 1:
        raise spot.wrong(f"must have exactly one of {', '.join(_SOURCES)}")
    ((name, entry),) = entries.items()
    return _SOURCES[name](entry, python)


def read_reduce(spot: Spot) -> str:
    """How values become the answer, in the manifest's words."""
    if isinstance(spot.value, dict):
        return "python " + str(_entry(entries_of(spot, {"python": 0}).get("python", spot)))
    value: str = text(200, such_as=", ".join(BUILT_IN)).read(spot)
    word, _, rest = value.partition(" ")
    if word == "python":
        return "python " + _entry(Spot(spot.file, spot.line, spot.field, rest.strip(), rest.strip()))
    if word == "best-by":
        if not rest.strip():
            raise spot.wrong("best-by needs a field: best-by accuracy, or best-by -loss for the least")
        return f"best-by {rest.strip()}"
    if value in ("sum", "mean", "concat", "table"):
        return value
    raise spot.wrong(
        f"{value!r:.40} is none of {', '.join(BUILT_IN)}; {nearest(word, ['sum', 'mean', 'concat', 'table', 'best-by'])}",
        f"A function of your own: {{python: {ENTRY}}}.",
    )


_BLOCKS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": BLOCKS_MAX},
        *(
            {"type": "object", "properties": {name: shape}, "required": [name], "additionalProperties": False}
            for name, shape in {
                "count": {"type": "integer", "minimum": 1, "maximum": BLOCKS_MAX},
                "items": {"type": "array", "minItems": 1},
                "grid": {"type": "object", "minProperties": 1},
                "files": {"type": ["string", "array"]},
                "split": section(_SPLIT_FIELDS, need=("file", "by")).schema,
            }.items()
        ),
        {"type": "object", "required": ["file", "split"]},
    ]
}
_REDUCE_SCHEMA: dict[str, Any] = {"type": ["string", "object"]}


def _never(spot: Spot) -> Any:
    raise AssertionError("blocks and reduce are read by functions of their own")


FIELDS = {
    "python": Field("entry", Kind(_entry, {"type": "string", "pattern": f"^{_ENTRY}$"}), f"the program: {ENTRY}"),
    "command": Field("argv", Kind(_argv, {"type": "array", "minItems": 1}), 'the program: [wc, -w, "{input}"]'),
    "blocks": Field("source", Kind(_never, _BLOCKS_SCHEMA), "what each block gets"),
    "params": Field("params", Kind(_params, {"type": "object"}), "given to every block by name"),
    "reduce": Field("reduce", Kind(_never, _REDUCE_SCHEMA), f"how values become the answer: {', '.join(BUILT_IN)}, or {{python: {ENTRY}}}"),
    "verify": Field("verify", section(VERIFY), "how many must agree, and what agreeing means"),
    "needs": Field("needs", section(NEEDS), "what a machine must have"),
    "limits": Field("limits", section(LIMITS), "what a block and the job may use"),
    "ring": Field("ring", choice({word: word for word in RINGS}), "who may see and run it"),
    "seed": Field("seed", whole(0, (1 << 64) - 1), "makes random draws repeatable"),
    "name": Field("name", text(), "for people; never announced"),
    "on_error": Field("keep_errors", choice({"keep": True, "stop": False}), "what one failed block means for the others"),
    "coalesce": Field("coalesce", choice({"auto": True, "off": False}), "whether blocks may share a process"),
    "price": Field("price_max", number(), "most credits per reference core-hour"),
    "files": Field("files", several(text(1000, such_as="model.json"), 1000, one_too=True), "files and folders the program reads"),
}
