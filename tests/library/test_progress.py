"""The bar: in a terminal and in a notebook by itself, a line now and then in a pipe, and at most ten redraws a second."""

from __future__ import annotations

import io
import pickle
import sys
import traceback
from types import SimpleNamespace
from typing import Any

import pytest

from ctorrent.library import progress
from ctorrent.library.failures import CallFailed, failure_of
from ctorrent.library.progress import Progress


def status(settled: int, **more: Any) -> dict[str, Any]:
    counts = {"settled": settled, "provisional": 0, "failed": 0, "disputed": 0, "blocks": 20_000, "running": 0}
    return {**counts, "state": "running", "reason": "", "workers": [], "eta_s": 3.0, **more}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_most_ten_redraws_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    now = [0.0]
    bar = Progress("simulate", None, lambda: now[0])
    for step in range(1000):
        now[0] = step / 500  # two seconds
        bar.update(status(step))
    assert bar.redraws <= 21
    bar.close()
    assert bar.redraws <= 22, "the last state is always shown"


def test_a_terminal_gets_a_bar_with_what_is_to_be_known_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    bar = Progress("simulate", None, notes=("Nobody else is known here: each call runs once, on this machine, and nobody checks it.",))
    assert terminal.getvalue() == "", "nothing to show yet"
    bar.update(status(500, failed=2, workers=[{"running": [1]}, {"running": []}]))
    why = "waits for a second owner: every block is to be run by 2 owners and only yours is here"
    for done in (500, 501):
        bar._drawn_at = float("-inf")
        bar.update(status(done, failed=2, reason=why))
    bar.update(status(500, failed=2, workers=[{"running": [1]}, {"running": []}]))
    bar.close()
    said = terminal.getvalue()
    assert said.count("nobody checks it") == 1 and " ".join(said.split()).count(why) == 1
    assert "simulate " in said and "502/20000" in said and "2 failed, 1 " in said, "in a line of 100 columns the count is seen, whatever else"


def test_a_pipe_gets_a_plain_line_about_a_long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    now = [0.0]
    quick, quiet, slow = (Progress("simulate", draw, lambda: now[0], ("Nobody checks it.",)) for draw in (None, False, None))
    for second in range(3):
        now[0] = float(second)
        quick.update(status(second))
    quick.close()
    assert pipe.getvalue() == "", "three seconds need no words"
    for second in range(3, 3603):
        now[0] = float(second)
        for bar in (quiet, slow):
            bar.update(status(second, eta_s=None))
    slow.update(status(20_000))
    slow.close()
    lines = pipe.getvalue().splitlines()
    assert lines[0] == "ctorrent: simulate: 4 of 20,000. Nobody checks it."
    assert lines[1] == "ctorrent: simulate: 14 of 20,000." and lines[2] == "ctorrent: simulate: 34 of 20,000."
    assert len(lines) < 20 and lines[-1] == "ctorrent: simulate: 20,000 of 20,000."


def test_a_notebook_gets_the_browsers_own_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []

    def display(data: dict[str, str], raw: bool = False, display_id: bool = False) -> Any:
        shown.append(data)
        return SimpleNamespace(update=lambda data, raw: shown.append(data))

    monkeypatch.setattr(progress, "_notebook", lambda: display)
    bar = Progress("<b>f</b>", None, notes=("Nobody checks it.",))
    bar.update(status(7, reason="for one more owner"))  # running, with nobody at work
    bar.close()
    assert 'value="7" max="20000"' in shown[-1]["text/html"] and "<b>" not in shown[-1]["text/html"]
    assert shown[-1]["text/plain"] == "<b>f</b>: 7 of 20,000 (for one more owner, about 3 s left). Nobody checks it."


# What a failed call says ----------------------------------------------------------------------------------------------

TEXT = 'Traceback (most recent call last):\n  File "ctorrent_call.py", line 31, in call\n    return f()\n           ^^^\n  File "a.py", line 2, in f\n    int("x")\nValueError: invalid: x\n'


def test_a_built_in_exception_is_rebuilt_from_its_traceback() -> None:
    error = failure_of({"kind": "exception", "type": "ValueError", "text": TEXT}, 3)
    assert isinstance(error, ValueError) and error.message == "invalid: x" and error.index == 3
    assert str(error.__cause__).count("File") == 1


def test_a_key_an_errno_and_the_name_of_a_type_of_ones_own_come_back() -> None:
    def raised(name: str, said: str) -> Any:
        return failure_of({"kind": "exception", "type": name, "text": f"{name}: {said}\n"}, 0)

    assert raised("KeyError", "'two'").args == ("two",) and raised("KeyError", "('a', 3)").args == (("a", 3),)
    assert raised("KeyError", "<object at 0x1>").args[0] == "<object at 0x1>"
    missing = raised("FileNotFoundError", "[Errno 2] No such file or directory: '/nope/no'")
    assert (missing.errno, missing.strerror, missing.filename) == (2, "No such file or directory", "/nope/no")
    again = pickle.loads(pickle.dumps(missing))
    assert isinstance(again, FileNotFoundError) and again.errno == 2  # type: ignore[unreachable]
    assert str(raised("My", "hello")) == "My: hello" and str(raised("SystemExit", "3")) == "SystemExit: 3"


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "StopIteration", "BaseException", "ExceptionGroup", "print", "__import__", "", "a b"])
def test_a_stranger_cannot_have_anything_else_raised(name: str) -> None:
    error = failure_of({"kind": "exception", "type": name, "text": f"{name}: now\n"}, 0)
    assert type(error).__mro__[0].__name__ == "CallFailed" and isinstance(error, Exception)


@pytest.mark.parametrize("name", ["OSError", "UnicodeError", "KeyError", "ImportError", "SyntaxError", "AttributeError", "MemoryError", "RecursionError"])
def test_exceptions_of_every_layout_travel_and_pickle(name: str) -> None:
    import builtins
    import pickle

    error = failure_of({"kind": "exception", "type": name, "text": f"{name}: said\n"}, 0)
    assert isinstance(error, getattr(builtins, name)) and error.message == "said"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == "said" and again.index == 0


def test_one_of_several_parts_is_of_the_type_above() -> None:
    assert isinstance(failure_of({"kind": "exception", "type": "UnicodeDecodeError", "text": "UnicodeDecodeError: x\n"}), UnicodeError)


def test_a_strangers_traceback_moves_no_cursor() -> None:
    text = "Traceback:\n\tx\nValueError: \x1b]52;c;QQ==\x07\x1b[2J\u202e\x9b done é\n"
    for kind, name in (("exception", "ValueError"), ("killed", "\x1b[2J"), ("exception", "\x1b[2J")):
        shown = "".join(traceback.format_exception(failure_of({"kind": kind, "type": name, "text": text}, 0)))
        assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(shown) and "done é" in shown and "\tx\n" in shown
        assert "\x1b" not in failure_of({"kind": kind, "type": name, "text": ""}).message
    assert str(CallFailed("The machines disagree: '\x1b[2J' and 1.")) == "The machines disagree: '\ufffd[2J' and 1."


def test_other_kinds_say_what_to_do() -> None:
    error = failure_of({"kind": "memory", "type": "", "text": ""})
    assert "more memory" in error.message and "needs=" in error.hint
    assert "took longer" in failure_of({"kind": "time", "type": "", "text": "after 300 s"}).message
