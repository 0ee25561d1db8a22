"""The table: every field of a job file, what it may hold, and a sentence on it."""

from __future__ import annotations

import re
from typing import Any

from ctorrent.model.job import Isolation
from ctorrent.model.output_name import TEMPLATE_CHARS_MAX, check_name, split_template
from ctorrent.plan.block_fields import BLOCKS_MAX, BLOCKS_SCHEMA, SOURCES
from ctorrent.plan.entry import ENTRY, ENTRY_PATTERN, FUNCTION, read_entry
from ctorrent.plan.kinds import (
    Field,
    Kind,
    choice,
    entries_of,
    flag,
    number,
    one_or_more,
    section,
    several,
    size,
    span,
    text,
    whole,
)
from ctorrent.plan.tree import Spot, nearest
from ctorrent.plan.values import GIVEN, PARAMS_SCHEMA, read_params
from ctorrent.plan.verify_fields import VERIFY, read_verify

RINGS = ("friends", "swarm", "public")
BUILT_IN = ("sum", "mean", "concat", "table", "best-by FIELD")
WORDS_MAX, WORD_CHARS_MAX = 256, 4096  # of a command: a script in a word is no file
_REQUIREMENT = r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*((?:(?:==|>=|<=|~=|!=|<|>)\s*[\w.*+!-]+\s*,?\s*)*)"
_PYTHON = r"(?:3\.\d{1,2}(?:\.\d{1,3})?|(?:(?:>=|<=|==|<|>)\s*3(?:\.\d{1,3}){0,2}\s*,?\s*)+)"
_EMPTY_BRACES = 'a word in braces must be quoted: "{input}"'
_PACKAGE = text(200, _REQUIREMENT, "a package such as scikit-learn or numpy>=1.26")
_PROGRAM = text(100, r"[A-Za-z0-9_.+-]+", "awk")
_NAMES_MAX = 256  # packages and programs; an announcement holds fewer still


def _requirements(spot: Spot) -> tuple[str, ...]:
    """Names as PEP 503 has them, sorted, none twice."""
    found = {}
    for word in several(_PACKAGE, _NAMES_MAX, one_too=True).read(spot):
        match = re.fullmatch(_REQUIREMENT, word)
        assert match is not None
        name = re.sub(r"[-_.]+", "-", match[1]).lower()
        if name in found:
            raise spot.wrong(f"{name} is there twice")
        found[name] = name + re.sub(r"\s+", "", match[2]).rstrip(",")
    return tuple(sorted(found.values()))


def _programs(spot: Spot) -> tuple[str, ...]:
    return tuple(sorted(set(several(_PROGRAM, _NAMES_MAX, one_too=True).read(spot))))


def _argv(spot: Spot) -> tuple[str, ...]:
    if not isinstance(spot.value, list) or not spot.value:
        raise spot.wrong('must be a list of words, such as [wc, -w, "{input}"]')
    for word in spot.value:
        if isinstance(word.value, dict):
            raise word.wrong(_EMPTY_BRACES)
        if isinstance(word.value, list) or word.value is None:
            raise word.wrong(f"must be a word, not {word.kind()}", 'An empty word is "".' if word.value is None else "")
    if len(spot.value) > WORDS_MAX or any(len(word.raw) > WORD_CHARS_MAX or "\0" in word.raw for word in spot.value):
        raise spot.wrong(f"has at most {WORDS_MAX} words of at most {WORD_CHARS_MAX} characters")
    return tuple(word.raw for word in spot.value)


def _outputs(spot: Spot) -> str:
    """A template whose fields, whatever they hold, leave a path below the folder."""
    if not isinstance(spot.value, str):
        raise spot.wrong(f'must be text such as "small/{{stem}}.mp4", not {spot.shown()}', "Words in braces are quoted.")
    template: str = text(TEMPLATE_CHARS_MAX).read(spot)
    try:
        check_name("".join(before + ("x" if name else "") for before, name, _ in split_template(template)))
    except ValueError as error:
        raise spot.wrong(f"{template!r:.100} {error}", 'Such as "small/{stem}.mp4", or "frame{index:04}.png".') from None
    return template


