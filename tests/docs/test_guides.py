"""What the guides tell a person to type works: their `sh` and `python` blocks are run as they stand, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.real, pytest.mark.slow]
LIMIT_S = 400.0  # only what hangs takes so long
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SAID = {  # what must be in what they print
    "first_job": ("agreed", "100 100"),
    "sharing_gpu": ("gpus", "true", "price_gpu"),
    "verifying": ("True", "disputed", "run again"),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "docs/guides").glob("*.md")))
def test_its_blocks_run(name: str, tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / f"docs/guides/{name}.md").read_text())
    assert blocks
    scripts = Path(sys.executable).parent
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CTORRENT_", "XDG_"))}
    environ = kept | {"HOME": str(tmp_path), "PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    told = ""
    for kind, text in blocks:
        (tmp_path / "block.py").write_text(text)
        command = [sys.executable, "block.py"] if kind == "python" else ["sh", "-e", "-c", text]
        ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
        told += ran.stdout + ran.stderr
        assert ran.returncode == 0, (text, ran.stdout[-2000:], ran.stderr[-2000:])
    assert not [words for words in SAID[name] if words not in told], told[-3000:]
