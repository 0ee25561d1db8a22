"""What a block's file is called: the job's template ("small/{stem}.mp4") filled in with what the block is given.

Standard library of Python 3.9 only: a copy of this file lies beside the supervisor in every sandbox, so that the
program inside, the plan and the rows of a job name a file alike. Templates and values are a stranger's there: the
cost is linear in their length, and whatever comes out stays below the folder it is joined to.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

TEMPLATE_CHARS_MAX = 400
NAME_BYTES_MAX = 240  # of one part: file systems take 255, and a part may get an ending while it is written
PATH_BYTES_MAX = 1000  # Windows aside, systems take 4,096 with the folder before it
PARTS_MAX = 16

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::0([1-9][0-9]?))?\}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')  # what one system or another refuses in a name
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,60}(?<!\.)")  # parts that need no closer look, but for devices
_DEVICES = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")  # no files on Windows, whatever their ending


@lru_cache(maxsize=16)  # one a job; a million blocks ask
def split_template(template: str) -> tuple[tuple[str, str, int], ...]:
    """((text before, field, digits), …), the last with field "". Raises ValueError: braces that hold no field."""
    if len(template) > TEMPLATE_CHARS_MAX:
        raise ValueError(f"is longer than {TEMPLATE_CHARS_MAX} characters")
    parts, at = [], 0
    for match in _FIELD.finditer(template):
        parts.append((template[at : match.start()], match[1], int(match[2] or 0)))
        at = match.end()
    parts.append((template[at:], "", 0))
    for text, _, _ in parts:
        if "{" in text or "}" in text:
            raise ValueError("has a brace that is no field: fields are written {stem} or {index:04}")
    return tuple(parts)


def output_name(template: str, index: int, seed: int, params: dict[str, Any], input_name: str = "") -> str:
    """The relative path of a block's file, with forward slashes.

    params: decoded. input_name: what the block's first input is called; it gives {name}, {stem} and {ext}.
    Raises ValueError in words that go on from the template: it names a field that the block has not, or no safe path.
    """
    fields = {**_of_input(input_name), **params, "index": index, "seed": seed}
    made = "".join(text + (_shown(field, digits, fields) if field else "") for text, field, digits in split_template(template))
    check_name(made)
    return made


def check_name(name: str) -> None:
    """Raises ValueError unless a path is relative, stays below its folder, and every system can have it."""
    parts = name.split("/")
    if len(parts) > PARTS_MAX or len(name.encode("utf-8", "replace")) > PATH_BYTES_MAX:
        raise ValueError(f"gives a path that is too long: {name!r:.60} …")
    if name.startswith("/") or ".." in parts:
        raise ValueError(f"gives {name!r:.100}, which is not below the folder of the results")
    for part in parts:
        if _PLAIN.fullmatch(part) and not _DEVICES.fullmatch(part):
            continue
        if not part or part.startswith(".") or part != part.rstrip(" .") or part != part.lstrip():
            raise ValueError(f"gives {name!r:.100}: each part of a path needs a name that neither begins nor ends with a dot or a blank")
        if not part.isprintable() or _UNSAFE.search(part) or _DEVICES.fullmatch(part):
            raise ValueError(f"gives {name!r:.100}, which not every system can have as a file name")
        if len(part.encode()) > NAME_BYTES_MAX:
            raise ValueError(f"gives a name that is too long: {part!r:.60} …")


def stem_and_ext(name: str) -> tuple[str, str]:
    """("a.b", "mp4") of "a.b.mp4"; a name without an ending has ext ""."""
    stem, dot, ext = name.rpartition(".")
    return (stem, ext) if dot and stem else (name, "")


def _of_input(name: str) -> dict[str, Any]:
    if not name:
        return {}
    base = name.replace("\\", "/").rpartition("/")[2]
    stem, ext = stem_and_ext(base)
    return {"name": base, "stem": stem, "ext": ext}


def _shown(field: str, digits: int, fields: dict[str, Any]) -> str:
    if field not in fields:
        raise ValueError(f"has the field {{{field}}}, which this block has not: it has {', '.join(sorted(fields))[:300]}")
    value = fields[field]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value).zfill(digits)
    if digits or not isinstance(value, (str, float)):
        what = "only a whole number has digits to fill up" if digits else "only numbers and text can be part of a name"
        raise ValueError(f"cannot show {{{field}}}: {what}")
    return _UNSAFE.sub("_", value) if isinstance(value, str) else repr(value)