# A field, the attribute it fills, what it may hold, a sentence, right values. ------------------------------------------

NEEDS = {
    "cpu": Field("cpu", whole(1, 4096), "whole cores of one slot; 1 unless said", (2,)),
    "memory": Field("memory_bytes", size(), 'memory of one slot, such as "2 GB"; 512 MiB unless said', ("2 GB", "512 MiB")),
    "gpu": Field("gpu", whole(0, 64), "whole GPUs of one slot", (1,)),
    "gpu_memory": Field("gpu_memory_bytes", size(), 'memory of each GPU, at least, such as "8 GB"', ("8 GB",)),
    "compute_capability": Field(
        "compute_capability", text(10, r"\d{1,2}\.\d", "8.0", numbers=True), "CUDA compute capability, at least, such as 8.0", ("8.0",)
    ),
    "isolation": Field(
        "isolation", choice({i.name.lower(): i for i in Isolation}), "the least that stands between a block and the machine; jail unless said"
    ),
    "packages": Field(
        "packages", Kind(_requirements, one_or_more(_PACKAGE.schema, _NAMES_MAX)), "Python packages that blocks import", (["scikit-learn", "numpy>=1.26"],)
    ),
    "programs": Field("programs", Kind(_programs, one_or_more(_PROGRAM.schema, _NAMES_MAX)), "commands that must be there", (["ffmpeg"],)),
    "image": Field("image", text(300, r"[\w./:-]+@sha256:[0-9a-f]{64}", '"name@sha256:…"'), "a container image, by digest"),
    "python": Field("python", text(60, _PYTHON, '"3.11" or ">=3.11,<3.13"', numbers=True), "Python version or range", ("3.11", ">=3.11,<3.13")),
    "arch": Field("arch", choice({"x86_64": "x86_64", "aarch64": "aarch64"}), "processor"),
}
LIMITS = {
    "seconds": Field("block_s", span(), "wall clock of one block; 300 unless said", (60, "5 min")),
    "output": Field("output_bytes", size(1 << 40), "output of one block; 64 MiB unless said", ("64 MiB",)),
    "log": Field("log_bytes", size(1 << 30), "stdout and stderr of one block; 1 MiB unless said", ("1 MiB",)),
    "scratch": Field("scratch_bytes", size(1 << 45), "files one block may write; 256 MiB unless said", ("1 GB",)),
    "job_seconds": Field("job_s", span(), "wall clock of the whole job; 7 d unless said", ("2 h",)),
    "attempts": Field("attempts", whole(1, 100), "how often a lost replica is tried again; 5 unless said", (5,)),
}


def read_reduce(spot: Spot) -> str:
    """How values become the answer, in the manifest's words."""
    if isinstance(spot.value, dict):
        return "python " + str(read_entry(entries_of(spot, {"python": 0}).get("python", spot)))
    value: str = text(200, such_as=", ".join(BUILT_IN)).read(spot)
    word, _, rest = value.partition(" ")
    if word == "python":
        return "python " + read_entry(Spot(spot.file, spot.line, spot.field, rest.strip(), rest.strip()))
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


_REDUCE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"enum": ["sum", "mean", "concat", "table"]},
        {"type": "string", "maxLength": 200, "pattern": rf"^\s*(sum|mean|concat|table|best-by\s+\S.*|python\s+{ENTRY_PATTERN})\s*$"},
        {"type": "object", "properties": {"python": {**FUNCTION.schema, "description": "a function that gets the list of all values"}}, "required": ["python"], "additionalProperties": False},
    ]
}


def _never(spot: Spot) -> Any:
    raise AssertionError("blocks and reduce are read by functions of their own")


