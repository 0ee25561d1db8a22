"""What a worker says of packages it lacks, whose it installs, in which order, and locks that mean harm. A real node, a fake pip."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import trio
from packaging.tags import Tag

from ctorrent.canon import encode
from ctorrent.errors import LocalError
from ctorrent.model.identity import PeerIdentity
from ctorrent.model.ids import Digest, JobId, NodeId, Ring, RingKind, node_id
from ctorrent.model.job import Environment, Manifest, Program, ProgramKind, SignedManifest
from ctorrent.model.lock import Lock
from ctorrent.model.trade import No, NoReason
from ctorrent.node.node import Node
from ctorrent.ports import Made
from ctorrent.seal import digest
from ctorrent.wire import codec
from tests.attacks.hostile import standing

pytestmark = pytest.mark.real

LACKS = (No(NoReason.PACKAGES, "sums"),)
ANY = "sums-1.5-py3-none-any.whl"


@dataclass
class Shop:
    """ports.Packages that makes an environment when it is told to."""

    free: int = 1 << 40
    kept: list[Made] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)  # bytes allowed, of each install
    go: trio.Event = field(default_factory=trio.Event)
    broken: str = ""

    def tags(self) -> Collection[Tag]:
        return {Tag("py3", "none", "any")}

    async def resolve(self, packages: tuple[str, ...], prefer: dict[str, str]) -> Lock:
        raise LocalError("no index")

    async def install(self, lock: Lock, digest: bytes, limit_bytes: int, grown: Callable[[int], None]) -> str:
        self.asked.append(limit_bytes)
        grown(5_000_000)
        await self.go.wait()
        if self.broken:
            raise LocalError(self.broken)
        self.kept.append(Made(f"lock-{digest.hex()[:16]}", digest, 1_000_000_000))
        return self.kept[-1].name

    def made(self) -> tuple[Made, ...]:
        return tuple(self.kept)

    def remove(self, name: str) -> None:
        self.kept = [one for one in self.kept if one.name != name]

    def free_bytes(self) -> int:
        return self.free


class Stage:
    """A node with that shop, and what it tells requesters."""

    def __init__(self, node: Node, shop: Shop) -> None:
        self.node, self.shop, self.installs = node, shop, node.installs
        self.told: list[tuple[JobId, No]] = []
        self.asked: list[JobId] = []
        self.installs.say = lambda requester, job, no: self.told.append((job, no))
        self.installs.ask_again = self._again
        self.me = PeerIdentity(node.world.node, node.world.owner, "me", ())

    async def _again(self, requester: NodeId, job: JobId) -> None:
        self.asked.append(job)

    async def job(self, blob: bytes = b"", version: str = "1.5", size: int = 9) -> SignedManifest:
        """A job of this node's that pins sums to this, or whatever `blob` says."""
        world = self.node.world
        lock = await world.blobs.put(blob or lock_blob(size=size, salt=version))
        manifest = Manifest(
            requester=world.node, nonce=world.clock.random_bytes(16), ring=Ring(RingKind.FRIENDS, world.owner),
            program=Program(ProgramKind.PYTHON, Digest(b"c" * 32), "a.py:f"), seed=1, draw_hash=Digest(b"d" * 32),
            issued_unix_s=world.clock.unix(), valid_s=600, environment=Environment(packages=("sums",)), lock=lock,
        )  # fmt: skip
        sealed = codec.seal_manifest(manifest, world.keys.node)
        return SignedManifest(JobId(digest("ctorrent/job/1", sealed.body)), manifest, sealed)

    def consider(self, job: SignedManifest, who: PeerIdentity | None = None) -> str:
        """What is answered at once, in words."""
        (no,) = self.installs.consider(job, who or self.me, LACKS)
        return f"{no.reason.value} {no.detail}"

    async def until(self, look: Callable[[], Any]) -> None:
        with trio.fail_after(20):
            while not look():  # noqa: ASYNC110 - nothing signals it
                await trio.sleep(0.01)

    async def refusal(self, job: SignedManifest) -> str:
        """What comes of it, in the end."""
        self.consider(job)
        await self.until(lambda: [no for one, no in self.told if one == job.id and no.reason is NoReason.PACKAGES])
        return self.told[-1][1].detail


def lock_blob(name: str = "sums", filename: str = ANY, size: int = 9, salt: str = "") -> bytes:
    sha256 = digest("ctorrent/test", salt.encode())
    return encode([1, [[name, "1.5", [[filename, sha256, size]]]]])


