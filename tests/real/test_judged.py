"""Job files with a check and with a script, on real nodes, in real sandboxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.herd import herd, joined, write_job

pytestmark = [pytest.mark.real, pytest.mark.slow]
PROGRAM = """
def work(n, seed):
    return {"n": n, "square": n * n}
"""
JUDGE = """def right(output, n, draw):
    return isinstance(output, dict) and output.get("square") == n * n or "that is no square"
"""
SAME = "def same(one, other):\n    return abs(one - other) <= 3\n"


def test_a_check_and_a_script(tmp_path: Path) -> None:
    with herd() as make:
        ann, bob = make("ann", "--slots", "1"), make("bob", "--slots", "1")
        joined(ann, bob)
        checked = tmp_path / "checked"
        checked.mkdir()
        (checked / "judge.py").write_text(JUDGE)
        path = write_job(checked, PROGRAM, "python: work.py:work\nblocks: {grid: {n: {from: 1, to: 40, steps: 40}}}\nverify: {check: judge.py:right}\n")
        job = ann.net.start(path)
        status = job.wait()
        assert status["state"] == "settled" and not status["notes"], status
        assert [row["value"]["square"] for row in job.rows()] == [n * n for n in range(1, 41)]
        compared = tmp_path / "compared"
        compared.mkdir()
        (compared / "same.py").write_text(SAME)
        path = write_job(compared, "import random\ndef work(n):\n    return 100 * n + random.SystemRandom().randrange(3)\n",
                         "python: work.py:work\nblocks: {grid: {n: {from: 1, to: 12, steps: 12}}}\nverify: {equal: {script: same.py:same}}\n")  # fmt: skip
        job = ann.net.start(path)
        status = job.wait()
        assert status["state"] == "settled" and status["cross_validated"], status
        assert [row["value"] // 100 for row in job.rows()] == list(range(1, 13))
