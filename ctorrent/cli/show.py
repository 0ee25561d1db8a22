"""Numbers, names and tables for people; JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Plain = dict[str, Any]
ARRAY_SHOWN = 4  # numbers: so many fit a cell of a table; of a longer array its size
PIPE_COLUMNS = 200  # of a table that is piped to a file: there is no terminal to wrap it for


def stdout() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def is_terminal() -> bool:
    """Does a person read what goes to stderr?"""
    return sys.stderr.isatty()


def say(text: str, style: str = "") -> None:
    """A sentence beside the command's output: whole words to a line in a terminal, one line in a pipe."""
    stderr().print(plain(text, style), soft_wrap=not is_terminal())


@contextmanager
def waiting(text: str, silent: bool = False) -> Iterator[Callable[[str], None]]:
    """Say what is waited for; gone when it came. In a pipe, nothing. -> says something else instead, as things go on."""
    console = stderr()
    if silent or not console.is_terminal or console.is_dumb_terminal:
        yield lambda words: None
        return
    with console.status(plain(text, "dim")) as status:
        yield lambda words: status.update(plain(words, "dim"))


def plain(text: str, style: str = "") -> Text:
    """Text in which nothing is markup: what peers and programs say must not paint."""
    from rich.text import Text

    return Text(printable(text), style=style)


def printable(text: str) -> str:
    """Without control characters, so that no peer's name moves the cursor or rings the bell."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


# -- JSON -------------------------------------------------------------------------------------------------------------


def print_json(value: Any) -> None:
    """One document on one line. Bytes become {"base64": …}, arrays lists, and NaN the text "NaN"."""
    print(as_json(value), flush=True)


def as_json(value: Any) -> str:
    return escaped(json.dumps(to_json(value), ensure_ascii=False, allow_nan=False))


def escaped(text: str) -> str:
    """JSON that is the same to a program, and in which nothing moves a terminal's cursor or turns a line round.

    Letters of all languages stay readable; what is written as \\uXXXX can only stand inside a string, where that is right.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def to_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, bytes):
        import base64

        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, complex):
        return [to_json(value.real), to_json(value.imag)]
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    if hasattr(value, "numpy"):
        return to_json(value.numpy())
    return value


def emit(to_program: bool, value: Any, show: Callable[[], None]) -> None:
    """`value` as JSON, or what `show` prints."""
    if to_program:
        print_json(value)
    else:
        show()


# -- words ------------------------------------------------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """0.85 s, 12.3 s, 4 min 10 s, 2 h 5 min, 3 d 4 h."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{whole} s"


def size(count: float | None) -> str:
    """1.5 GB: of a thousand each, as job files and settings read them and the page shows them."""
    if not count:
        return "–"
    for unit in ("B", "KB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 9.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def number(count: int, one: str, many: str = "") -> str:
    """1 block, 12 blocks."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def short(name: str) -> str:
    """A node or owner id that fits into a table: its end tells more than its beginning."""
    return name if len(name) <= 14 else f"…{name[-10:]}"


def value(found: Any, width: int = 60) -> str:
    """A result's value in one line."""
    if isinstance(found, bool) or found is None:
        return str(found)
    if isinstance(found, float):
        return f"{found:.6g}"
    if isinstance(found, bytes):
        return _bytes(found, width)
    if isinstance(found, dict):
        text = ", ".join(f"{key} {value(inner, width)}" for key, inner in found.items())
    elif hasattr(found, "dtype"):
        if math.prod(found.shape) <= ARRAY_SHOWN and hasattr(found, "tolist"):
            return value(found.tolist(), width)
        text = f"{found.dtype} array {'×'.join(map(str, found.shape)) or 'of one'}"
    elif isinstance(found, list):
        text = f"[{', '.join(value(inner, width) for inner in found[:8])}{', …' if len(found) > 8 else ''}]"
    else:
        text = str(found)
    text = " ".join(printable(text).split())
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _bytes(found: bytes, width: int) -> str:
    """A short line of text as what it says; anything else by its length."""
    size = number(len(found), "byte")
    if not found or len(found) > width:
        return size
    try:
        text = found.decode().strip()
    except UnicodeDecodeError:
        return size
    return text if text.isprintable() and text else size


# -- tables -----------------------------------------------------------------------------------------------------------


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> Table:
    """A light table; cells are text or ready Text, and never markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else plain(str(cell)) for cell in row))
    return made


def pairs(rows: Iterable[tuple[str, Any]]) -> Table:
    """Names and what they are, two columns without a frame."""
    from rich.table import Table
    from rich.text import Text

    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, cell in rows:
        made.add_row(f"  {name}", cell if isinstance(cell, Text) else plain(str(cell)))
    return made


STATE_STYLES = {
    "settled": "green", "running": "cyan", "waiting": "yellow", "paused": "yellow", "failed": "red", "cancelled": "dim",
    "disputed": "magenta", "provisional": "cyan", "engaged": "green", "expelled": "red", "lost": "red", "left": "dim",
}  # fmt: skip


def state(word: str) -> Text:
    return plain(word, STATE_STYLES.get(word, ""))


def job_state(status: dict[str, Any]) -> Text:
    """A job's: "done, 3 failed" where all of it ran and some blocks failed."""
    from ctorrent.library.job import state_words

    words = state_words(status)
    return plain(words, STATE_STYLES.get(words, "yellow"))
