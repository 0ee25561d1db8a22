"""What a report is drawn from: bounded, and the same over restarts of the requester."""

from __future__ import annotations

import random

import trio

from ctorrent.canon import decode
from ctorrent.model.ids import Digest, JobId
from ctorrent.node.timeline import BUCKETS, COLUMNS, SPANS_MAX, Timeline, bucket, bucket_from_s
from ctorrent.testing import simulate
from ctorrent.testing.fake_journal import FakeJournal
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import ended, open_swarm
from tests.node.test_stories import SLOW, friends, submit

JOB = JobId(Digest(b"j" * 32))


def test_a_long_job_stays_small_and_loses_no_second() -> None:
    line, dice, busy = Timeline(), random.Random(1), [0.0, 0.0, 0.0]
    at = 0.0
    for unit in range(10_000):
        at += dice.uniform(0, 2)
        took = dice.uniform(0, min(at, 3))
        line.ran(unit % 3, [unit], [took], at - took, at)
        busy[unit % 3] += took
    assert len(line.spans) == SPANS_MAX and not line.complete
    assert all(len(columns) <= COLUMNS for columns in line.busy)
    assert all(abs(sum(columns) - seconds) < 1e-6 * seconds for columns, seconds in zip(line.busy, busy, strict=True))
    assert sum(line.times) == 10_000
    records = list(line.puts(JOB))
    assert sum(len(put.value) for put in records) < 200_000


def test_what_is_kept_is_what_was_there() -> None:
    async def main() -> None:
        journal, line = FakeJournal(), Timeline()
        for unit in range(200):
            line.ran(unit % 2, [2 * unit, 2 * unit + 1], [0.1, 0.2], unit * 0.2, unit * 0.2 + 0.4)
            await journal.commit(list(line.puts(JOB)))
        line.disputed(1, 7)
        later = list(line.puts(JOB))
        assert len(later) == 1 and decode(later[0].value)[3] == [1, 6, 2, 0.7, 1.0, 1]
        await journal.commit(later)
        again = Timeline()
        again.load(journal, JOB)
        assert (again.spans, again.times, again.column_s) == (line.spans, line.times, line.column_s)

    trio.run(main)


def test_buckets_cover_every_time() -> None:
    for number in range(1, BUCKETS - 1):
        middle = (bucket_from_s(number) * bucket_from_s(number + 1)) ** 0.5
        assert bucket(middle) == number
    assert bucket(0.0) == bucket(-1.0) == bucket(float("nan")) == 0
    assert bucket(1e300) == BUCKETS - 1


def test_a_report_tells_of_the_whole_job_after_its_requester_died_and_came_back() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, _, eve = await friends(swarm, "ann", "ben", "cat", behaviour=SLOW)
            eve.sandbox.behaviour = Behaviour(block_s=(1.0, 2.0), lie=0.3)
            job = await submit(ann, 60)
            door = ann.node.door
            while (await door.job(job))["settled"] < 20:  # noqa: ASYNC110 - nothing signals it
                await trio.sleep(0.1)
            before = await door.timeline(job)
            await swarm.crash(ann)
            await swarm.start(ann)
            after = await ann.node.door.timeline(job)
            assert after["spans"][: len(before["spans"]) - 10] == before["spans"][: len(before["spans"]) - 10]
            swarm.net.mesh()
            status = await ended(ann, job)
            found = await ann.node.door.timeline(job)
            tallies = [row["body"] for row in await ann.node.door.ledger() if row["kind"] == "tally"]
            for worker in found["workers"]:
                for verdict in ("agreed", "disputed", "invalid"):
                    written = sum(tally[verdict] for tally in tallies if tally["worker"] == worker["node"])
                    assert worker[verdict] == written, "the report and the ledger tell the same story"
            assert sum(worker["agreed"] for worker in status["workers"]) > 60
            assert abs(sum(map(sum, (w["busy"] for w in found["workers"]))) - sum(s[4] - s[3] for s in found["spans"])) < 1e-3
            assert all(0 <= span[3] <= span[4] <= status["elapsed_s"] + 1 for span in found["spans"])
            assert status["report"]["all_s"] >= status["report"]["block_s"] > 0

    for seed in range(3):
        simulate.run(seed, main)


def test_a_clock_that_lies_is_believed_as_far_as_the_requester_s_own_allows() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, _ = await friends(swarm, "ann", "ben", behaviour=SLOW)
            job = await submit(ann, 6)
            status = await ended(ann, job)
            for worker in (await ann.node.door.timeline(job))["workers"]:
                assert worker["busy_s"] <= status["elapsed_s"] * 8

    simulate.run(4, main)