@asynccontextmanager
async def stage(folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    async with standing(folder / "node", **settings) as node:
        node.world.packages = shop = Shop()
        yield Stage(node, shop)


def test_one_after_another_and_what_is_said_meanwhile(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as it:
            job, same, other = await it.job(size=38_000_000), await it.job(size=38_000_000), await it.job(size=7_000_000)
            assert it.consider(job) == "is installing sums"
            await it.until(lambda: it.told)
            assert it.told == [(job.id, No(NoReason.INSTALLING, "sums 1.5 (38 MB)"))]
            assert it.consider(same) == "is installing sums 1.5 (38 MB)"
            it.consider(other)
            await it.until(lambda: it.installs.words() == "sums 1.5 (38 MB), 5 MB on disk so far; sums 1.5 (7 MB)")
            assert len(it.shop.asked) == 1
            third = await it.job(size=8)
            assert it.consider(third) == "is busy it is installing other packages"  # two of one requester at once
            it.shop.go.set()
            await it.until(lambda: len(it.asked) == 3)
            assert it.asked == [job.id, same.id, other.id] and it.installs.words() == ""
            assert it.consider(job) == "lacks packages sums: its sandbox takes no packages"  # and no second time

    trio.run(main)


def test_whose_jobs(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as it:
            stranger = PeerIdentity(node_id(b"e" * 32), None, "eve", ())
            job = await it.job()
            assert it.consider(job, stranger) == "lacks packages sums: install it, or allow `install: all`"
            unpinned = replace(job, manifest=replace(job.manifest, lock=b""))
            assert it.consider(unpinned) == "lacks packages sums: install it (the job pins no versions)"
            it.installs._settings = replace(it.node.settings, install="off")
            assert it.consider(job) == "lacks packages sums: install it, or allow `install: friends`"
            it.installs._settings = replace(it.node.settings, install="all")
            assert it.consider(job, stranger) == "is installing sums"
            busy = No(NoReason.BUSY, "cores")
            assert it.installs.consider(await it.job(size=11), it.me, (busy, *LACKS)) == (busy, *LACKS)  # it would not fit anyway

    trio.run(main)


def test_a_failure_is_not_tried_again_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as it:
            it.shop.broken = "No matching distribution found\x1b[31m"
            it.shop.go.set()
            job = await it.job()
            words = "sums: could not install: No matching distribution found\N{REPLACEMENT CHARACTER}[31m"
            assert await it.refusal(job) == words
            assert it.consider(job) == f"lacks packages {words}"
            assert len(it.shop.asked) == 1 and not it.asked
            with pytest.raises(LocalError, match="could not install"):
                await it.installs.have(job, 5.0)

    trio.run(main)


def test_locks_that_mean_harm(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as it:
            it.shop.go.set()
            for blob, words in (
                (b"garbage", "the lock cannot be read"),
                (lock_blob("other", "other-1.5-py3-none-any.whl"), "the job's lock does not hold sums"),
                (lock_blob(filename="sums-1.5-cp399-cp399-win_amd64.whl"), "no wheel of sums 1.5 for this Python"),
                (lock_blob(size=10 * 10**9), "its packages need 25.0 GB of disk, install_bytes allows 8.0 GB"),
            ):
                assert words in await it.refusal(await it.job(blob))
            it.shop.free = 10**9
            assert "the disk has no room for 250 MB" in await it.refusal(await it.job(size=10**8))
            assert not it.shop.asked

    trio.run(main)


def test_environments_not_used_for_longest_make_room(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, install_bytes=3 * 10**9) as it:
            it.shop.go.set()
            it.shop.kept = [Made(name, name.encode(), 10**9) for name in ("lock-used", "lock-old", "lock-new")]
            it.installs.in_use = lambda: ["lock-used"]
            job = await it.job(size=10**8)
            it.consider(job)
            await it.until(lambda: it.asked)
            assert [one.name for one in it.shop.kept[:2]] == ["lock-used", "lock-new"]
            assert it.shop.asked == [10**9 + 10**8]
            it.installs.in_use = lambda: [one.name for one in it.shop.kept]
            assert "the packages of jobs that run now take the room" in await it.refusal(await it.job(size=10**8 + 1))

    trio.run(main)


def test_own_jobs_wait_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as it:
            job = await it.job(size=38_000_000)
            with pytest.raises(LocalError, match="still installing sums"):
                await it.installs.have(job, 0.2)
            it.shop.go.set()
            await it.installs.have(job, 20.0)
            await it.installs.have(job, 20.0)
            assert len(it.shop.asked) == 1

    trio.run(main)
