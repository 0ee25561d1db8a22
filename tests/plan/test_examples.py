"""Every example's job file is planned as its own program expects."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctorrent.plan.blocks import draft_blocks
from ctorrent.plan.code import listed
from ctorrent.plan.jobfile import parse_jobfile
from tests.plan.memory import MemoryFolder

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_example_is_right(path: Path) -> None:
    files = {p.relative_to(path.parent).as_posix(): p.read_bytes() for p in path.parent.rglob("*") if p.is_file()}
    files.setdefault("text.txt", b"words that prepare.py would write\n" * 20_000)
    folder = MemoryFolder(files)
    job = parse_jobfile(path.read_text(), path.name)
    drafts = list(draft_blocks(job, folder))
    assert len(drafts) > 1
    assert [draft.index for draft in drafts] == list(range(len(drafts)))
    program = job.entry.partition(":")[0] or next(word for word in job.argv if word in files)
    assert program in listed(job, folder)


def test_there_are_examples() -> None:
    assert len(list(EXAMPLES.glob("*/*.yaml"))) >= 4
