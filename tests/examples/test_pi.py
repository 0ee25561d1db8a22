"""examples/pi on three nodes, against the same throws made here."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.examples.swarmed import EXAMPLES, finished

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_pi(net: Any, load: Any) -> None:
    pi = load("pi/pi.py")
    job = net.start(EXAMPLES / "pi" / "job.yaml")
    rows = finished(job)
    assert len({row["seed"] for row in rows}) == len(rows) == 20
    here = [pi.throw(row["params"]["points"], row["seed"]) for row in rows]
    assert [row["value"] for row in rows] == here
    answer = job.answer()
    assert answer["pi"] == 4 * sum(value["inside"] for value in here) / 20_000_000
    assert abs(answer["pi"] - math.pi) < 5 * answer["error"] < 0.01
