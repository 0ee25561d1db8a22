"""What the door tells of the present moment: events, offers, the pool, lending switched, files added, numbers."""

from __future__ import annotations

import json
import logging
import math
from contextlib import aclosing
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import trio

from ctorrent.cli import people, top_lines
from ctorrent.door import Plain
from ctorrent.errors import JobFileError, LocalError, Unavailable
from ctorrent.model.ids import Digest
from ctorrent.node import livefeed
from ctorrent.node.nodelog import _Json
from ctorrent.node.submission import Submission
from ctorrent.testing import simulate
from ctorrent.testing.fake_hardware import machine
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import Member, ended, open_swarm

from .test_stories import SLOW, friends, submit, until

_NAMES = ("slots", "slots_free", "memory_bytes", "cores", "gpus", "gpus_lent", "price", "pythons", "isolation", "cpu", "gflops", "work_for")
HOSTILE_OFFERS: tuple[Plain, ...] = (
    *(dict.fromkeys(_NAMES, value) for value in ("\x1b[2J\u202e", math.nan, math.inf, -1, 1e308, (1 << 64) - 1, [], [[1]], ["\x1b[2J"], {}, {"a": 1}, None, b"x", True)),
    {"cores": 4}, {"slots_free": 2}, {"cores": 4, "pythons": 3.11},
)  # fmt: skip


