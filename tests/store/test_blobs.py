"""What the folder adds to the contract: files, restarts, damage, files of the user's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import trio

from ctorrent.errors import LocalError
from ctorrent.model.ids import Digest
from ctorrent.seal import digest
from ctorrent.store.blobs import BlobRules, open_blobs

pytestmark = pytest.mark.real


def name(data: bytes) -> Digest:
    return Digest(digest("ctorrent/blob/1", data))


def place(folder: Path, data: bytes) -> Path:
    return folder / name(data).hex()[:2] / name(data).hex()


def test_a_blob_is_a_file_that_nobody_changes_by_mistake(tmp_path: Path) -> None:
    async def main() -> None:
        blobs = await open_blobs(tmp_path)
        blob = await blobs.put(b"data", durable=True)
        assert blobs.path(blob) == str(place(tmp_path, b"data"))

    trio.run(main)
    assert place(tmp_path, b"data").read_bytes() == b"data"
    assert stat.S_IMODE(place(tmp_path, b"data").stat().st_mode) == 0o444


@pytest.mark.parametrize("size", [0, 10, (4 << 20) + 1])
def test_a_users_file_is_copied_and_hashed(tmp_path: Path, size: int) -> None:
    data = bytes(range(250)) * (size // 250 + 1)
    source = tmp_path / "source"
    source.write_bytes(data[:size])

    async def main() -> None:
        blobs = await open_blobs(tmp_path / "blobs")
        blob, found = await blobs.put_file(str(source))
        assert (blob, found) == (name(data[:size]), size)
        await trio.Path(source).write_bytes(b"changed")
        assert await blobs.get(blob, size) == data[:size]

    trio.run(main)


def test_a_users_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        blobs = await open_blobs(tmp_path / "blobs")
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
            with pytest.raises(LocalError, match=str(path)):
                await blobs.put_file(str(path))
        assert list((tmp_path / "blobs" / "new").iterdir()) == []

    trio.run(main)


def test_the_next_start_finds_what_is_whole_and_only_that(tmp_path: Path) -> None:
    parts = [bytes((number,)) * 10_000 for number in range(4)]

    async def first() -> None:
        blobs = await open_blobs(tmp_path)
        for part in parts:
            await blobs.put(part)

    async def second() -> None:
        blobs = await open_blobs(tmp_path)
        assert [blobs.size(name(part)) for part in parts] == [10_000, 9_000, 10_000, 10_000]
        assert await blobs.get(name(parts[0]), 10_000) == parts[0]
        with pytest.raises(KeyError):
            await blobs.get(name(parts[1]), 10_000)
        with pytest.raises(KeyError):
            blobs.path(name(parts[2]))
        assert not await blobs.check(name(parts[2]))
        assert await blobs.put(parts[1]) == name(parts[1])
        assert await blobs.get(name(parts[1]), 10_000) == parts[1]
        place(tmp_path, parts[3]).unlink()
        with pytest.raises(KeyError):
            await blobs.read(name(parts[3]), 0, 1)
        assert blobs.size(name(parts[3])) is None

    trio.run(first)
    os.truncate(place(tmp_path, parts[1]), 9_000)  # as a loss of power leaves it
    place(tmp_path, parts[2]).chmod(0o600)
    place(tmp_path, parts[2]).write_bytes(bytes(10_000))
    (tmp_path / "new" / "leftover").write_bytes(b"x")
    trio.run(second)
    assert not (tmp_path / "new" / "leftover").exists()


def test_age_survives_a_restart(tmp_path: Path) -> None:
    async def first() -> None:
        blobs = await open_blobs(tmp_path)
        for number in range(3):
            await blobs.put(bytes((number,)) * 1000)

    async def second() -> None:
        blobs = await open_blobs(tmp_path, BlobRules(quota_bytes=3000, least_bytes=0))
        await blobs.put(b"new" * 300)
        assert [blobs.size(name(bytes((number,)) * 1000)) for number in range(3)] == [1000, None, 1000]

    trio.run(first)
    for age, number in ((30, 0), (90, 1), (60, 2)):
        path = place(tmp_path, bytes((number,)) * 1000)
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    trio.run(second)


def test_what_arrived_in_part_is_resumed_after_a_restart(tmp_path: Path) -> None:
    data = b"0123456789" * 100

    async def chunks(first: int, last: int) -> object:
        yield data[first:last]

    async def first() -> None:
        blobs = await open_blobs(tmp_path)
        with pytest.raises(Exception, match="ended"):
            await blobs.receive(name(data), 1000, chunks(0, 600))  # type: ignore[arg-type]

    async def second() -> None:
        blobs = await open_blobs(tmp_path)
        assert blobs.partial(name(data)) == 600
        await blobs.receive(name(data), 1000, chunks(600, 1000), offset=600)  # type: ignore[arg-type]
        assert await blobs.get(name(data), 1000) == data

    trio.run(first)
    trio.run(second)


def test_unfinished_blobs_do_not_pile_up(tmp_path: Path) -> None:
    async def chunks() -> object:
        yield bytes(400)

    async def main() -> None:
        blobs = await open_blobs(tmp_path, BlobRules(partial_bytes_max=1000))
        for number in range(10):
            with pytest.raises(Exception, match="ended"):
                await blobs.receive(name(bytes((number,))), 1000, chunks())  # type: ignore[arg-type]
        assert blobs.partial(name(bytes((9,)))) == 400
        assert len(list((tmp_path / "partial").iterdir())) == 3  # two within the limit, and the newest

    trio.run(main)


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalError, match="cannot be made"):
        trio.run(open_blobs, tmp_path / "file" / "blobs")
