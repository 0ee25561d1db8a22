"""docs/http.md: its commands work as they stand, one after another, in a folder of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from .conftest import Site

PAGE = Path(__file__).resolve().parents[2] / "docs" / "http.md"


@pytest.mark.real
def test_the_examples_work(site: Site, tmp_path: Path) -> None:
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S) if not block.startswith("ctorrent open")]
    assert len(blocks) >= 6
    named = f'ctorrent() {{ "{sys.executable}" -m ctorrent "$@"; }}\n'
    environ = {**site.node.environ, "CTORRENT_DATA": str(site.data)}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", named + "\n".join(blocks)], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"y":9' in done.stdout and "event: end" in done.stdout and '{"in.csv":5}' in done.stdout
    assert (tmp_path / "squares.receipt").stat().st_size > 1000


@pytest.mark.real
def test_every_call_is_on_the_page_and_no_other(api: httpx.Client) -> None:
    document = api.get("/api/v1/openapi.json").json()["paths"]
    served = {plain(f"{method.upper()} {path}") for path, operations in document.items() for method in operations}
    assert written(PAGE.read_text()) == served | {"GET ws"}  # OpenAPI has no word for a socket


def plain(call: str) -> str:
    """Below /api/v1, whatever the page calls what stands in a path."""
    return re.sub(r"\{\w+\}", "{}", call.replace(" /api/v1/", " "))


def written(page: str) -> set[str]:
    """METHOD and path in code. In the table a method holds until the next, and what begins with a slash goes on after jobs/{job}."""
    found = set()
    for line in page.splitlines():
        row, method = line.startswith("|"), ""
        for span in re.findall(r"`([^`]+)`", line.split("|")[1] if row else line):
            said = re.fullmatch(r"(?:([A-Z]+) )?(/?[a-z][\w/{}-]*)(?:\?\S*| \{.*\})?", span)
            if said is None or not (said[1] or method):
                continue
            path = f"jobs/{{job}}{said[2]}" if not said[1] and said[2].startswith("/") else said[2]
            method = (said[1] or method) if row else ""
            found.add(plain(f"{said[1] or method} {path}"))
    return found
