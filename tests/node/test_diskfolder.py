"""A folder on a disk as a job file sees it: links inside are followed, those that lead out are named."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ctorrent.errors import JobFileError, LocalError
from ctorrent.node.diskfolder import DiskFolder
from ctorrent.plan.blocks import draft_blocks
from ctorrent.plan.code import SKIPPED, listed
from ctorrent.plan.jobfile import parse_jobfile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "job"
    for path in ("model/deep/a.bin", "model/b.py", "data/c.csv", "model/.git/config", "model/__pycache__/b.pyc"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "key").write_text("secret")
    (root / "a.py").write_text("def f(): pass\n")
    return root


def names(root: Path, top: str = "model") -> list[str]:
    return [path for path, _ in DiskFolder(root).below(top, SKIPPED)]


def test_folders_are_looked_through_without_what_nobody_means(folder: Path) -> None:
    assert names(folder) == ["model/b.py", "model/deep/a.bin"]
    assert names(folder, ".") == ["a.py", "data/c.csv", "model/b.py", "model/deep/a.bin"]
    assert names(folder, "nothing") == names(folder, "a.py") == []


def test_links_inside_are_followed(folder: Path) -> None:
    (folder / "model" / "also").symlink_to("../data")
    (folder / "model" / "one.csv").symlink_to("../data/c.csv")
    assert names(folder) == ["model/also/c.csv", "model/b.py", "model/deep/a.bin", "model/one.csv"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("../../outside", "model/x leads out of the job.s folder, to "),
        ("../../outside/key", "model/x leads out of the job.s folder, to "),
        ("/etc/passwd", "model/x leads out of the job.s folder, to /etc/passwd"),
        ("../../job-two/y", "leads out of the job"),
        ("nothing", "model/x "),
        ("..", r"model/x/model is a link to|model/x is a link to|link to a folder that it is in"),
        ("x", "model/x "),
    ],
)
def test_links_that_lead_elsewhere_are_named(folder: Path, target: str, words: str) -> None:
    (folder.parent / "job-two").mkdir()  # begins like the folder, and is another
    (folder.parent / "job-two" / "y").write_text("")
    (folder / "model" / "x").symlink_to(target)
    with pytest.raises(LocalError, match=words):
        names(folder)
    job = parse_jobfile("python: a.py:f\nblocks: 1\nfiles: [model]")
    with pytest.raises(JobFileError, match=r"job.yaml:3: files: model/x"):
        listed(job, DiskFolder(folder))


def test_a_listed_file_or_a_pattern_may_not_lead_out_either(folder: Path) -> None:
    (folder / "x.csv").symlink_to("../outside/key")
    (folder / "door").symlink_to("../outside")
    for files in ("x.csv", "'*.csv'", "door", "door/key"):
        with pytest.raises(JobFileError, match="leads out of the job"):
            listed(parse_jobfile(f"python: a.py:f\nblocks: 1\nfiles: {files}"), DiskFolder(folder))


@pytest.mark.parametrize("blocks", [
    "{files: 'data/*.txt'}", "{files: 'in/*'}", "{files: ['data/c.csv', 'data/points.txt']}",
    "{split: {file: data/points.txt, by: lines, size: 1}}", "{split: {file: in/key, by: bytes, size: 1 kB}}",
    "{split: {file: ../outside/key, by: lines, size: 1, as: params}}", "{split: {file: 'ROOT/outside/key', by: lines, size: 1}}",
])  # fmt: skip
def test_no_block_reads_what_is_outside(folder: Path, blocks: str) -> None:
    """A job got from somebody would send the files of whoever submits it."""
    (folder / "data" / "points.txt").symlink_to("../../outside/key")
    (folder / "in").symlink_to("../outside")
    job = parse_jobfile(f"python: a.py:f\nblocks: {blocks.replace('ROOT', str(folder.parent))}")
    with pytest.raises(JobFileError, match=r"job.yaml:2: blocks: .* leads out of the job's folder, to .*outside/key. Copy it in"):
        list(draft_blocks(job, DiskFolder(folder)))


def test_nothing_outside_is_read_by_any_way(folder: Path) -> None:
    (folder / "a.py").unlink()
    (folder / "a.py").symlink_to("../outside/key")
    disk = DiskFolder(folder)
    for way in (disk.read, disk.path, disk.inside):
        for path in ("a.py", "../outside/key", str(folder.parent / "outside" / "key")):
            with pytest.raises(LocalError, match="leads out of the job's folder"):
                way(path)
    with pytest.raises(JobFileError, match=r"job.yaml:1: python: a.py leads out of the job's folder"):
        listed(parse_jobfile("python: a.py:f\nblocks: 1"), disk)


def test_what_is_no_file_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder / "model" / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(folder / "model")
        listener.bind("s")
        assert names(folder) == ["model/b.py", "model/deep/a.bin"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "model" / "deep").chmod(0)
    with pytest.raises(LocalError, match="the folder model/deep cannot be read: Permission denied"):
        names(folder)


def test_names_that_are_no_text(folder: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/model/\xff.bin"))).write_text("")
    with pytest.raises(JobFileError, match="whose name cannot be printed"):
        listed(parse_jobfile("python: a.py:f\nblocks: 1\nfiles: model"), DiskFolder(folder))
