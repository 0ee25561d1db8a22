"""When which worker computed which blocks, in a bounded size: what the plots of a report are drawn from.

The first units are kept one by one. Of all there are two summaries: each worker's busy seconds by columns of time, whose
width doubles when the job outgrows them, and a histogram of block times. All of it is in the journal (space `seen`):

    job ‖ 00           [column width, blocks per bucket of time, shortest, longest]
    job ‖ 02 ‖ u32     [[worker's number, first index, blocks, began_s, ended_s, disputed] …], up to 64 units
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ctorrent.model.ids import JobId
from ctorrent.node import records
from ctorrent.node.records import u32
from ctorrent.ports import Journal, Put

SPACE = "seen"
SPANS_MAX = 2048  # units kept one by one: more than a page can show as marks that an eye tells apart
SPANS_A_RECORD = 64  # the last record is written again with each unit: it stays below 3 KB
COLUMNS = 256  # of time: a worker's line is then ~2 KB, and wider than a page has pixels to spare
FIRST_COLUMN_S = 0.05  # what a coalesced unit takes
BUCKETS_A_DECADE = 8
SHORTEST_S = 1e-6  # bucket 0 is below it
BUCKETS = 1 + 13 * BUCKETS_A_DECADE  # up to 10^7 s, longer than any block may take

_GAUGE, _SPANS = b"\x00", b"\x02"


class Timeline:
    """Of one job. Workers are numbered in the order in which they joined; times are seconds since the job began."""

    def __init__(self) -> None:
        self.column_s = FIRST_COLUMN_S
        self.busy: list[list[float]] = []  # worker's number -> busy seconds of each column
        self.spans: list[list[Any]] = []
        self._spans_of: dict[int, list[tuple[int, list[Any]]]] = {}  # worker's number -> its own of those, each with its place
        self.complete = True  # no unit is missing from `spans`
        self.times = [0] * BUCKETS
        self.shortest_s, self.longest_s = math.inf, 0.0
        self.widened = False  # every worker's columns have changed
        self._dirty = False
        self._chunks: dict[int, None] = {}

    def ran(self, worker: int, indices: Sequence[int], seconds: Sequence[float], began_s: float, ended_s: float) -> None:
        """A unit came back. seconds: of each block, as the worker claims them; the unit lay within began to ended."""
        self._dirty = True
        for one in seconds:
            self.times[bucket(one)] += 1
            self.shortest_s, self.longest_s = min(self.shortest_s, one), max(self.longest_s, one)
        began_s = max(0.0, began_s, ended_s - sum(seconds))
        self._fill(worker, began_s, ended_s)
        if len(self.spans) >= SPANS_MAX:
            self.complete = False
            return
        self._chunks[len(self.spans) // SPANS_A_RECORD] = None
        self._append([worker, indices[0], len(indices), began_s, ended_s, 0])

    def _append(self, span: list[Any]) -> None:
        self._spans_of.setdefault(span[0], []).append((len(self.spans), span))
        self.spans.append(span)

    def disputed(self, worker: int, index: int) -> None:
        """A replica turned out to be wrong: the unit it came in says so."""
        for place, span in reversed(self._spans_of.get(worker, ())):
            if span[1] <= index < span[1] + span[2]:
                span[5] += 1
                self._chunks[place // SPANS_A_RECORD] = None
                return

    def _fill(self, worker: int, began_s: float, ended_s: float) -> None:
        while ended_s >= COLUMNS * self.column_s:
            self.column_s *= 2
            self.busy = [[sum(line[at : at + 2]) for at in range(0, len(line), 2)] for line in self.busy]
            self.widened = True
        while len(self.busy) <= worker:
            self.busy.append([])
        line, width = self.busy[worker], self.column_s
        line += [0.0] * (int(ended_s / width) + 1 - len(line))
        for column in range(int(began_s / width), int(ended_s / width) + 1):
            line[column] += max(0.0, min(ended_s, (column + 1) * width) - max(began_s, column * width))

    # -- kept ---------------------------------------------------------------------------------------------------------

    def puts(self, job: JobId) -> Iterator[Put]:
        """What has changed since the last time."""
        if self._dirty:
            gauge = [self.column_s, self.times, self.shortest_s, self.longest_s, self.complete]
            yield Put(SPACE, job + _GAUGE, records.pack(gauge))
        for chunk in self._chunks:
            rows = self.spans[chunk * SPANS_A_RECORD : (chunk + 1) * SPANS_A_RECORD]
            yield Put(SPACE, job + _SPANS + u32(chunk), records.pack(rows))
        self._dirty, self.widened = False, False
        self._chunks = {}

    def load(self, journal: Journal, job: JobId) -> None:
        """What a life before a restart saw; the workers' columns come with their lines."""
        gauge = journal.get(SPACE, job + _GAUGE)
        if gauge is not None:
            self.column_s, times, self.shortest_s, self.longest_s, self.complete = records.load(gauge)
            self.times = times if len(times) == BUCKETS else self.times  # written by a version with other buckets
        for _, rows in journal.scan(SPACE, job + _SPANS):
            for span in records.load(rows):
                self._append(span)


def bucket(seconds: float) -> int:
    """Which bucket of the histogram: eight to a decade."""
    if not seconds > SHORTEST_S:
        return 0
    return min(BUCKETS - 1, 1 + int(BUCKETS_A_DECADE * math.log10(seconds / SHORTEST_S)))


def bucket_from_s(number: int) -> float:
    """Where a bucket begins."""
    return SHORTEST_S * 10 ** ((number - 1) / BUCKETS_A_DECADE) if number else 0.0
