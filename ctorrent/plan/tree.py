"""YAML 1.2 into spots. YAML is ruamel's business; what a spot is allowed to be is ours.

`no` is text, `1e-4` is a number, `3.10` keeps its last zero (`raw`), a key that is there twice is an error, and so is
every tag of a language's own.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLWarning
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from ctorrent.errors import JobFileError
from ctorrent.plan.yaml_words import complaint, core

TEXT_CHARS_MAX = 1 << 20  # ruamel reads 200,000 characters a second; longer lists belong into a file of their own
SPOTS_MAX = 1 << 18  # more than a text of that length can hold; aliases of aliases of aliases would go on
DEPTH_MAX = 32  # what canon takes, halved
_TAG = "tag:yaml.org,2002:"
_TAGS = ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")  # what ruamel may take a plain word for
_FIELD_CHARS_MAX = 200  # of a field's name in an error


@dataclass(frozen=True, slots=True)
class Spot:
    """One value of a job file. `value`: None, bool, int, float, text, list of spots, or dict of text to spots."""

    file: str
    line: int  # 1, 2, …
    field: str  # "blocks.grid.C[2]"; "" for the whole file
    value: Any
    raw: str = ""  # a scalar as it was typed

    def wrong(self, what: str, hint: str = "") -> JobFileError:
        """The error to raise: where, which field, what would be right."""
        place = f"{self.file}:{self.line}: " if self.file else ""  # an option of the command line has no place
        field = self.field if len(self.field) <= _FIELD_CHARS_MAX else f"{self.field[:_FIELD_CHARS_MAX]}…"
        return JobFileError(place + (f"{field}: {what}" if field else what), hint)

    def plain(self) -> Any:
        """The value without its spots."""
        if isinstance(self.value, dict):
            return {key: spot.plain() for key, spot in self.value.items()}
        if isinstance(self.value, list):
            return [spot.plain() for spot in self.value]
        return self.value

    def shown(self) -> str:
        """The value as it was typed, or what it is."""
        if isinstance(self.value, list | dict) or self.value is None:
            return self.kind()
        return repr(self.raw[:40]) if isinstance(self.value, str) else self.raw[:40]

    def kind(self) -> str:
        """What it is, in words."""
        if isinstance(self.value, bool):
            return "true or false"
        names = {str: "text", int: "a number", float: "a number", list: "a list", dict: "a map"}
        return names.get(type(self.value), "empty")


def nearest(word: str, known: Iterable[str]) -> str:
    """ "did you mean …?" or the list of what there is."""
    names = list(known)
    close = difflib.get_close_matches(word, names, 1, 0.6)
    return f"did you mean {close[0]}?" if close else f"there is {', '.join(names)}"


def parse(text: str, file: str) -> Spot:
    """The whole file as one spot. Raises JobFileError."""
    if len(text) > TEXT_CHARS_MAX:
        raise JobFileError(f"{file}:1: longer than {TEXT_CHARS_MAX >> 20} MiB", "Put the data into a file beside it.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", YAMLWarning)  # an anchor given twice: nobody can tell which is meant
            root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        raise _complained(error, file, text) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise JobFileError(f"{file}:{line}: not text: there is a character U+{error.character:04X}", "Remove it.") from None
    except (YAMLError, YAMLWarning) as error:
        raise JobFileError(f"{file}:1: not YAML: {str(error).strip().splitlines()[0]}") from None
    except RecursionError:
        raise JobFileError(f"{file}:1: nested too deeply") from None
    except (ValueError, AttributeError, TypeError) as error:  # ruamel's own slips on odd directives and tags
        raise JobFileError(f"{file}:1: not YAML: {error}") from None
    return _Grower(file).grow(root, "", 0) if root is not None else Spot(file, 1, "", None)


def _complained(error: MarkedYAMLError, file: str, text: str) -> JobFileError:
    words, hint = complaint(error.problem or error.context or "it cannot be read")
    unclosed = error.problem == "found unexpected end of stream"  # noticed at the end; it began where the quote is
    mark = (error.context_mark if unclosed else error.problem_mark) or error.context_mark
    line = min(mark.line + 1, max(1, len(text.splitlines()))) if mark else 1
    return JobFileError(f"{file}:{line}: {words}", hint)


class _Grower:
    """Turns ruamel's nodes into spots, counting them."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._left = SPOTS_MAX

    def grow(self, node: Node, field: str, depth: int) -> Spot:
        self._left -= 1
        spot = Spot(self._file, node.start_mark.line + 1, field, None)
        if self._left < 0 or depth > DEPTH_MAX:
            raise spot.wrong("too many values, or nested too deeply", "An alias (*name) counts as all that it stands for.")
        if not isinstance(node, ScalarNode) and str(node.tag) not in (f"{_TAG}map", f"{_TAG}seq"):
            raise spot.wrong(f"is of a kind ({node.tag}) that a job file does not take")
        if isinstance(node, MappingNode):
            return Spot(self._file, spot.line, field, self._map(node, field, depth))
        if isinstance(node, SequenceNode):
            items = [self.grow(item, f"{field}[{i}]", depth + 1) for i, item in enumerate(node.value)]
            return Spot(self._file, spot.line, field, items)
        assert isinstance(node, ScalarNode)
        return Spot(self._file, spot.line, field, _scalar(node, spot), node.value)

    def _map(self, node: MappingNode, field: str, depth: int) -> dict[str, Spot]:
        grown: dict[str, Spot] = {}
        for key, value in node.value:
            here = Spot(self._file, key.start_mark.line + 1, field, None)
            if not isinstance(key, ScalarNode):
                raise here.wrong("a key must be text")
            name = key.value
            if name in grown:
                raise here.wrong(f"{name} is there twice, first in line {grown[name].line}", "Keep one of them.")
            if name in ("", "<<") and not key.style:
                what = "<< (merge) is not part of YAML 1.2" if name else "there is a value without a name"
                raise here.wrong(what, "Write the fields out." if name else "Fields are written name: value.")
            made = self.grow(value, f"{field}.{name}" if field else name, depth + 1)
            grown[name] = replace(made, line=here.line) if made.value is None else made  # nothing is where its name is
        return grown


def _scalar(node: ScalarNode, spot: Spot) -> Any:
    """Text where it is quoted; else what YAML 1.2 makes of it, whatever a %YAML line says."""
    tag = str(node.tag).removeprefix(_TAG)
    raw: str = node.value
    if tag not in _TAGS:
        raise spot.wrong(f"{raw[:40]!r} is of a kind ({tag}) that a job file does not take", "Quote it to make it text.")
    if node.style or (tag == "str" and not raw.startswith(("-.", "+."))):  # ruamel takes -.5 for text
        return raw
    try:
        return core(raw)
    except ValueError as error:
        raise spot.wrong(f"{error}", "Quote it to make it text.") from None
