"""What keeps a node from starting: one sentence and what to do next, and nothing changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctorrent.store.salvage import COPIES_MAX
from tests.real.herd import FLAGS, Tended, herd

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def lived() -> Iterator[Tended]:
    """A node that ran once and is stopped."""
    with herd() as make:
        ann = make("ann")
        ann.start()
        ann.stop()
        yield ann


def tried(ann: Tended, *flags: str, folder: Path | None = None) -> str:
    """Try to start; it must refuse quickly. -> its words."""
    command = [sys.executable, "-m", "ctorrent", "node", "--data-dir", os.fspath(folder or ann.data), "--owner-dir", os.fspath(ann.owner_dir)]
    done = subprocess.run([*command, *FLAGS, "--port", "0", *flags], capture_output=True, text=True, timeout=60, check=False, env=ann.environ)
    assert done.returncode not in (0, 3), done.stdout
    assert "Traceback" not in done.stderr and "Node " not in done.stdout, done.stderr
    return " ".join(done.stderr.split())


def copied(ann: Tended, folder: Path) -> Path:
    shutil.copytree(ann.data, folder / "data", symlinks=True, ignore=shutil.ignore_patterns("*.sock", "*.lock"))
    (folder / "data").chmod(0o700)
    return folder / "data"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def open_to_all(path: Path) -> None:
    path.chmod(0o644)


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(("harm", "words"), [(cut, "damaged"), (open_to_all, "chmod 600"), (gone, "is missing")])
def test_a_key_file_that_is_not_right(lived: Tended, tmp_path: Path, harm: Callable[[Path], None], words: str) -> None:
    data = copied(lived, tmp_path)
    harm(data / "node.key")
    said = tried(lived, folder=data)
    assert words in said and "node.key" in said, said
    assert gone is harm or (data / "node.key").exists()


def test_a_journal_of_a_newer_version(lived: Tended, tmp_path: Path) -> None:
    data = copied(lived, tmp_path)
    with sqlite3.connect(data / "journal.sqlite") as journal:
        journal.execute("PRAGMA user_version = 999")
    journal.close()
    before = (data / "journal.sqlite").read_bytes()
    said = tried(lived, folder=data)
    assert "newer" in said and "journal.sqlite" in said, said
    assert (data / "journal.sqlite").read_bytes() == before


def test_a_file_of_another_program_in_the_journals_place(lived: Tended, tmp_path: Path) -> None:
    data = copied(lived, tmp_path)
    path = data / "journal.sqlite"
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    before = path.read_bytes()
    said = tried(lived, folder=data)
    assert "not a journal of this program" in said and "--data-dir" in said, said
    assert path.read_bytes() == before


def test_a_journal_that_is_damaged_again_and_again(lived: Tended, tmp_path: Path) -> None:
    """It is repaired (tests/real/test_ledger_repair.py) until so many damaged ones lie there that the disk must be at fault."""
    data = copied(lived, tmp_path)
    path = data / "journal.sqlite"
    cut = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(cut)
    for number in range(1, COPIES_MAX + 1):
        path.with_name(f"{path.name}.damaged-{number}").write_bytes(cut)
    said = tried(lived, folder=data)
    assert f"is damaged, as {COPIES_MAX} before it were" in said and "Check the disk" in said, said
    assert path.read_bytes() == cut, "what may still be read of it stays there"


def test_settings_that_are_wrong(lived: Tended, tmp_path: Path) -> None:
    data = copied(lived, tmp_path)
    (data / "settings.toml").write_text("slotz = 3\n")
    said = tried(lived, folder=data)
    assert "slotz" in said and "slots" in said, said
    (data / "settings.toml").write_text('slots = "three"\n')
    said = tried(lived, folder=data)
    assert "slots = 'three' is not a whole number" in said, said
    (data / "settings.toml").write_text("slots = = 3\n")
    said = tried(lived, folder=data)
    assert "settings.toml" in said, said
    (data / "settings.toml").unlink()
    assert "CTORRENT_TESTING=1" in tried(lived, "--testing-lie", "0.5", folder=data)


def test_a_second_node_on_one_folder(lived: Tended) -> None:
    lived.start()
    try:
        assert "another" in tried(lived).lower() or "already" in tried(lived).lower()
        assert lived.net.status()["node"]
    finally:
        lived.stop()
