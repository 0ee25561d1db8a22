"""Job files as people write them, letter by letter, on real nodes; and what `ctorrent init` writes.

    CTORRENT_FULL=1 python -m pytest tests/real/test_job_files.py -k sweep     all 20,000 blocks of the sweep
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.real.herd import Tended, ended, herd, joined, rows

pytestmark = pytest.mark.real

CLIPS = """\
command: [ffmpeg, -i, "{input}", -vf, "scale=640:-2", "{output}"]
blocks: {files: "clips/*.mp4"}
outputs: "small/{stem}.mp4"
verify: {replicas: 1}              # bytes of encoders differ between builds
needs: {programs: [ffmpeg]}        # or image: name@sha256:…
"""
SWEEP = """\
python: sim.py:run                 # def run(beta, n, seed) -> {"peak": 13.4, "r0": 2.1}
files: [model/, contacts.csv]
blocks: {grid: {beta: {from: 0.1, to: 0.5, steps: 200}, n: [100, 1000]}, repeat: 50}   # 20,000 blocks
reduce: table
limits: {seconds: 60}
"""
FULL = os.environ.get("CTORRENT_FULL") == "1"


@pytest.fixture(scope="module")
def pair() -> Iterator[Tended]:
    """A node that offers ffmpeg, and a friend that does not."""
    with herd() as make:
        one, other = make("one", "--allow-program", "ffmpeg"), make("other")
        joined(one, other)
        yield one


def command(folder: Path, node: Tended, *words: str) -> str:
    environ = {**os.environ, "CTORRENT_DATA": str(node.data), "COLUMNS": "200"}
    done = subprocess.run([sys.executable, "-m", "ctorrent", *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def settled(node: Tended, path: Path, limit_s: float = 120.0) -> tuple[str, list[dict[str, Any]]]:
    job = node.net.submit(path)
    status = ended(node.net, job, limit_s)
    found = rows(node.net, job)
    assert status["state"] == "settled" and not status["failed"], [status["reason"], *(row for row in found if row["state"] != "settled")][:3]
    return job, found


@pytest.fixture
def ffmpeg() -> str:
    found = shutil.which("ffmpeg")
    if found is None:
        if os.environ.get("CTORRENT_REQUIRE_DOCKER"):  # where every check runs, it is installed
            pytest.fail("there is no ffmpeg")
        pytest.skip("there is no ffmpeg")
    return found


def test_clips(pair: Tended, ffmpeg: str, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    names = ["holiday", "my cat", "v1.2"]
    for number, name in enumerate(names):
        source = f"testsrc=duration=0.4:size={320 + 64 * number}x180:rate=10"
        subprocess.run([ffmpeg, "-v", "error", "-f", "lavfi", "-i", source, str(tmp_path / "clips" / f"{name}.mp4")], check=True, timeout=60)
    (tmp_path / "job.yaml").write_text(CLIPS)
    job, found = settled(pair, tmp_path / "job.yaml")
    assert [row["output"] for row in found] == [f"small/{name}.mp4" for name in names]
    assert all(b"ftyp" in row["value"][:16] for row in found)  # ffmpeg saw the ending, and chose the format by it
    command(tmp_path, pair, "results", job, "-o", "out")
    assert sorted(path.name for path in (tmp_path / "out" / "small").iterdir()) == [f"{name}.mp4" for name in names]
    for row in found:
        path = tmp_path / "out" / row["output"]
        assert path.read_bytes() == row["value"]
        probe = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width", "-of", "csv=p=0", str(path)]
        assert subprocess.run(probe, capture_output=True, text=True, check=True, timeout=60).stdout.strip() == "640"


def template(kind: str, folder: Path) -> Path:
    shutil.copytree(str(files("ctorrent.cli") / "templates" / kind), folder)
    return folder


def test_sweep(pair: Tended, tmp_path: Path) -> None:
    folder = template("sweep", tmp_path / "sweep")
    text = SWEEP if FULL else SWEEP.replace("steps: 200", "steps: 5")
    (folder / "job.yaml").write_text(text)
    _, found = settled(pair, folder / "job.yaml", 900 if FULL else 120)
    steps = 200 if FULL else 5
    assert len(found) == steps * 2 * 50
    points = [row["params"] for row in found]
    assert [point["repeat"] for point in points] == [*range(50)] * (steps * 2)
    assert (points[0]["beta"], points[-1]["beta"]) == (0.1, 0.5) and {point["n"] for point in points} == {100, 1000}
    assert len({row["seed"] for row in found}) == len(found) and all(row["agreed"] == 2 for row in found)
    here = subprocess.run(
        [sys.executable, "-c", "import sys, json, sim; print(json.dumps([sim.run(*each) for each in json.load(sys.stdin)]))"],
        input=str([[row["params"]["beta"], row["params"]["n"], row["seed"]] for row in found[::37]]), cwd=folder, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert str([row["value"] for row in found[::37]]).replace("'", '"') == here.stdout.strip()


def test_what_a_python_program_returns_has_a_name_too(pair: Tended, tmp_path: Path) -> None:
    (tmp_path / "draw.py").write_text("def line(n, repeat, seed):\n    return bytes([n, repeat]) * 3\n")
    (tmp_path / "job.yaml").write_text('python: draw.py:line\nblocks: {grid: {n: [1, 2]}, repeat: 2}\noutputs: "lines/{n}-{repeat:03}.bin"\n')
    job, found = settled(pair, tmp_path / "job.yaml")
    assert [row["output"] for row in found] == ["lines/1-000.bin", "lines/1-001.bin", "lines/2-000.bin", "lines/2-001.bin"]
    command(tmp_path, pair, "results", job, "-o", "out")
    assert (tmp_path / "out" / "lines" / "2-001.bin").read_bytes() == b"\x02\x01" * 3


@pytest.mark.parametrize("kind", ["digits", "command", "sweep"])
def test_what_init_writes_runs(kind: str, pair: Tended, tmp_path: Path) -> None:
    command(tmp_path, pair, "init", kind)
    job, found = settled(pair, tmp_path / "job.yaml")
    answer = pair.net.attach(job).answer()
    if kind == "digits":
        assert answer["accuracy"] == max(row["value"]["accuracy"] for row in found) > 0.9
    elif kind == "command":
        assert answer[0] == ["the", 27] and len(answer) == 10
        assert [row["output"] for row in found] == [f"counts/{name}.txt" for name in ("alice", "cities", "pride", "whale")]
    else:
        assert len(found) == 90 and all(0 < row["value"]["peak"] <= 100 for row in found)


def test_nodes_made_for_a_job_offer_what_it_needs(tmp_path: Path) -> None:
    """They are of other owners than their requester, and yet the asker's own."""
    (tmp_path / "job.yaml").write_text("command: [perl, -e, 'print {index} + 40']\nblocks: 3\n")
    done = subprocess.run(
        [sys.executable, "-m", "ctorrent", "submit", "--local", "2", "job.yaml", "--json"],
        cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    status = json.loads(done.stdout)
    assert status["settled"] == 3 and status["cross_validated"]
