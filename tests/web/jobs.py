"""Small jobs, as a caller sends them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx

from tests.real.herd import until

PROGRAM = "def run(x):\n    print('block', x)\n    return {'y': x * x}\n"
JOB = "name: squares\npython: work.py:run\nblocks: {grid: {x: [1, 2, 3]}}\n"
ALONE = {"replicas": 1}


def submitted(api: httpx.Client, program: str = PROGRAM, job: str = JOB, **options: Any) -> str:
    answer = api.post("/api/v1/jobs", json={"job": job, "files": {"work.py": program}, "options": {**ALONE, **options}})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job"])


def ended(api: httpx.Client, job: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = api.get(f"/api/v1/jobs/{job}").json()
        return found if found["state"] in ("settled", "failed", "cancelled") else None

    return until(look, f"job {job} ends", 60.0)


def events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    """(name, data) of server-sent events, as they come."""
    name = "message"
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])
            name = "message"


def packed(files: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()
