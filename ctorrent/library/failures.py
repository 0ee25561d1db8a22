"""A call that failed, as an exception here: of the original built-in type, with the traceback from the worker."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from ctorrent.errors import WorkError

_TEXT_CHARS_MAX = 64 << 10  # of a traceback: a stranger wrote it
_KEY_CHARS_MAX = 1000
_OS_ERROR = re.compile(r"\[Errno (\d{1,4})\] ([^:]*)(?:: '(.*)')?$")


class CallFailed(WorkError):
    """A call failed where it ran. One of a built-in type is that type as well: `except ZeroDivisionError` catches it.

    kind: "exception", "memory", "time", "output", "killed", "forbidden" …; type: the exception's name; text: the
    traceback from the worker, which is shown below this one's; index: which item it was.
    """

    def __init__(self, message: str, hint: str = "", kind: str = "", type_: str = "", text: str = "", index: int | None = None) -> None:
        super().__init__(_printable(message), hint)
        self.kind, self.type, self.text, self.index = kind, type_, text, index

    def __str__(self) -> str:
        """With the name of its type, where that is not this one's as well."""
        named = type(self) is CallFailed and self.type not in ("", self.message)
        return f"{self.type}: {super().__str__()}" if named and self.kind == "exception" else super().__str__()

    def __reduce__(self) -> Any:
        return _again, (self.message, self.hint, self.kind, self.type, self.text, self.index)


def failure_of(failure: Mapping[str, str], index: int | None = None) -> CallFailed:
    """The exception for a row's failure (status.BlockRow): to be raised, or kept as the item's value."""
    kind, name = str(failure.get("kind", "")), _printable(str(failure.get("type", "")))
    text = _shown(_printable(str(failure.get("text", ""))[:_TEXT_CHARS_MAX]))
    if kind == "exception":
        hint = 'Name its package: net.map(…, packages=["numpy"]).' if name == "ModuleNotFoundError" else ""
        return _again(_message(name, text), hint, kind, name, text, index)
    last = text.strip().splitlines()[-1].strip() if text.strip() else name
    message = {
        "memory": "The call took more memory than it was given",
        "time": "The call took longer than it was given",
        "killed": "The interpreter crashed, or was killed, in the call",
        "output": "The call's result cannot be sent back",
        "forbidden": "The call did what a block may not",
    }.get(kind, kind or "The call failed")
    return _again(f"{message}: {last}" if last else f"{message}.", _HINTS.get(kind, ""), kind, name, text, index)


_HINTS = {
    "memory": 'Ask for more: net.map(…, needs={"memory": "4 GB"}).',
    "time": 'Allow more: net.map(…, limits={"seconds": 3600}); or let a call do less.',
    "output": "Return data: numbers, text, bytes, lists, dicts, numpy arrays; or ctorrent.register(type, encode, decode).",
}


def _again(message: str, hint: str, kind: str, name: str, text: str, index: int | None) -> CallFailed:
    error = _class_of(name if kind == "exception" else "")(message, hint, kind, name, text, index)
    if isinstance(error, KeyError):  # its words are the key's repr
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            error.args = (ast.literal_eval(message[:_KEY_CHARS_MAX]),)
    elif isinstance(error, OSError) and (parts := _OS_ERROR.match(message)) is not None:
        error.errno, error.strerror, error.filename = int(parts[1]), parts[2], parts[3]
    if text:
        error.__cause__ = RemoteTraceback(text)
    return error


class RemoteTraceback(Exception):
    """Shows the worker's traceback as the cause of an exception here, as concurrent.futures does."""

    def __str__(self) -> str:
        return f"\n'''\n{self.args[0]}'''"


@lru_cache(256)  # names that workers say
def _class_of(name: str) -> type[CallFailed]:
    """CallFailed, and the built-in exception of that name at once; CallFailed alone where there is none to be raised."""
    found = getattr(builtins, name, None) if name.isidentifier() else None
    if not (isinstance(found, type) and issubclass(found, Exception)) or issubclass(found, StopIteration | StopAsyncIteration | Warning | BaseExceptionGroup):
        return CallFailed
    if issubclass(found, UnicodeDecodeError | UnicodeEncodeError | UnicodeTranslateError):
        found = UnicodeError  # those are made of five parts, which did not travel
    try:
        return type(name, (CallFailed, found), {"__module__": __name__, "__doc__": f"A {name} in a call, where it ran."})
    except TypeError:  # its memory is laid out in a way that cannot be shared
        return CallFailed


def _message(name: str, text: str) -> str:
    """What str(error) was there: the last line of its traceback, and what follows on it."""
    lines = text.rstrip().splitlines()
    start = next((at for at in range(len(lines) - 1, -1, -1) if _begins(lines[at], name)), len(lines) - 1)
    said = "\n".join(lines[start:]) if lines else ""
    return said.partition(": ")[2] if _begins(said, name) and ": " in said.splitlines()[0] else ("" if said.strip().endswith(name) else said) or name


def _begins(line: str, name: str) -> bool:
    head = line.partition(":")[0]
    return not line.startswith(" ") and head.rpartition(".")[2] == name


def _printable(text: str) -> str:
    """Where nobody catches the error, its text goes to a terminal as it is: no stranger's moves the cursor there."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _shown(text: str) -> str:
    """Without the lines of what called the function."""
    lines, kept, skip = text.splitlines(keepends=True), [], False
    for line in lines:
        if line.startswith('  File "'):
            skip = line.startswith('  File "ctorrent_call.py"')
        elif not line.startswith("    "):
            skip = False
        if not skip:
            kept.append(line)
    return "".join(kept)