_WORD = {"type": ["string", "number", "boolean"], "maxLength": WORD_CHARS_MAX}
_ARGV_SCHEMA = {"type": "array", "minItems": 1, "maxItems": WORDS_MAX, "items": _WORD}
_OUTPUTS_SCHEMA = {"type": "string", "maxLength": TEMPLATE_CHARS_MAX, "pattern": r"^\s*[^\s./\\]"}
FIELDS = {
    "python": Field("entry", FUNCTION, f"the program, as {ENTRY}; its function gets what it asks for by name", ("search.py:score",)),
    "command": Field(
        "argv", Kind(_argv, _ARGV_SCHEMA), 'the program, word by word; "{input}", "{output}", "{index}", "{seed}" and "{any param}" are filled in',
        (["wc", "-w", "{input}"], ["ffmpeg", "-i", "{input}", "{output}"]),
    ),
    "blocks": Field("source", Kind(_never, BLOCKS_SCHEMA), "what each block gets: a count, items, a grid, files, or parts of a file"),
    "params": Field("params", Kind(read_params, PARAMS_SCHEMA), "given to every block by name", ({"points": 1_000_000},)),
    "reduce": Field(
        "reduce", Kind(_never, _REDUCE_SCHEMA), f"how values become the answer: {', '.join(BUILT_IN)}, or {{python: {ENTRY}}}; table unless said",
        ("table", "best-by accuracy", {"python": "merge.py:merge"}),
    ),
    "outputs": Field(
        "outputs", Kind(_outputs, _OUTPUTS_SCHEMA),
        "what a block's file is called in the results; {stem}, {name} and {ext} are of its input, {index:04} fills up with zeros, any param has its field",
        ("small/{stem}.mp4", "frame{index:04}.png"),
    ),
    "verify": Field("verify", Kind(read_verify, section(VERIFY).schema), "how many must agree, and what agreeing means", ({"replicas": 1},)),
    "needs": Field("needs", section(NEEDS), "what a machine must have", ({"packages": ["scikit-learn"]},)),
    "limits": Field("limits", section(LIMITS), "what a block and the job may use", ({"seconds": 60},)),
    "ring": Field("ring", choice({word: word for word in RINGS}), "who may see and run it; friends unless said"),
    "seed": Field("seed", whole(0, (1 << 64) - 1), "makes random draws repeatable; drawn anew unless said", (1,)),
    "name": Field("name", text(), "for people; never announced; the folder's name unless said"),
    "on_error": Field("keep_errors", choice({"keep": True, "stop": False}), "what one failed block means for the others; keep unless said"),
    "coalesce": Field("coalesce", choice({"auto": True, "off": False}), "whether blocks may share a process; auto unless said"),
    "memo": Field("memo", flag(), "whether blocks that an earlier job of this node settled are taken from it, and these are kept for later ones; true unless said", (False,)),
    "price": Field("price_max", number(), "most credits per reference core-hour", (0.5,)),
    "price_gpu": Field("price_gpu", number(), "most credits per reference GPU-hour, of a job that holds one; its core-hours cost a tenth of that each", (5,)),
    "files": Field("files", several(text(1000, such_as="model.json"), 1000, one_too=True), "files and folders the program reads or imports", (["model/", "contacts.csv"],)),
}  # fmt: skip
# Where a field belongs that is often put at the top.
HOMES = {
    **{name: home for home, fields in (("needs", NEEDS), ("verify", VERIFY), ("limits", LIMITS)) for name in fields if name not in FIELDS and name + "s" not in FIELDS},
    **dict.fromkeys((*(name for name in SOURCES if name not in FIELDS), "repeat"), "blocks"),
}

__all__ = ["BLOCKS_MAX", "ENTRY", "FIELDS", "GIVEN", "HOMES", "LIMITS", "NEEDS", "RINGS", "VERIFY", "read_reduce"]
