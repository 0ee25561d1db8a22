"""Journals of which bytes were flipped, cut off or wiped: what still holds is kept, what is missing is counted."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import trio

from ctorrent.errors import JournalError
from ctorrent.ports import Delete, Put
from ctorrent.store.journal import Journal, open_journal
from ctorrent.store.salvage import COPIES_MAX

pytestmark = pytest.mark.real

ENTRIES, JOBS = 1500, 40
BODY = {number: random.Random(number).randbytes(300 + number % 900) for number in range(ENTRIES)}
BIG = random.Random("big").randbytes(70_000)  # in overflow pages


async def filled(path: Path) -> None:
    journal = await open_journal(path)
    await journal.commit([Put("person", b"old", b"friend"), Put("invite", b"token", b"2")])
    for start in range(0, ENTRIES, 100):
        await journal.commit([Put("entry", number.to_bytes(8, "big"), BODY[number]) for number in range(start, start + 100)])
    await journal.commit([Put("job", number.to_bytes(8, "big"), b"first") for number in range(JOBS)])
    await journal.commit([Put("job", number.to_bytes(8, "big"), b"second") for number in range(JOBS)])
    await journal.commit([Put("blob", b"big", BIG), Delete("person", b"old"), Put("invite", b"token", b"1")])
    await journal.aclose()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "journal.sqlite"
    trio.run(filled, path)
    return path


def mended(path: Path) -> Journal:
    """The journal after a start that repairs; read only from here on."""

    async def main() -> Journal:
        journal = await open_journal(path, repair=True)
        found = {space: dict(journal.scan(space)) for space in ("entry", "job", "blob", "person", "invite")}
        await journal.commit([Put("after", b"it", b"writes")])
        await journal.aclose()
        again = await open_journal(path)  # and it is whole
        assert again.get("after", b"it") == b"writes" and again.loss is None
        await again.aclose()
        journal.found = found  # type: ignore[attr-defined]
        return journal

    return trio.run(main)


def right(found: dict[str, dict[bytes, bytes]]) -> None:
    """Whatever is there is true: no bytes that were never written, nothing that was taken back."""
    for key, value in found["entry"].items():
        assert value == BODY[int.from_bytes(key, "big")]
    assert set(found["job"].values()) <= {b"first", b"second"}
    assert found["blob"].get(b"big", BIG) == BIG
    assert b"old" not in found["person"], "a friend no longer does not come back"
    assert found["invite"].get(b"token", b"1") == b"1", "nor a use of an invite"


@pytest.mark.parametrize("seed", range(6))
def test_flipped_bytes_cost_what_they_hit(sound: Path, tmp_path: Path, seed: int) -> None:
    dice, path = random.Random(seed), tmp_path / "journal.sqlite"
    data = bytearray(sound.read_bytes())
    spots = [dice.randrange(100, len(data)) for _ in range((1, 3, 8, 20, 60, 200)[seed])]
    for spot in spots:
        data[spot] ^= 1 << dice.randrange(8)
    path.write_bytes(data)
    journal = mended(path)
    found = journal.found  # type: ignore[attr-defined]
    if journal.loss is None:
        pytest.skip("the flipped bits were in unused space")
    right(found)
    assert len(found["entry"]) >= ENTRIES - 9 * len(spots), "a page holds six"
    assert journal.loss.aside.read_bytes() == bytes(data), "the damaged file is kept as it was"
    assert journal.loss.kept["entry"] == len(found["entry"])


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
def test_of_a_file_that_was_cut_the_rest_is_kept(sound: Path, tmp_path: Path, share: float) -> None:
    path = tmp_path / "journal.sqlite"
    data = sound.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    journal = mended(path)
    assert journal.loss is not None
    right(journal.found)  # type: ignore[attr-defined]
    assert len(journal.found["entry"]) >= ENTRIES * (share - 0.1) - 50  # type: ignore[attr-defined]


@pytest.mark.parametrize("wiped", [range(0, 4096), range(0, 100), range(4096, 3 * 4096)])
def test_a_wiped_header_or_root_is_no_end(sound: Path, tmp_path: Path, wiped: range) -> None:
    path = tmp_path / "journal.sqlite"
    data = bytearray(sound.read_bytes())
    data[wiped.start : wiped.stop] = bytes(len(wiped))
    path.write_bytes(data)
    journal = mended(path)
    assert journal.loss is not None
    right(journal.found)  # type: ignore[attr-defined]
    assert len(journal.found["entry"]) >= ENTRIES - 20  # type: ignore[attr-defined]


def test_an_empty_file_and_one_that_is_missing_beside_its_log_are_damage(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"")
    assert mended(path).loss is not None
    shutil.rmtree(tmp_path / "lone", ignore_errors=True)
    lone = tmp_path / "lone" / "journal.sqlite"
    lone.parent.mkdir(mode=0o700)
    Path(f"{lone}-wal").write_bytes(sound.read_bytes()[:50_000])
    journal = mended(lone)
    assert journal.loss is not None and journal.loss.kept == {}


def test_without_leave_nothing_is_touched(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"x" + sound.read_bytes()[1:])
    before = path.read_bytes()
    with pytest.raises(JournalError, match="is damaged"):
        trio.run(open_journal, path)
    assert path.read_bytes() == before


def test_a_file_of_another_program_is_not_repaired(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (a)")
    connection.close()
    with pytest.raises(JournalError, match="not a journal of this program"):
        mended(path)


def test_a_disk_that_damages_every_journal_is_not_filled_with_copies(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    for _ in range(COPIES_MAX):
        path.write_bytes(b"broken")
        mended(path)
    path.write_bytes(b"broken")
    with pytest.raises(JournalError, match="before it were"):
        mended(path)