class Follower:
    """Reads a node's events into a list, with the moment each came."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self.events: list[tuple[float, Plain]] = []
        self.reading = trio.Event()
        self.reading.set()

    async def run(self) -> None:
        async with aclosing(self._member.node.door.events()) as events:  # type: ignore[type-var]
            async for event in events:
                self.events.append((trio.current_time(), event))
                await self.reading.wait()

    def of(self, kind: str) -> list[Plain]:
        return [event for _, event in self.events if event["kind"] == kind]

    def shows(self, machines: int) -> bool:
        return bool(self.last("pool")["machines"] == machines)

    def last(self, kind: str) -> Any:
        found = self.of(kind)
        return found[-1][kind] if found else None


def test_events_begin_with_what_is_and_tell_a_job_to_its_end() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm, trio.open_nursery() as nursery:
            ann, *_ = await friends(swarm, "ann", "ben", "cat", behaviour=SLOW)
            before = await submit(ann, 2)
            await ended(ann, before)
            follower = Follower(ann)
            nursery.start_soon(follower.run)
            await until(lambda: {event["kind"] for _, event in follower.events} >= {"job", "peers", "machine", "pool"})
            assert follower.last("job")["state"] == "settled" and follower.last("pool")["machines"] == 3
            job = await submit(ann, 30)
            await ended(ann, job)
            over = trio.current_time()
            await until(lambda: follower.last("job")["state"] == "settled")
            assert trio.current_time() - over <= 0.25 + 0.06, "and a look of this test"
            at = [when for when, event in follower.events if event["kind"] == "job" and event["job"]["job"] == job]
            assert len(at) > 5 and all(later - one >= livefeed.JOB_S * 0.99 for one, later in pairwise(at[1:]))
            assert all("report" not in event["job"] for event in follower.of("job"))
            assert [event["job"]["settled"] for event in follower.of("job")][-1] == 30
            await ann.node.retention.forget(ann.node.requester.find(job))
            await until(lambda: follower.of("gone"))
            assert follower.of("gone") == [{"kind": "gone", "job": job}]
            nursery.cancel_scope.cancel()

    simulate.run(1, main)


def test_a_slow_reader_misses_states_between_and_never_the_last() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm, trio.open_nursery() as nursery:
            ann, *_ = await friends(swarm, "ann", "ben", behaviour=SLOW)
            slow, quick = Follower(ann), Follower(ann)
            for one in (slow, quick):
                nursery.start_soon(one.run)
            await until(lambda: slow.last("pool") and quick.last("pool"))
            slow.reading = trio.Event()
            job = await submit(ann, 40)
            await ended(ann, job)
            await until(lambda: quick.last("job")["state"] == "settled")
            slow.reading.set()
            await until(lambda: slow.last("job") and slow.last("job")["state"] == "settled")
            assert len(slow.of("job")) <= 3 < len(quick.of("job"))
            nursery.cancel_scope.cancel()

    simulate.run(2, main)


def test_nobody_listening_costs_nothing_and_too_many_are_refused() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm, trio.open_nursery() as nursery:
            (ann,) = await friends(swarm, "ann")
            await trio.sleep(100)
            idle = ann.hardware.samples
            assert idle <= 12, "one in ten seconds"
            for _ in range(livefeed.FOLLOWERS_MAX):
                nursery.start_soon(Follower(ann).run)
            await until(lambda: len(ann.node.live.feed) == livefeed.FOLLOWERS_MAX)
            with pytest.raises(Unavailable, match="follow this node already"):
                await Follower(ann).run()
            await trio.sleep(20)
            assert ann.hardware.samples - idle <= 24, "one sampler for all"
            nursery.cancel_scope.cancel()
        assert len(ann.node.live.feed) == 0

    simulate.run(3, main)


def test_the_pool_is_who_would_work_for_me_and_follows_their_coming_and_going() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm, trio.open_nursery() as nursery:
            ann, ben, cat = await friends(swarm, "ann", "ben", "cat", work_for="friends", hardware=machine(8, 16, gpus=2))
            follower = Follower(ann)
            nursery.start_soon(follower.run)
            await until(lambda: follower.last("pool"))
            eve = await swarm.add("eve", work_for="friends")  # a stranger, who works for friends
            swarm.net.mesh()
            await until(lambda: follower.last("pool")["machines"] == 3)
            pool = await ann.node.door.pool()
            assert (pool["slots"], pool["gpus"], pool["gpu_memory_bytes"]) == (12, 6, 6 * 140 << 30)
            assert {row["name"]: row["friend"] for row in await ann.node.door.offers()} == {"ann": True, "ben": True, "cat": True, "eve": False}
            for what, left in ((ben.node.door.share(False), 2), (ben.node.door.share(True), 3), (swarm.crash(cat), 2)):
                await what
                at = trio.current_time()
                await until(partial(follower.shows, left))
                assert trio.current_time() - at < 3.0
            rows = {row["name"]: row for row in await ann.node.door.offers()}
            assert rows["ann"]["local"] and rows["ben"]["gpus"][0] == {"name": "Fake H200", "memory_bytes": 140 << 30}
            assert not rows["cat"]["connected"] and eve.alive
            nursery.cancel_scope.cancel()

    simulate.run(4, main)


def test_who_was_asked_and_has_not_accepted_lends_nothing_yet() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm, trio.open_nursery() as nursery:
            ann, ben = [await swarm.add(name, work_for="friends", hardware=machine(8, 16)) for name in ("ann", "ben")]
            swarm.net.mesh()
            follower = Follower(ann)
            nursery.start_soon(follower.run)

            def row() -> Plain:
                found: Plain = next((peer for peer in follower.last("peers") or [] if peer["node"] == ben.id), {})
                return found

            await until(lambda: row().get("owner") == ben.owner)
            assert (await ann.node.door.friend_add(ben.owner))["told"] == 1
            await until(lambda: row()["friend"] and not row()["accepted"])
            assert (await ann.node.door.pool())["machines"] == 1
            await trio.sleep(30)
            assert not row()["accepted"] and (await ann.node.door.pool())["machines"] == 1, "whatever time goes by"
            await ben.node.door.friend_add(ann.owner)
            await until(lambda: row()["accepted"])
            assert (await ann.node.door.pool())["machines"] == 2
            await ben.node.door.friend_remove(ann.owner)
            await until(lambda: not row()["accepted"])
            await until(partial(follower.shows, 1))
            nursery.cancel_scope.cancel()

    simulate.run(5, main)


def test_an_invite_makes_friends_of_those_who_met_as_strangers() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben = [await swarm.add(name, work_for="friends", hardware=machine(8, 16)) for name in ("ann", "ben")]
            swarm.net.mesh()
            for one, other in ((ann, ben), (ben, ann)):
                await one.node.live.neighbours.meet([other.id])
            await ben.node.gate.join(await ann.node.door.invite(1, 3600))
            for one in (ann, ben):
                rows = one.node.live.neighbours.peers
                await until(lambda rows=rows: [(peer["friend"], peer["accepted"]) for peer in rows()] == [(True, True)])

    simulate.run(6, main)


def test_what_a_peer_claims_is_shown_as_a_number_or_not_at_all() -> None:
    from ctorrent.canon import encode

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben = await friends(swarm, "ann", "ben")
            claims = {"slots": 1 << 62, "slots_free": -5, "memory_bytes": "much", "cores": 1e300, "gpus": ["x" * 80] * 99, "gpus_lent": 1 << 40, "price": -1.0}
            ann.node.people.offers[ben.id] = encode(claims)
            (_, row) = await ann.node.door.offers()
            assert (row["slots_free"], row["memory_bytes"], row["cores"], row["gpus"], row["price"]) == (0, 0, 0, [], 0.0)
            json.dumps([row, await ann.node.door.pool()], allow_nan=False)
            for hostile in (*HOSTILE_OFFERS, claims):
                ann.node.people.offers[ben.id] = encode(hostile)
                for peer in await ann.node.door.peers():  # `ctorrent peers` and `top` show it, net.map asks for Pythons
                    shown = "".join([*map(str, people._peer(peer)), str(top_lines._peer(peer)), *peer.get("offer", {}).get("pythons", [])])
                    assert "\x1b" not in shown and "\u202e" not in shown, hostile

    simulate.run(5, main)


def test_lending_off_gives_blocks_back_and_the_job_ends_elsewhere() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann", work=False)
            ben = await swarm.add("ben", behaviour=Behaviour(block_s=(50.0, 60.0)))
            await swarm.befriend(ann, ben)
            swarm.net.mesh()
            job = await submit(ann, 8, "verify: {replicas: 1}\n")
            await until(lambda: ben.node.share.slots_free == 0)
            working = await ben.node.door.machine()
            assert working["works_for"][0]["name"] == "ann" and working["works_for"][0]["blocks"] > 0
            at = trio.current_time()
            found = await ben.node.door.share(False)
            assert trio.current_time() - at < 2.0
            assert not found["sharing"] and found["works_for"] == [] and ben.sandbox.running == ben.sandbox.open_cells == 0
            await trio.sleep(60)
            assert (await ben.node.door.machine())["works_for"] == [], "and takes nothing while it is off"
            blocks = await ann.node.door.blocks(job)
            assert {row[1] for row in blocks["changed"]} == {"waiting"}
            cat = await swarm.add("cat")
            await swarm.befriend(ann, cat)
            swarm.net.mesh()
            assert (await ended(ann, job))["state"] == "settled"
            again = await submit(ann, 4, "verify: {replicas: 2}\n")
            await trio.sleep(5)
            await ben.node.door.share(True)
            await until(lambda: ben.node.worker.engagements)
            assert (await ended(ann, again))["state"] == "settled"

    simulate.run(6, main)


def test_a_retry_is_the_same_job_again_with_the_same_values() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, *_ = await friends(swarm, "ann", "ben")
            job = await submit(ann, 6)
            await ended(ann, job)
            again = await ann.node.door.retry(job)
            assert again != job and (await ended(ann, again))["state"] == "settled"
            values = [[row["value"] for row in await ann.node.door.results(one)] for one in (job, again)]
            assert values[0] == values[1]
            await swarm.crash(ann)
            await swarm.start(ann)
            swarm.net.mesh()
            third = await ann.node.door.retry(again)
            assert (await ended(ann, third))["settled"] == 6
            maps = [await ann.node.door.blocks(one) for one in (again, third)]
            assert all([row[1] for row in found["changed"]] == ["settled"] * 6 for found in maps)
            record = ann.node.requester.find(third)
            await ann.node.retention.forget(ann.node.requester.find(again))
            for blob in (record.job.manifest.program.code,):
                ann.blobs.unpin(blob, f"job {job}")
                ann.blobs.unpin(blob, f"job {third}")
                ann.blobs.discard(blob)
            with pytest.raises(LocalError, match="not kept any more"):
                await ann.node.door.retry(third)

    simulate.run(7, main)


def test_added_files_outlive_tidying_and_restarts_until_they_are_removed() -> None:
    path = "/data/iris data.csv"

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            (ann,) = await friends(swarm, "ann")
            ann.blobs.files[path] = b"a,b\n1,2\n"
            door = ann.node.door
            row = await door.blob_add(path)
            assert row["name"] == "iris data.csv" and row["bytes"] == 8 and await door.blobs() == [row]
            named = await door.blob_add(path, "train\n\x1b[2J")
            assert named["hash"] == row["hash"] and "\x1b" not in named["name"] and len(await door.blobs()) == 1
            await door.gc()
            await swarm.crash(ann)
            await swarm.start(ann)
            door = ann.node.door
            await door.gc()
            for which in (named["name"], row["hash"], row["hash"][:8]):
                assert (await door.blob_find(which))["hash"] == row["hash"]
            for wrong in ("", "nope", row["hash"][:4], "../../etc/passwd"):
                with pytest.raises(LocalError, match="was added here"):
                    await door.blob_find(wrong)
            with pytest.raises(LocalError, match="full path"):
                await door.blob_add("iris.csv")
            with pytest.raises(LocalError, match="cannot be read"):
                await door.blob_add("/data/missing")
            assert (await door.blob_remove(named["name"]))["hash"] == row["hash"]
            assert await door.blobs() == [] and ann.blobs.size(Digest(bytes.fromhex(row["hash"]))) is None
            for turn in range(3):  # in one second
                ann.blobs.files[path] = b"turn %d" % turn
                newest = await door.blob_add(path)
            assert (await door.blob_find("iris data.csv"))["hash"] == newest["hash"] == (await door.blobs())[0]["hash"]

    simulate.run(8, main)


def test_the_machine_shows_rates_and_a_bounded_past() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm, trio.open_nursery() as nursery:
            (ann,) = await friends(swarm, "ann", hardware=machine(4, 8, gpus=1))
            nursery.start_soon(Follower(ann).run)
            await trio.sleep(400)
            found = await ann.node.door.machine()
            assert len(found["history"]) == 300 and all(len(row) == 6 for row in found["history"])
            assert found["net_in_bytes_s"] == pytest.approx(1000, rel=0.01) and found["net_out_bytes_s"] == pytest.approx(2000, rel=0.01)
            assert found["cpu"] == 0.25 and found["gpus"][0]["memory_bytes"] == 140 << 30 and found["lends"]["gpus"] == 1
            assert found["history"][-1][0] - found["history"][0][0] == pytest.approx(299, abs=5)
            nursery.cancel_scope.cancel()

    simulate.run(9, main)


def test_every_line_about_a_job_names_it(caplog: pytest.LogCaptureFixture) -> None:
    form, lines = _Json(), list[Plain]()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(form.format(record)))

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, *_ = await friends(swarm, "ann", "ben", "eve")
            job = await submit(ann, 6)
            await ended(ann, job)

    ours, keep = logging.getLogger("ctorrent"), Keep()
    before = ours.level
    ours.addHandler(keep)
    ours.setLevel(logging.INFO)
    try:
        simulate.run(10, main)
    finally:
        ours.removeHandler(keep)
        ours.setLevel(before)
    about = [line for line in lines if line["message"].startswith("job ")]
    assert about and all(line["message"].split()[1].rstrip(":") == line["job"] for line in about)
    assert any(line["logger"] == "ctorrent.node.worker" for line in about) and any(line["logger"] == "ctorrent.node.requester" for line in about)
    assert all(set(line) <= {"time", "level", "logger", "message", "job", "error"} for line in lines)


def test_a_job_file_of_brackets_does_not_stop_the_node() -> None:
    """The parser takes seconds for it."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await trio.sleep(0.02)
            ticks += 1

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            with pytest.raises(JobFileError, match="nested too deeply"):
                await Submission._parsed("{" * 1150, "job.yaml")
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert ticks >= 3
