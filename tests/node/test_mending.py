"""What is said after a damaged journal was put aside, and which jobs are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import trio

from ctorrent.model.ids import JobId, show_job
from ctorrent.node.mending import mend, remember
from ctorrent.ports import Put
from ctorrent.store.journal import open_journal
from ctorrent.store.salvage import Loss

FIRST, SECOND, THIRD = (JobId(bytes([number]) * 32) for number in (1, 2, 3))
LOSS = Loss("a page does not read", Path("journal.sqlite.damaged-1"), {"settled": 2, "person": 1}, {}, {"job": 1}, 10, 1, (THIRD,))


def test_a_job_of_which_only_results_are_left_is_named_as_people_see_it(tmp_path: Path) -> None:
    async def main() -> tuple[list[str], int]:
        journal = await open_journal(tmp_path / "journal.sqlite")
        await journal.commit([Put("settled", FIRST + bytes(4), b"x"), Put("settled", FIRST + b"\0\0\0\1", b"x"), Put("voice", SECOND + bytes(4), b"x")])
        notes = await mend(journal, LOSS)
        left = sum(len(journal.scan(space)) for space in ("settled", "voice"))
        await journal.aclose()
        return notes, left

    notes, left = trio.run(main)
    gone = [note for note in notes if "is gone" in note]
    assert [note.split()[2] for note in gone] == [show_job(job) for job in (FIRST, SECOND, THIRD)]
    assert left == 0, "nothing of them stays behind"
    assert not any("friends again" in note for note in notes), "none was lost"


def test_friends_are_asked_for_again_where_some_were_lost(tmp_path: Path) -> None:
    async def main() -> list[str]:
        journal = await open_journal(tmp_path / "journal.sqlite")
        notes = await mend(journal, replace(LOSS, lost={"person": 1}, jobs=()))
        await journal.aclose()
        return notes

    assert any("friends again" in note for note in trio.run(main))


def test_words_about_a_repair_wait_for_a_person_beside_those_of_the_one_before(tmp_path: Path) -> None:
    assert remember(tmp_path, []) == ()
    assert remember(tmp_path, ["The first."]) == ("The first.",)
    assert remember(tmp_path, []) == ("The first.",)
    assert remember(tmp_path, ["The second."]) == ("The first.", "The second.")
