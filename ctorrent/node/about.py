"""Which job a line of the log is about, whichever room writes it: what runs for a job says so once, at its beginning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_JOB: ContextVar[str] = ContextVar("job", default="")


def job() -> str:
    """The shown id of the job that the present task works for; "" for none."""
    return _JOB.get()


@contextmanager
def about(name: str) -> Iterator[None]:
    """What is logged in this block, and by tasks that begin in it, is about this job."""
    token = _JOB.set(name)
    try:
        yield
    finally:
        _JOB.reset(token)
