"""A job's board in the journal, so that a report tells of the whole job and not of the requester's last life.

    space `seen`, beside what timeline.py keeps there:
    job ‖ 01 ‖ u32     a worker's line, by its number
    job ‖ 03           [replicas, assignments, leases that ran out, coalesce, disputes_total]
    job ‖ 04           [disputes, failures, notes], as many as a report shows

Written with the blocks they led to, in one commit: after a kill, verdicts and settled blocks tell the same story.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from ctorrent.model.ids import JobId
from ctorrent.model.job import Assurance, Isolation, Manifest, Verify
from ctorrent.model.result import Verdict
from ctorrent.model.status import Timeline as TimelineMap
from ctorrent.model.status import TimelineWorker
from ctorrent.node import records
from ctorrent.node.progress import Progress, WorkerLine
from ctorrent.node.records import u32
from ctorrent.node.timeline import BUCKETS, SPACE, bucket_from_s
from ctorrent.ports import Journal, Put

ABOUT_CHARS = 400  # of one line about a job: a command may be long

_LINE, _COUNTS, _NOTES = b"\x01", b"\x03", b"\x04"


def puts(job: JobId, board: Progress) -> Iterator[Put]:
    """What has changed since the last time."""
    lines = list(board.workers.values()) if board.timeline.widened else [board.workers[node] for node in sorted(board.changed)]
    yield from board.timeline.puts(job)
    for line in lines:
        yield Put(SPACE, job + _LINE + u32(line.number), records.pack(_pack(line, board)))
    board.changed.clear()
    counts = [board.replicas, board.assignments, board.expired, board.coalesce, board.disputes_total]
    yield Put(SPACE, job + _COUNTS, records.pack(counts))
    if (notes := _notes(board)) != board.noted:
        board.noted = notes
        yield Put(SPACE, job + _NOTES, records.pack([[dict(one) for one in board.disputes], board.failures, board.said]))


def first_note(job: JobId, words: str) -> Put:
    """What its person should know of a job that is only about to begin."""
    return Put(SPACE, job + _NOTES, records.pack([[], [], [words]]))


def has_notes(board: Progress) -> bool:
    """Is there anything for its person that the journal does not hold?"""
    return _notes(board) != board.noted


def _notes(board: Progress) -> int:
    return len(board.disputes) + len(board.failures) + len(board.said)


def _pack(line: WorkerLine, board: Progress) -> list[Any]:
    busy = board.timeline.busy[line.number] if line.number < len(board.timeline.busy) else []
    verdicts = [[verdict.value, count] for verdict, count in line.verdicts.items()]
    return [
        line.node, line.name, line.owner, line.isolation.value, line.local, line.done, verdicts, line.busy_s, line.cpu_s,
        float(line.price), float(line.gflops), busy,
    ]  # fmt: skip


def load(journal: Journal, job: JobId, board: Progress) -> None:
    """What lives before a restart saw. Workers are lost until they come back."""
    board.timeline.load(journal, job)
    for key, value in journal.scan(SPACE, job + _LINE):
        node, name, owner, level, local, done, verdicts, busy_s, cpu_s, price, gflops, busy = records.load(value)
        counted = {Verdict(verdict): count for verdict, count in verdicts}
        number = int.from_bytes(key[-4:], "big")
        board.workers[node] = WorkerLine(
            node, name, owner, Isolation(level), local, "lost", {}, done, counted, busy_s, cpu_s, price, gflops, number
        )
        while len(board.timeline.busy) <= number:
            board.timeline.busy.append([])
        board.timeline.busy[number] = busy
    if (counts := journal.get(SPACE, job + _COUNTS)) is not None:
        board.replicas, board.assignments, board.expired, board.coalesce, board.disputes_total = records.load(counts)
    if (notes := journal.get(SPACE, job + _NOTES)) is not None:
        disputes, failures, *said = records.load(notes)  # said: not in one of an older version
        board.said = said[0] if said else []
        board.disputes, board.failures = disputes, [(index, why) for index, why in failures]
        board.noted = _notes(board)


def _verified(verify: Verify) -> str:
    if verify.replicas < 2:
        return f"its check {verify.check} alone: one replica" if verify.check else "nobody: one replica"
    who = "2 owners, or one known for its work" if verify.assurance is Assurance.ECONOMY else f"{verify.replicas} owners"
    return f"{who}, {verify.equal.name.lower()} comparison" + (f", and its check {verify.check}" if verify.check else "")


def _about(manifest: Manifest) -> list[list[str]]:
    """What a job is, as its requester signed it: (name, words)."""
    program, where, needs, verify = manifest.program, manifest.environment, manifest.needs, manifest.verify
    found = [
        ["program", program.entry or shlex.join(program.argv)], ["reduced by", program.reduce], ["its files", program.outputs],
        ["python", where.python], ["packages", ", ".join(where.packages)], ["programs", ", ".join(where.programs)], ["image", where.image],
        ["each block may use", f"{_cores(needs.cpu)}, {needs.memory_bytes >> 20} MiB, {manifest.limits.block_s:g} s" + (f", {needs.gpu} GPUs" if needs.gpu else "")],
        ["isolation at least", needs.isolation.name.lower()], ["ring", manifest.ring.kind.name.lower()],
        ["verified by", _verified(verify)],
    ]  # fmt: skip
    return [[name, words[:ABOUT_CHARS]] for name, words in found if words]


def _cores(count: int) -> str:
    return f"{count} core{'' if count == 1 else 's'}"


def shown(board: Progress) -> TimelineMap:
    """The map for faces."""
    line = board.timeline
    seen_any = line.longest_s > 0 or any(line.times)
    return TimelineMap(
        workers=[_worker(worker, board) for worker in board.workers.values()],
        column_s=line.column_s, spans=[list(span) for span in line.spans], complete=line.complete,
        times=[[bucket_from_s(n), bucket_from_s(n + 1), line.times[n]] for n in range(BUCKETS) if line.times[n]],
        shortest_s=line.shortest_s if seen_any else 0.0, longest_s=line.longest_s,
        failures=[[index, why] for index, why in board.failures], about=_about(board.record.job.manifest),
    )  # fmt: skip


def _worker(line: WorkerLine, board: Progress) -> TimelineWorker:
    busy = board.timeline.busy[line.number] if line.number < len(board.timeline.busy) else []
    return TimelineWorker(
        number=line.number, node=line.node, name=line.name, owner=line.owner, local=line.local, done=line.done,
        isolation=line.isolation.name.lower(), agreed=line.verdicts.get(Verdict.AGREED, 0),
        disputed=line.verdicts.get(Verdict.DISPUTED, 0), invalid=line.verdicts.get(Verdict.INVALID, 0),
        busy_s=line.busy_s, cpu_s=line.cpu_s, price=line.price, gflops=line.gflops, busy=list(busy),
    )  # fmt: skip
