"""A requester's jobs in the order people see them, newest first: a page of ten thousand costs no more than one of ten."""

from __future__ import annotations

from ctorrent.errors import LocalError
from ctorrent.model.ids import JobId
from ctorrent.model.series import part_of
from ctorrent.node.jobbook import JobRecord, find


class JobList:
    """Over the requester's own records, sorted again only when one came or went."""

    def __init__(self, records: dict[JobId, JobRecord]) -> None:
        self._records = records
        self._stamp: tuple[int, JobId | None] = (0, None)  # how many there were, and the one that came last
        self._newest: list[JobRecord] = []
        self._at: dict[str, int] = {}  # shown id -> its place

    def page(self, after: str, limit: int) -> list[JobRecord]:
        """At most `limit` (0: all) that are older than the job `after`; from the newest where that is "". Raises LocalError."""
        self._look()
        if after and after not in self._at:
            raise LocalError(f"there is no job {after!r:.100} here to list after", "It was removed meanwhile: list from the beginning.")
        start = self._at[after] + 1 if after else 0
        return self._newest[start : start + limit] if limit else self._newest[start:]

    def find(self, word: str) -> JobRecord:
        """As jobbook.find; at once where it is a whole id."""
        self._look()
        at = self._at.get(word)
        return find(self._records.values(), word) if at is None else self._newest[at]

    def _look(self) -> None:
        stamp = (len(self._records), next(reversed(self._records), None))
        if stamp != self._stamp:
            latest = reversed(self._records.values())  # of those of one second, the one that came last is first; a journal keeps no such order, so epochs are asked
            self._newest = sorted(latest, key=lambda record: (-record.submitted_unix, -part_of(record.job.manifest.name)))
            self._at = {record.name: place for place, record in reversed(list(enumerate(self._newest)))}
            self._stamp = stamp
