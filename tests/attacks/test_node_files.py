"""A requester that lies about its job's files, and one whose line breaks in the middle of them."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from ctorrent.model.session import Finished, Interest, NoThanks, Offered
from ctorrent.model.trade import NoReason
from ctorrent.node import stock
from tests.attacks.hostile import Lure, run, until
from tests.attacks.test_node_worker import baited

pytestmark = pytest.mark.real
LARGE = 5 << 20  # more than a blob that is received in memory


async def refusals(lure: Lure, files: dict[str, object], files_bytes: int, wanted: NoReason) -> str:
    """Offer a job, and hear its refusal. -> the words."""
    job = lure.laden(files, files_bytes)
    talk = await lure.asked(job)
    await talk.say(lure.describe(job))
    while True:
        (no,) = (await talk.hear(NoThanks)).reasons
        if no.reason is wanted:
            return no.detail
        assert no.reason is NoReason.FILES, no


DEEP = {f"{number}/" + "d/" * 60 + "f": b"" for number in range(200)}
LIES: dict[str, tuple[Callable[[Lure], tuple[dict[str, object], int]], NoReason, str]] = {
    "more than the manifest says": (lambda lure: ({"x": [lure.code(b"abc"), 3]}, 2), NoReason.OTHER, "says 2 bytes of files, and lists 3"),
    "smaller than listed": (lambda lure: ({"x": [lure.code(b"abc"), 7]}, 7), NoReason.OTHER, "lists a file of 7 bytes, which has 3"),
    "larger than listed": (
        lambda lure: ({"x": [lure.code(b"abc"), 1], "y": [lure.code(b"d" * 90), 90]}, 91), NoReason.OTHER, "lists a file of 1 bytes, which has 3",
    ),
    "more folders than files may be": (lambda lure: ({"x": [lure.code(b"abc"), 3], **DEEP}, 3), NoReason.OTHER, "in more than 10000 folders"),
    "a name that leads out": (lambda lure: ({"../x": [lure.code(b"abc"), 3]}, 3), NoReason.OTHER, "not inside its folder"),
    "more than any job may": (lambda lure: ({"x": [lure.code(b"abc"), 1 << 50]}, 1 << 50), NoReason.OTHER, "at most 17179869184"),
    "more than the owner lends": (lambda lure: ({"x": [lure.code(b"abc"), 3 << 30]}, 3 << 30), NoReason.DISK, ": 3.2 GB wanted, "),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_files_that_are_not_what_was_said(lie: str) -> None:
    make, reason, words = LIES[lie]

    async def main() -> None:
        async with baited(disk_bytes=1 << 30) as (siege, lure):
            said = await refusals(lure, *make(lure), reason)
            assert words in said, said
            assert not list((siege.folder).rglob("trees/*/*")), "nothing was laid out"

    run(main)


def test_no_file_comes_that_is_larger_than_it_was_said_to_be() -> None:
    """Beside one that may be as large."""

    async def main() -> None:
        async with baited() as (siege, lure):
            hidden, listed = lure.code(os.urandom(LARGE)), lure.code(os.urandom(LARGE))
            said = await refusals(lure, {"hidden": [hidden, 1], "listed": [listed, LARGE]}, LARGE + 1, NoReason.OTHER)
            assert f"lists a file of 1 bytes, which has {LARGE}" in said
            blobs = siege.victim.world.blobs
            assert blobs.size(hidden) is None and blobs.partial(hidden) == 0
            assert siege.points(lure.eve) >= 15

    run(main)


def test_strangers_files_leave_the_disk_to_friends() -> None:
    async def main() -> None:
        async with baited(friend=False, strangers_in_jail=True, disk_bytes=32 << 20) as (siege, lure):
            first = lure.laden({"weights.bin": [lure.code(os.urandom(LARGE)), LARGE]}, LARGE, price_max=100.0)
            talk = await lure.asked(first)
            await talk.say(lure.describe(first))
            while not isinstance(await talk.hear((Interest, NoThanks)), Interest):  # type: ignore[arg-type]
                pass
            second = lure.laden({"weights.bin": [lure.code(os.urandom(LARGE)), LARGE]}, LARGE, price_max=100.0)
            assert lure.hears(lure.announcement(second))
            assert (await talk.hear(Interest)).job == second.id
            await talk.say(lure.describe(second))
            (no,) = (await talk.hear(NoThanks)).reasons
            assert no.reason is NoReason.BUSY and "other strangers' jobs" in no.detail, no
            await talk.say(Finished(first.id))
            await until(lambda: not siege.victim.worker._stock._deliveries)
            third = lure.laden({"weights.bin": [lure.code(os.urandom(LARGE)), LARGE]}, LARGE, price_max=100.0)
            assert lure.hears(lure.announcement(third))
            while (await talk.hear(Interest)).job != third.id:
                pass
            await talk.say(lure.describe(third))
            while (said := await talk.hear(NoThanks)).job != third.id:
                pass
            assert said.reasons[0].reason is NoReason.FILES, said

    run(main)


def test_a_line_that_breaks_is_resumed_where_it_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "PAUSES_S", (0.05,) * 20)

    async def main() -> None:
        async with baited() as (siege, lure):
            data = os.urandom(LARGE)
            job = lure.laden({"weights.bin": [lure.code(data), LARGE]}, LARGE)
            large = lure.code(data)
            talk = await lure.asked(job)
            lure.cut_after = 2 << 20
            lure.requests.clear()
            await talk.say(lure.describe(job))
            await talk.hear(NoThanks)
            while not isinstance(await talk.hear((Interest, NoThanks)), Interest):  # type: ignore[arg-type]
                pass
            offsets = [offset for blob, offset in lure.requests if blob == large]
            assert offsets[0] == 0 and len(offsets) == 2 and 1 << 20 <= offsets[1] <= 2 << 20, offsets
            await talk.say(lure.describe(job))
            await talk.hear(Offered)
            assert siege.points(lure.eve) == 0

    run(main)


def test_garbage_is_charged_and_what_was_kept_of_it_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "PAUSES_S", (0.05,) * 3)

    async def main() -> None:
        async with baited() as (siege, lure):
            data = os.urandom(LARGE)
            large = lure.code(data)
            lure.blobs[large] = bytes(LARGE)
            job = lure.laden({"weights.bin": [large, LARGE]}, LARGE)
            talk = await lure.asked(job)
            await talk.say(lure.describe(job))
            await talk.hear(NoThanks)
            await until(lambda: siege.points(lure.eve) >= 10)
            assert not siege.victim.world.blobs.partial(large)

    run(main)


def test_a_job_that_is_over_is_not_fetched_for_any_more() -> None:
    async def main() -> None:
        async with baited() as (siege, lure):
            lure.pause_s = 0.3
            job = lure.laden({"weights.bin": [lure.code(os.urandom(LARGE)), LARGE]}, LARGE)
            talk = await lure.asked(job)
            await talk.say(lure.describe(job))
            await talk.hear(NoThanks)
            await until(lambda: len(lure.requests) >= 2)
            await talk.say(Finished(job.id))
            await until(lambda: not siege.victim.worker._stock._deliveries)

    run(main)
