"""Two machines, two owners, a price among friends: both say the same of it at the keyboard, also after a stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.real.herd import MEETING_S, Tended, ended, herd, joined, until

pytestmark = pytest.mark.real

PROGRAM = "def burn(n, seed):\n    return {'total': sum(i * i % 7 for i in range(n))}\n"
JOB = "python: burn.py:burn\nblocks: {count: 6}\nparams: {n: 3000000}\nverify: {replicas: 1}\nprice: 100\n"


def said(one: Tended, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ctorrent", "credit", *words, "--data-dir", os.fspath(one.data)],
        capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "100", "CTORRENT_OWNER_DIR": os.fspath(one.owner_dir)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(one: Tended, *words: str) -> list[dict[str, Any]]:
    return list(json.loads(said(one, *words, "--json")))


def test_what_a_job_cost_is_the_same_on_both_machines(tmp_path: Path) -> None:
    (tmp_path / "burn.py").write_text(PROGRAM)
    (tmp_path / "job.yaml").write_text(JOB)
    os.environ["CTORRENT_PRICE_FRIENDS"] = "3"
    try:
        with herd() as make:
            ann, ben = make("ann", "--no-work"), make("ben")
            joined(ann, ben)
            assert ended(ann.net, ann.net.submit(tmp_path / "job.yaml"))["settled"] == 6
            # a receipt reaches one machine before the other, and a busy one perhaps only when they meet the next time
            theirs = until(lambda: next((row for row in rows(ben) if row["for_them"]["blocks"] == 6), None), "ben has receipts for all", MEETING_S)
            mine = until(lambda: next((row for row in rows(ann) if row["balance"] == -theirs["balance"]), None), "ann says the same", MEETING_S)
            assert mine["balance"] < 0
            assert theirs["balance"] == pytest.approx(3 * theirs["for_them"]["core_hours"])
            assert "ben (friend)" in said(ann) and "did for me" in said(ann)
            assert "you owe them" in said(ann, "ben") and "they owe you" in said(ben, "ann")
            ben.stop()
            assert rows(ben)[0]["balance"] == theirs["balance"], "a quiet node reads the same from the journal"
    finally:
        del os.environ["CTORRENT_PRICE_FRIENDS"]
