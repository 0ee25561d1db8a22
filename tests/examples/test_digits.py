"""examples/digits on three nodes, against the same search made here by a process pool."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from tests.examples.swarmed import EXAMPLES, finished

pytestmark = [pytest.mark.real, pytest.mark.slow]


def score_here(params: dict[str, float], seed: int) -> dict[str, float]:
    """In a worker process: the example's function, without the swarm."""
    sys.path.insert(0, str(EXAMPLES / "digits"))
    import search

    return dict(search.score(**params, seed=seed))


def test_digits(net: Any) -> None:
    job = net.start(EXAMPLES / "digits" / "job.yaml")
    rows = finished(job)
    assert len(rows) == 56
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        here = list(pool.map(score_here, [row["params"] for row in rows], [row["seed"] for row in rows]))
    for row, expected in zip(rows, here, strict=True):
        assert row["value"] == pytest.approx(expected, rel=1e-9)
    best = max(range(56), key=lambda index: here[index]["accuracy"])
    answer = job.answer()
    assert answer["accuracy"] == pytest.approx(here[best]["accuracy"], rel=1e-9)
    assert {name: answer[name] for name in ("C", "gamma")} == rows[best]["params"]
    assert answer["accuracy"] > 0.98


def test_the_demo() -> None:
    """`make demo`: it says itself whether the liar was caught, out-voted and recorded, and nothing is left."""
    done = subprocess.run([sys.executable, "-m", "examples.demo"], cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "out-voted, the answer is right" in done.stdout
