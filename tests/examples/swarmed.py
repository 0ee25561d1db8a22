"""What the examples' tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"


def finished(job: Any) -> list[dict[str, Any]]:
    """Wait for a job. -> its rows, all settled by two owners."""
    status = job.wait()
    assert status["state"] == "settled", (status["state"], status["reason"], job.why())
    rows = list(job.rows())
    assert [row["index"] for row in rows] == list(range(status["blocks"]))
    assert all(row["state"] == "settled" and row["agreed"] >= 2 for row in rows)
    assert status["cross_validated"] and status["report"]["disputes_total"] == 0
    return rows
