"""Which job a person means."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from ctorrent.canon import encode
from ctorrent.errors import LocalError
from ctorrent.model.ids import JobId
from ctorrent.model.job import SignedManifest
from ctorrent.node import records
from ctorrent.node.jobbook import JobRecord, find, load_jobs
from ctorrent.node.joblist import JobList
from ctorrent.ports import Put
from ctorrent.testing.fake_journal import FakeJournal
from ctorrent.wire import codec
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


def test_epochs_of_one_second_are_listed_newest_first_after_a_restart_too() -> None:
    third, first, second = (job(number, f"softmax iris.csv {number}/3", 30) for number in (3, 1, 2))  # as a journal gives them: by their ids
    listed = JobList({one.job.id: one for one in (first, third, job(4, "digits", 20), second)}).page("", 0)
    assert [one.job.manifest.name for one in listed] == ["softmax iris.csv 3/3", "softmax iris.csv 2/3", "softmax iris.csv 1/3", "digits"]


@pytest.mark.parametrize("word", ["", " ", "swee", "DIGITS", "0101", "nothing", "0" * 64])
def test_no_other_word_names_a_job(word: str) -> None:
    jobs = [job(1, "sweep", 10), job(2, "digits", 20)]
    with pytest.raises(LocalError, match="there is no job"):
        find(jobs, word)


def test_a_beginning_that_several_ids_share_chooses_none() -> None:
    jobs = [job(1, "a", 10), job(1, "b", 20)]
    with pytest.raises(LocalError, match="names 2 jobs"):
        find(jobs, jobs[0].name[:4])


def test_a_job_is_read_as_it_was_written_and_its_report_when_it_is_asked_for() -> None:
    signed = codec.open_manifest(samples.sealed("manifest"))
    written = JobRecord(signed, b"d" * 32, b"s" * 32, 10, "settled", report={"status": {"blocks": 3}, "why": {}}, answer=b"a" * 32, memo=False)
    link = samples.sealed("manifest")  # of any kind: it is kept as it is
    journal = FakeJournal()

    async def kept(put: Put) -> JobRecord:
        await journal.commit([put, Put("no-memory", signed.id, b""), Put("amendment", signed.id + records.u32(1), encode(records.pack_sealed(link)))])
        (found,) = load_jobs(journal)
        return found

    for put in (written.put(), _as_before(written)):
        found = trio.run(kept, put)
        assert replace(found, report=dict(found.report)) == replace(written, amendments=[link])
        assert found.put() == written.put()


def _as_before(record: JobRecord) -> Put:
    """As an earlier version wrote it: the report is a map among the others."""
    fields = records.load(record.put().value)
    return Put("job", record.id, encode([*fields[:6], dict(record.report), *fields[7:]]))
