"""The question before others may use a machine: five lines, and a yes."""

from __future__ import annotations

import select
import sys
from collections.abc import Sequence

import typer

from ctorrent.cli import show

TURN_S = 0.2  # what a Ctrl-C may wait


def tell(lines: Sequence[tuple[str, str]], more: Sequence[str], to_stderr: bool) -> None:
    """What others may use; first, what of it is more than was agreed to before."""
    console = show.stderr() if to_stderr else show.stdout()
    if more:
        console.print(show.plain(f"This shares more than you agreed to before: {'; '.join(more)}.", "bold yellow"), soft_wrap=True)
    width = max(len(name) for name, _ in lines) + 2
    for name, words in lines:
        console.print(show.plain(f"{name:<{width}}", "bold"), show.plain(words), sep="", soft_wrap=True)


def ask() -> None:
    """Wait for a yes. Anything else, an end of input too, ends the command: nothing was started."""
    try:
        agreed = yes("Share this? [yes/no] ")
    except KeyboardInterrupt:
        print()
        _not_started()
        raise typer.Exit(130) from None
    if not agreed:
        _not_started()
        raise typer.Exit(1)


def yes(question: str) -> bool:
    """Ask until it is a yes or a no; the end of input is a no. Raises KeyboardInterrupt."""
    while True:
        try:
            said = typed(question).strip().lower()
        except EOFError:
            print()
            return False
        if said in ("y", "yes", "n", "no"):
            return said in ("y", "yes")
        print("Please say yes or no.")


def typed(question: str) -> str:
    """A line that was typed. Waits in short turns: a Ctrl-C just before a read would otherwise be seen after it.

    Raises EOFError at the end of input, and KeyboardInterrupt.
    """
    print(question, end="", flush=True)
    while sys.platform != "win32" and not select.select([sys.stdin], [], [], TURN_S)[0]:
        pass  # Windows waits for sockets only
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def _not_started() -> None:
    print("Nothing was started. To use others' machines and share nothing: ctorrent node --no-work")


def a_person_is_there() -> bool:
    """Can a question be asked and an answer be typed?"""
    return sys.stdin.isatty() and sys.stdout.isatty()
