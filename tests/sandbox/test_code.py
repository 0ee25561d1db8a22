"""A job's code reaches its blocks in more than one way: ready-made, or read anew. All behave alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctorrent import canon
from ctorrent.ports import Cell
from tests.sandbox.cells import block, in_cell

_BROKEN = b"import pkgutil\n\ndef block(n):\n    return 1 // n\n"
_SHAPES = """
import functools

def plain(a, b=2, *, c=3, **rest):
    return [a, b, c, sorted(rest)]

def few(a, seed, b=2):
    return [a, b]

def wrapped(function):
    @functools.wraps(function)
    def around(*args, **words):
        return function(*args, **words)
    return around

shape = wrapped(few)

class Called:
    def __call__(self, a):
        return [a]

called = Called()
"""


@pytest.mark.parametrize("padding", [0, 2 << 20])
def test_a_traceback_shows_the_programs_own_line(padding: int, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        (good, bad) = await cell.run([block(0, n=1), block(1, n=0)])
        assert canon.decode(good.value or b"") == 1
        assert bad.failure is not None and bad.failure.type == "ZeroDivisionError"
        assert "program.py" in bad.failure.text and "return 1 // n" in bad.failure.text

    in_cell("jail", tmp_path, {"program.py": _BROKEN, "data.bin": b"\0" * padding}, body)


@pytest.mark.parametrize(("entry", "value"), [("plain", [1, 2, 3, ["x"]]), ("few", [1, 2]), ("shape", [1, 2]), ("called", [1])])
def test_every_kind_of_function_gets_what_it_asks_for(entry: str, value: list[object], tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        (only,) = await cell.run([block(0, a=1, x=5)])
        assert only.failure is None, only.failure
        assert canon.decode(only.value or b"") == value

    in_cell("jail", tmp_path, {"program.py": _SHAPES.encode()}, body, entry=f"program.py:{entry}")


def test_one_file_imports_another_and_a_broken_one_says_so(tmp_path: Path) -> None:
    files = {"program.py": b"import other\n\ndef block(n):\n    import broken\n", "other.py": b"import program\n", "broken.py": b"def (:\n"}

    async def body(cell: Cell) -> None:
        (only,) = await cell.run([block(0, n=1)])
        assert only.failure is not None and only.failure.type == "SyntaxError" and "def (:" in only.failure.text

    in_cell("jail", tmp_path, files, body)
