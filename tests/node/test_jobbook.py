"""Which job a person means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ctorrent.errors import LocalError
from ctorrent.model.ids import JobId
from ctorrent.model.job import SignedManifest
from ctorrent.node.jobbook import JobRecord, find
from tests.wire import samples


def job(number: int, name: str, submitted_unix: int) -> JobRecord:
    manifest = replace(samples.MANIFEST, name=name)
    known = SignedManifest(JobId(bytes([number]) * 32), manifest, samples.sealed("manifest"))
    return JobRecord(known, b"", b"", submitted_unix)


def test_a_job_is_found_by_its_shown_id_or_its_name() -> None:
    jobs = [job(1, "sweep", 10), job(2, "digits", 20), job(3, "digits", 30), job(4, "digits", 30)]
    assert find(jobs, jobs[0].name.upper()) is jobs[0]
    assert find(jobs, jobs[2].name[:5]) is jobs[2]
    assert find(jobs, " sweep ", one=True) is jobs[0]
    assert find(jobs, "digits") is jobs[3], "the newest; of one second, the one that came last"
    with pytest.raises(LocalError, match=f"names 3 jobs.*{jobs[3].name}, {jobs[2].name}, {jobs[1].name}"):
        find(jobs, "digits", one=True)


@pytest.mark.parametrize("word", ["", " ", "swee", "DIGITS", "0101", "nothing", "0" * 64])
def test_no_other_word_names_a_job(word: str) -> None:
    jobs = [job(1, "sweep", 10), job(2, "digits", 20)]
    with pytest.raises(LocalError, match="there is no job"):
        find(jobs, word)


def test_a_beginning_that_several_ids_share_chooses_none() -> None:
    jobs = [job(1, "a", 10), job(1, "b", 20)]
    with pytest.raises(LocalError, match="names 2 jobs"):
        find(jobs, jobs[0].name[:4])
