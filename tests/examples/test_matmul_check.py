"""examples/matmul_check on three nodes, against the product computed here; and what its check refuses."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from tests.examples.swarmed import EXAMPLES, finished


@pytest.mark.real
@pytest.mark.slow
def test_matmul_check(net: Any, load: Any) -> None:
    matmul = load("matmul_check/matmul.py")
    job = net.start(EXAMPLES / "matmul_check" / "job.yaml")
    rows = finished(job)
    for row in rows:
        a, b = matmul.factors(row["params"]["stripe"], 1024)
        exact = a.astype("f8") @ b
        assert abs(row["value"] - exact).max() < 1e-3 < abs(exact).max()
    assert job.answer() == pytest.approx(46313.5133, rel=1e-6)


def test_its_check_refuses_what_is_no_product(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    matmul = load("matmul_check/matmul.py")
    monkeypatch.setitem(sys.modules, "matmul", matmul)
    judge = load("matmul_check/judge.py")
    good = matmul.multiply(3, 256)
    assert judge.right(good, 3, 256, draw=7) is True
    a, b = matmul.factors(3, 256)
    half = (a.astype("f2") @ b.astype("f2")).astype("f4")
    noise = good.copy()
    noise[9, 9] += 0.5
    for wrong in (matmul.multiply(4, 256), half, noise, good[:-1], np.zeros_like(good)):
        assert judge.right(wrong, 3, 256, draw=7) is not True
