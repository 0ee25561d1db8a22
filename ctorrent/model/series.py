"""Jobs that go on with one another: a training has one for each epoch, `softmax iris.csv 3/12`."""

from __future__ import annotations

import re
from typing import Any

_PART = re.compile(r"(.+) (\d{1,6})/(\d{1,6})")  # a job's name: of a series, which, of how many


def part_of(name: str) -> int:
    """Which part of a series a job of that name is; 0: of none."""
    part = _PART.fullmatch(name)
    return int(part[2]) if part else 0


def newest_of_series(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Status maps newest first, as they came, without settled jobs that are an earlier part of what a newer one goes on with.

    A page knows nothing of the one before: it begins with one row of a series that goes on.
    """
    kept, most = [], dict[tuple[str, str], int]()
    for one in found:
        if part := _PART.fullmatch(one["name"]):
            series, number = (part[1], part[3]), int(part[2])
            if number < most.get(series, 0) and one["state"] == "settled":  # 12/12 always stays: it ended a training
                continue
            most[series] = max(number, most.get(series, 0))
        kept.append(one)
    return kept
