"""How a job file names a function of the job's own: "tools/judge.py:right"."""

from __future__ import annotations

from ctorrent.plan.kinds import Kind, text
from ctorrent.plan.tree import Spot

ENTRY = '"file.py:function"'
ENTRY_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_./-]*\.py:[A-Za-z_][A-Za-z0-9_]*"


def read_entry(spot: Spot) -> str:
    """Of a file beside the job file, or below it."""
    value: str = text(200, ENTRY_PATTERN, ENTRY).read(spot)
    if ".." in value.partition(":")[0].split("/"):
        raise spot.wrong("must be a file beside the job file or below it")
    return value


FUNCTION = Kind(read_entry, text(200, ENTRY_PATTERN).schema)
