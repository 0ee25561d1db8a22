"""Blocks in order, from every source, without holding a file in memory."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctorrent import canon
from ctorrent.errors import JobFileError
from ctorrent.model.block import InputRef, block_seed
from ctorrent.model.ids import Digest
from ctorrent.plan.blocks import Draft, draft_blocks
from ctorrent.plan.jobfile import parse_jobfile
from tests.plan.memory import MemoryFolder


def plan(blocks: str, files: dict[str, bytes] | None = None, program: str = "python: a.py:f", more: str = "") -> list[Draft]:
    job = parse_jobfile(f"{program}\nblocks: {blocks}\n{more}")
    return list(draft_blocks(job, MemoryFolder(files or {})))


def params(drafts: list[Draft]) -> list[Any]:
    return [canon.decode(draft.params) for draft in drafts]


def data(drafts: list[Draft], files: dict[str, bytes]) -> list[bytes]:
    return [draft.pieces[0].read(MemoryFolder(files)) for draft in drafts]


def test_a_grid_goes_row_by_row_as_written() -> None:
    points = params(plan("{grid: {z: [1, 2], a: [x, y]}}"))
    assert points == [{"z": 1, "a": "x"}, {"z": 1, "a": "y"}, {"z": 2, "a": "x"}, {"z": 2, "a": "y"}]


def test_count_items_and_constants() -> None:
    assert params(plan("3")) == [{}, {}, {}]
    assert params(plan("{items: [a, {x: 1}, [2]]}")) == [{"item": "a"}, {"x": 1}, {"item": [2]}]
    assert params(plan("{items: [{k: 9}, {x: 1}]}", more="params: {k: 1}")) == [{"k": 9}, {"k": 1, "x": 1}]
    assert [draft.index for draft in plan("3")] == [0, 1, 2]


def test_a_block_has_its_own_seed_and_its_inputs() -> None:
    first, second = plan("2")
    assert first.block(7).seed == block_seed(7, 0) != second.block(7).seed
    files = {"d/a.txt": b"1"}
    draft = plan("{files: 'd/*.txt'}", files)[0]
    reference = InputRef("a.txt", Digest(b"d" * 32), 1)
    assert draft.block(7, (reference,)).inputs == (reference,)
    with pytest.raises(ValueError, match="1 inputs"):
        draft.block(7)


def test_one_block_per_file_in_order_of_path() -> None:
    files = {"d/b.txt": b"2", "d/a.txt": b"1", "d/c.md": b"3", "e/a.txt": b"4"}
    drafts = plan("{files: ['*/*.txt', 'd/*']}", files)
    assert params(drafts) == [{"file": path} for path in ("d/a.txt", "d/b.txt", "d/c.md", "e/a.txt")]
    assert [(d.pieces[0].name, d.pieces[0].whole) for d in drafts][:2] == [("a.txt", True), ("b.txt", True)]
    assert data(drafts, files) == [b"1", b"2", b"3", b"4"]
    with pytest.raises(JobFileError, match=r"job.yaml:2: blocks: x/\* matches no file"):
        plan("{files: ['d/*', 'x/*']}", files)


def test_bytes_cut_anywhere() -> None:
    files = {"t": bytes(range(10))}
    drafts = plan("{split: {file: t, by: bytes, size: 4}}", files)
    assert data(drafts, files) == [bytes(range(4)), bytes(range(4, 8)), bytes(range(8, 10))]
    assert {draft.pieces[0].name for draft in drafts} == {"t"}


def test_lines_as_params_and_as_files() -> None:
    files = {"t": b"one\r\ntwo\n\nfour"}
    assert params(plan("{split: {file: t, by: lines, size: 2}}", files)) == [{"lines": ["one", "two"]}, {"lines": ["", "four"]}]
    drafts = plan("{split: {file: t, by: lines, size: 3, as: file}}", files)
    assert data(drafts, files) == [b"one\r\ntwo\n\n", b"four"]
    assert params(drafts) == [{}, {}]


def test_csv_rows_under_their_header() -> None:
    files = {"t.csv": b'name,n\n"a\nb",1\nc,2\n"d ""x""",3\n'}
    assert params(plan("{split: {file: t.csv, by: csv, size: 2}}", files)) == [
        {"rows": [{"name": "a\nb", "n": "1"}, {"name": "c", "n": "2"}]},
        {"rows": [{"name": 'd "x"', "n": "3"}]},
    ]
    drafts = plan("{split: {file: t.csv, by: csv, size: 2}}", files, program="command: [wc]")
    assert data(drafts, files) == [b'name,n\n"a\nb",1\nc,2\n', b'name,n\n"d ""x""",3\n']


