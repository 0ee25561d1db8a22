"""Folders of links to blobs: whole or not at all, read-only, gone when they are cleared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from ctorrent.errors import DiskFull, LocalError
from ctorrent.model.ids import Digest
from ctorrent.seal import digest
from ctorrent.store import trees
from ctorrent.store.blobs import BlobRules, open_blobs

pytestmark = pytest.mark.real
TREE = Digest(bytes(32))


def right(folder: Path, blob: Path) -> None:
    assert (folder / "a/large").samefile(blob) and (folder / "again").read_bytes() == b"x" * 100
    assert (folder / "a/b.txt").read_bytes() == b"small" and (folder / "c").read_bytes() == b""
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o444}
    assert (folder / "a").stat().st_mode & 0o777 == folder.stat().st_mode & 0o777 == 0o755


def gone(folder: Path) -> bool:
    return not folder.exists()


def test_a_tree_is_links_to_blobs_and_leaves_them_when_it_goes(tmp_path: Path) -> None:
    async def main() -> None:
        store = await open_blobs(tmp_path / "blobs")
        blob = await store.put(b"x" * 100)
        folder = Path(await store.lay_out(TREE, {"a/b.txt": b"small", "c": b""}, {"a/large": blob, "again": blob}))
        right(folder, Path(store.path(blob)))
        assert await store.lay_out(TREE, {}, {}) == str(folder)
        right(folder, Path(store.path(blob)))  # the same until it is cleared
        await store.clear(TREE)
        assert gone(folder) and await store.get(blob, 100) == b"x" * 100
        with pytest.raises(KeyError):
            await store.lay_out(TREE, {}, {"x": Digest(digest("nobody"))})
        assert gone(folder)

    before = os.umask(0o077)
    try:
        trio.run(main)
    finally:
        os.umask(before)


def test_what_an_earlier_life_laid_out_is_gone(tmp_path: Path) -> None:
    async def main() -> None:
        store = await open_blobs(tmp_path / "blobs")
        folder = Path(await store.lay_out(TREE, {"a": b"1"}, {}))
        await open_blobs(tmp_path / "blobs")
        assert gone(folder)

    trio.run(main)


def test_one_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "trees" / "one"
    with pytest.raises(LocalError, match="cannot be laid out"):
        trees.lay_out(target, {"a": b"1"}, {"b": tmp_path / "nothing"})
    assert list((tmp_path / "trees").iterdir()) == []


def test_where_no_link_can_be_made_the_file_is_copied(tmp_path: Path) -> None:
    """As for a file that has all the links it may have."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    source = shared / f"ct-tree-{os.getpid()}"
    source.write_bytes(b"y" * 5000)
    try:
        trees.lay_out(tmp_path / "tree", {}, {"y": source})
    finally:
        source.unlink()
    assert (tmp_path / "tree" / "y").read_bytes() == b"y" * 5000 and (tmp_path / "tree" / "y").stat().st_mode & 0o777 == 0o444


def test_room_is_what_pins_and_the_disk_leave(tmp_path: Path) -> None:
    async def main() -> None:
        store = await open_blobs(tmp_path / "blobs", BlobRules(quota_bytes=1000, least_bytes=0))
        kept = await store.put(b"k" * 300)
        store.pin(kept, "x")
        await store.put(b"l" * 400)
        assert store.room_bytes() == 700
        full = await open_blobs(tmp_path / "other", BlobRules(quota_bytes=1000, disk_kept_bytes=1 << 60))
        assert full.room_bytes() == 0

    trio.run(main)


def test_empty_files_in_deep_folders_take_of_the_quota(tmp_path: Path) -> None:
    """Each file and folder is a block of the disk, whatever its size says."""
    deep = {f"{number}/" + "d/" * 50 + "f": b"" for number in range(40)}  # 2000 folders

    async def main() -> None:
        store = await open_blobs(tmp_path / "blobs", BlobRules(quota_bytes=1 << 20))
        with pytest.raises(DiskFull):
            await store.lay_out(TREE, deep, {})
        assert list((tmp_path / "blobs" / "trees").iterdir()) == [] and store.room_bytes() == 1 << 20
        await store.lay_out(TREE, {"a/b/c": b"", "a/d": b""}, {})
        assert store.room_bytes() == (1 << 20) - 5 * 4096  # two files in a folder, its own folder, and a and b
        await store.put(b"x")
        store.pin(await store.put(b"y"), "kept")
        assert store.room_bytes() == (1 << 20) - 6 * 4096
        await store.clear(TREE)
        assert store.room_bytes() == (1 << 20) - 4096
        store.pin(TREE, "job of this node")
        await store.lay_out(TREE, deep, {})
        assert store.room_bytes() == (1 << 20) - 4096, "the quota is for others' jobs"
        await store.clear(TREE)
        assert list((tmp_path / "blobs" / "trees").iterdir()) == []

    trio.run(main)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no folder here that nobody can remove")
def test_what_cannot_be_removed_is_said() -> None:
    with pytest.raises(LocalError, match="are left in /proc"):
        trees.remove(Path("/proc/self/fd"))
