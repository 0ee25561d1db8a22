"""docs/http.md: its commands work as they stand, one after another, in a folder of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Site

PAGE = Path(__file__).resolve().parents[2] / "docs" / "http.md"


@pytest.mark.real
def test_the_examples_work(site: Site, tmp_path: Path) -> None:
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S) if not block.startswith("ctorrent open")]
    assert len(blocks) >= 6
    named = f'ctorrent() {{ "{sys.executable}" -m ctorrent "$@"; }}\n'
    environ = {**site.node.environ, "CTORRENT_DATA": str(site.data)}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", named + "\n".join(blocks)], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"y":9' in done.stdout and "event: end" in done.stdout
    assert (tmp_path / "squares.receipt").stat().st_size > 1000


def test_every_call_is_on_the_page() -> None:
    from ctorrent.web import job_routes

    text = PAGE.read_text()
    assert job_routes.__doc__
    for word in ("jobs/{job}", "rehearse", "/blocks?since=", "/timeline", "/why", "/logs", "/receipt", "/answer", "invites", "friends", "offers", "machine/sharing", "pool", "ledger/verify", "reputation?who=", "credit?who=", "blobs?name=", "events", "ws", "gc", "/submit-job"):
        assert word in text, word
