"""YAML 1.2's core schema, by its own table, and a YAML parser's complaints in the words of whoever typed the file."""

from __future__ import annotations

import re
from typing import Any

_DIGITS_MAX = 4000  # of a whole number; longer ones take Python quadratic time, and it refuses them
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_ENDLESS = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


def core(raw: str) -> Any:
    """A plain scalar as YAML 1.2 reads it (section 10.3.2): `no`, `1_000` and `2020-01-01` are text, `010` is ten.

    Raises ValueError: a number of thousands of digits.
    """
    if raw in _WORDS:
        return _WORDS[raw]
    if _INT.fullmatch(raw):
        if len(raw) > _DIGITS_MAX:
            raise ValueError(f"a number of {len(raw)} digits")
        return int(raw, 0) if raw[:2] in ("0o", "0x") else int(raw)
    if _FLOAT.fullmatch(raw):
        return float(raw)
    if endless := _ENDLESS.fullmatch(raw):
        return float(f"{endless[1]}inf")
    return raw


# What the parser says, what it means, what to do. {0}, {1}: what the pattern caught.
_COMPLAINTS: tuple[tuple[str, str, str], ...] = (
    (r"found character '\\t'.*", "there is a tab where YAML wants blanks", "Indent with blanks."),
    (r"found character '(.)' that cannot start any token", "a word cannot begin with {0}", "Put quotes around it."),
    (r"found undefined alias '(.*)'", "*{0} stands for something called {0}, and there is nothing", 'Text that begins with * needs quotes: "*{0}".'),
    (r"but found another document", "a second document begins here: a job file holds one job", "Make a file of its own for it."),
    (r"mapping values are not allowed here", "there is a second colon, or this line is indented more than the one above", 'Text with ": " in it needs quotes.'),
    (r"found unexpected end of stream", "a quote is never closed", "Close it."),
    (r"expected ',' or '(.)', but got .*", "a bracket is never closed, or a comma is missing before this", "It wants , or {0}."),
    (r"expected <block end>, but found '<scalar>'", "there is text after the end of a bracket or quote", 'Put quotes around the whole: "{{stem}}.mp4".'),
    (r"expected <block end>, but found .*", "this line is not indented like those it belongs to", "Give lines of one map the same indentation."),
    (r"could not find expected ':'", "there is a line without a colon, or a dash without a blank after it", "Fields are written name: value, items - value."),
)


def complaint(problem: str) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    for pattern, words, hint in _COMPLAINTS:
        if found := re.fullmatch(pattern, problem):
            return "not YAML: " + words.format(*found.groups()), hint.format(*found.groups())
    return f"not YAML: {problem}", ""
