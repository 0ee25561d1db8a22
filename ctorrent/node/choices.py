"""What a setting may be, and how a person writes it: in TOML, in an environment variable, behind `config set`."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import Field, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ctorrent.errors import LocalError

_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True, slots=True)
class Kind:
    """What fits a setting. words: as in "is not …"; example: what would be right."""

    types: tuple[type, ...]
    words: str
    example: str
    choices: tuple[str, ...] = ()
    size: bool = False


def kind_of(field: Field[Any], default: Any) -> Kind:
    """By the type of the setting's default, its name and the choices it has."""
    choices = tuple(field.metadata.get("choices", ()))
    if choices:
        return Kind((str,), f"one of {', '.join(choices)}", f"{field.name} = {choices[0]!r}", choices)
    match default:
        case bool():
            return Kind((bool,), "true or false", f"{field.name} = true")
        case int() if field.name.endswith("_bytes"):
            return Kind((int,), "an amount of bytes", f'{field.name} = "4 GB"', size=True)
        case int():
            return Kind((int,), "a whole number", f"{field.name} = 2")
        case float():
            return Kind((int, float), "a number", f"{field.name} = 1.5")
        case tuple():
            return Kind((list, tuple), "a list of texts", f'{field.name} = ["one", "two"]')
        case _:
            return Kind((str, Path, type(None)), "a text", f'{field.name} = "text"')


def fitting(name: str, value: Any, kind: Kind, where: str) -> Any:
    """`value` as this kind: TOML's own types as they are, and texts of variables read. Raises LocalError."""
    if isinstance(value, str) and where.startswith("in $"):
        value = from_text(value, kind)
    if kind.size and isinstance(value, str):
        value = _sized(value)
    fits = isinstance(value, kind.types) and (kind.types == (bool,) or not isinstance(value, bool))
    if isinstance(value, (list, tuple)):
        fits = fits and all(isinstance(item, str) for item in value)
        value = tuple(value) if fits else value
    if not fits or (kind.choices and value not in kind.choices):
        raise LocalError(f"{name} = {value!r:.60} is not {kind.words} ({where})", f"Right would be: {kind.example}")
    return value


def from_text(text: str, kind: Kind) -> Any:
    """A variable's or an argument's text as the TOML value it stands for; the text itself where it stands for none."""
    word = text.strip()
    if kind.types == (bool,):
        return True if word.lower() in _YES else False if word.lower() in _NO else text
    if kind.types == (list, tuple):
        return _listed(word)
    if kind.size or str in kind.types:
        return word
    for number in (int, float)[: len(kind.types)]:
        try:
            return number(word)
        except ValueError:
            continue
    return text


def _listed(word: str) -> Any:
    """`["a", "b"]` as TOML has it, or a, b."""
    if word.startswith("["):
        try:
            return tomllib.loads(f"it = {word}")["it"]
        except ValueError:
            return word
    return tuple(part.strip() for part in word.split(",") if part.strip())


def _sized(text: str) -> Any:
    """The bytes it names, else the text, which is then refused with its setting's name."""
    try:
        return parse_size(text)
    except LocalError:
        return text


def no_such(name: str, known: Sequence[str], where: str) -> LocalError:
    """The refusal of a name that is no setting, with the nearest that is."""
    near = get_close_matches(name, known, 1, 0.5)
    near = near or [other for other in known if other.startswith(name) or name.startswith(other)][:1]
    hint = f"Did you mean {near[0]}? " if near else ""
    return LocalError(f"there is no setting {name!r:.60} ({where})", f"{hint}Settings are: {', '.join(sorted(known))}.")


def size_text(count: int) -> str:
    """A size as a person would write it: 20 GB, 512 MiB, 1234 B. parse_size() reads it back."""
    for unit, step in (("T", 4), ("G", 3), ("M", 2), ("K", 1)):
        for suffix, base in (("B", 1000), ("iB", 1024)):
            if count and count % base**step == 0:
                return f"{count // base**step} {unit}{suffix}"
    return f"{count} B" if count < 10**6 else f"{count / 10**9:.3g} GB"


def parse_size(text: str) -> int:
    """Bytes of "4 GB", "512 MiB", "1e9", "0 B". Raises LocalError."""
    word = text.strip().upper()
    digits = word.rstrip("KMGTIB ")
    unit = word[len(digits) :].strip()
    step = 1024 if unit.endswith("IB") else 1000
    power = _POWERS.get(unit.removesuffix("B").removesuffix("I"))
    try:
        count = float(digits)
    except ValueError:
        count = -1.0
    if power is None or unit == "IB" or not 0 <= count < 1e18:
        raise LocalError(f"{text!r} is not an amount of bytes.", 'Write it as "4 GB" or "512 MiB".')
    return int(count * step**power)