@pytest.mark.parametrize(
    ("blocks", "files", "words"),
    [
        ("{split: {file: t, by: bytes}}", {}, "there is no file t"),
        ("{split: {file: t, by: lines}}", {"t": b""}, "t is empty"),
        ("{split: {file: t, by: csv}}", {"t": b"a,b\n"}, "header and no rows"),
        ("{split: {file: t, by: csv}}", {"t": b"a,b"}, "header and no rows"),
        ("{split: {file: t, by: csv}}", {"t": b'a,b\n"1,2\n'}, "ends inside a quoted field"),
        ("{split: {file: t, by: csv}}", {"t": b"a,b\n1\n"}, "as many fields as the header"),
        ("{split: {file: t, by: csv}}", {"t": b"a,b\n1,2,3\n"}, "as many fields as the header"),
        ("{split: {file: t, by: lines}}", {"t": b"\xff\xfe\n"}, "not UTF-8"),
        ("{split: {file: t, by: lines}}", {"t": b"x" * 70_000}, "parameters of block 0 take 7"),
    ],
)
def test_files_that_cannot_be_cut_say_why(blocks: str, files: dict[str, bytes], words: str) -> None:
    with pytest.raises(JobFileError, match=words) as caught:
        plan(blocks, files)
    assert str(caught.value).startswith("job.yaml:2: blocks: ")


def test_a_large_file_is_never_read_whole() -> None:
    folder = MemoryFolder({"t": b"".join(b"line %d\n" % i for i in range(600_000))})
    job = parse_jobfile("command: [wc]\nblocks: {split: {file: t, by: lines, size: 1000}}\n")
    drafts = list(draft_blocks(job, folder))
    assert len(drafts) == 600
    assert folder.most_read <= 1 << 20 < len(folder.files["t"])
    pieces = [draft.pieces[0] for draft in drafts]
    assert all(a.offset_bytes + a.size_bytes == b.offset_bytes for a, b in pairwise(pieces))


def test_blocks_come_lazily() -> None:
    job = parse_jobfile("python: a.py:f\nblocks: 1000000\n")
    blocks = draft_blocks(job, MemoryFolder())
    assert next(blocks).index == 0


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=300), st.integers(1, 40), st.sampled_from(["bytes", "lines"]))
def test_parts_make_the_whole(content: bytes, size: int, by: str) -> None:
    job = parse_jobfile(f"command: [wc]\nblocks: {{split: {{file: t, by: {by}, size: {size}}}}}\n")
    folder = MemoryFolder({"t": content})
    parts = [draft.pieces[0].read(folder) for draft in draft_blocks(job, folder)]
    assert b"".join(parts) == content
    if by == "lines":
        assert all(part.count(b"\n") == size for part in parts[:-1])


CELL = st.text(alphabet='ab,"\n ', max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=20), st.integers(1, 5))
def test_csv_parts_hold_all_rows(rows: list[tuple[str, str]], size: int) -> None:
    quoted = ["x,y"] + [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    folder = MemoryFolder({"t": ("\n".join(quoted) + "\n").encode()})
    job = parse_jobfile(f"python: a.py:f\nblocks: {{split: {{file: t, by: csv, size: {size}}}}}\n")
    parts = [canon.decode(draft.params)["rows"] for draft in draft_blocks(job, folder)]
    assert [(row["x"], row["y"]) for part in parts for row in part] == rows
    assert all(len(part) == size for part in parts[:-1])


def test_drafts_are_values() -> None:
    assert plan("1") == plan("1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan("1")[0].index = 3  # type: ignore[misc]
