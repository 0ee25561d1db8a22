"""{output} is called as the job says, whatever a stranger's job says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ctorrent import canon
from ctorrent.model.job import Limits
from ctorrent.model.result import FailureKind as Kind
from ctorrent.ports import Cell
from tests.sandbox.cells import block, in_cell

LEVELS = ["jail", pytest.param("docker", marks=pytest.mark.docker)]
pytestmark = [pytest.mark.real, pytest.mark.parametrize("level", LEVELS)]
LIMITS = Limits(block_s=5, output_bytes=1 << 20, log_bytes=1 << 16, scratch_bytes=4 << 20)
TELL = "import os, sys\npath = sys.argv[1]\nopen(path, 'w').write(os.path.basename(path) + ' ' + os.path.relpath(path, os.getcwd()).split(os.sep)[0])"
ARGV = ("python3", "-c", TELL, "{output}")


def test_the_last_part_is_the_block_s_own_name(level: str, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mov"
    clip.write_text("x")

    async def body(cell: Cell) -> None:
        outcomes = await cell.run([block(0, (("my clip.mov", str(clip)),), n=7), block(1, (("b.mov", str(clip)),), n=8)])
        assert [o.failure for o in outcomes] == [None] * 2
        assert [canon.decode(o.value or b"") for o in outcomes] == [b"my clip-0007.mp4 .output", b"b-0008.mp4 .output"]

    in_cell(level, tmp_path, "", body, argv=ARGV, limits=LIMITS, outputs="small/{stem}-{n:04}.mp4")


def test_a_folder_by_that_name_is_a_map_of_files(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        (only,) = await cell.run([block(3)])
        assert canon.decode(only.value or b"") == {"a": b"1", "deep/b": b"2"}

    make = "import os, sys\nos.makedirs(sys.argv[1] + '/deep')\nopen(sys.argv[1] + '/a', 'w').write('1')\nopen(sys.argv[1] + '/deep/b', 'w').write('2')"
    in_cell(level, tmp_path, "", body, argv=("python3", "-c", make, "{output}"), limits=LIMITS, outputs="frames/{index}")


HOSTILE: list[tuple[str, dict[str, Any]]] = [
    ("../../../../etc/passwd", {}), ("{a}", {"a": "../input0"}), ("{", {}), ("{a.__class__}", {"a": "x"}), ("{a:0999999999}", {"a": 1}),
    ("{a}" * 100, {"a": "x" * 60_000}), ("x" * 100_000, {}),
]  # fmt: skip


def test_a_hostile_template_fails_its_own_block(level: str, tmp_path: Path) -> None:
    for number, (template, given) in enumerate(HOSTILE if level == "jail" else HOSTILE[:3]):  # the code inside is the same

        async def body(cell: Cell, template: str = template, given: dict[str, Any] = given) -> None:
            for outcome in await cell.run([block(0, **given), block(1, **given)]):
                assert outcome.failure is not None and outcome.failure.kind is Kind.EXCEPTION, (template, outcome)
                assert outcome.failure.text.startswith("outputs: ") and len(outcome.failure.text) < 1000

        in_cell(level, tmp_path / str(number), "", body, argv=ARGV, limits=LIMITS, outputs=template)
