"""Ctrl-C while a program waits for the network: it ends with one sentence that says what became of the job.

The exception stays a KeyboardInterrupt, to be caught as ever. What changes is how it is shown where nobody caught it: in a
plain script and in a notebook without the dozen lines of who waited for whom in here.
"""

from __future__ import annotations

import sys
from types import TracebackType

from ctorrent.library.lines import line


def explain(error: KeyboardInterrupt, words: str) -> None:
    """Say these words of it, and no traceback, where nobody caught it. Of one that was explained before, the newer ones."""
    error.args = (words,)
    error._render_traceback_ = lambda: [f"KeyboardInterrupt: {words}"]  # type: ignore[attr-defined]  # what IPython asks of an exception
    if sys.excepthook is sys.__excepthook__:  # a program's own hook stays
        sys.excepthook = _shown
    _explained[:] = [error]


_explained: list[KeyboardInterrupt] = []  # the last one: there is one Ctrl-C at a time


def _shown(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if any(each is error for each in _explained):
        line(str(error))
    else:
        sys.__excepthook__(kind, error, trace)
