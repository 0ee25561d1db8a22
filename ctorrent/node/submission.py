"""From a job file on this disk to a signed, journalled job: nothing is announced before all of it is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

from ctorrent.errors import JobFileError, LocalError
from ctorrent.model.block import Block, InputRef
from ctorrent.model.ids import Digest, JobId, Ring, RingKind
from ctorrent.model.job import Amendment, AmendmentKind, Manifest, SignedManifest
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.people import People
from ctorrent.node.records import block_puts
from ctorrent.node.settings import Settings
from ctorrent.node.world import World
from ctorrent.plan.blocks import Draft, draft_blocks
from ctorrent.plan.code import bundle
from ctorrent.plan.jobfile import JobFile, override, parse_jobfile
from ctorrent.plan.manifest import Circumstances, draft_manifest
from ctorrent.seal import digest, merkle_root
from ctorrent.wire import codec

PARSE_INLINE = 16 << 10  # characters: 0.1 s
BREATHE_EVERY = 256  # blocks planned before other tasks run: ~10 ms


class DiskFolder:
    """plan.folder.Folder on this disk, below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def size(self, path: str) -> int | None:
        found = self._root / path
        return found.stat().st_size if found.is_file() else None

    def read(self, path: str, offset: int = 0, size: int = -1) -> bytes:
        try:
            with (self._root / path).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except OSError as error:
            raise LocalError(f"{self._root / path} cannot be read: {error.strerror}") from None

    def glob(self, pattern: str) -> list[tuple[str, int]]:
        if pattern.startswith("/"):
            raise LocalError(f"{pattern} is absolute", "Patterns are relative to the job file's folder.")
        return [(str(p.relative_to(self._root)), p.stat().st_size) for p in self._root.glob(pattern) if p.is_file()]

    def path(self, path: str) -> str:
        return str(self._root / path)


class Submission:
    """Makes jobs of this node."""

    def __init__(self, settings: Settings, world: World, people: People) -> None:
        self._settings, self._world, self._people = settings, world, people

    async def make(self, path: Path, text: str, options: dict[str, Any]) -> JobRecord:
        """Plan, store what blocks read, sign, journal. Raises JobFileError or LocalError."""
        job = override(await self._parsed(text, path.name), options)
        if not job.name:
            job = replace(job, name=path.stem if path.stem != "job" else path.parent.name)
        folder = DiskFolder(path.parent)
        code = await self._world.blobs.put(bundle(job, folder))
        draw_secret = self._world.clock.random_bytes(32)
        given = Circumstances(
            requester=self._world.node, ring=self._ring(job), code=code, nonce=self._world.clock.random_bytes(16),
            seed=int.from_bytes(self._world.clock.random_bytes(8), "big"),
            draw_hash=_draw_hash(draw_secret), issued_unix_s=self._world.clock.unix(),
        )  # fmt: skip
        manifest = draft_manifest(job, given)
        signed = self._sign(manifest)
        blocks = await self._blocks(job, folder, manifest)
        record = JobRecord(
            signed, draw_secret, self._world.clock.random_bytes(32), self._world.clock.unix(), blocks=blocks,
            own_work=options.get("work") is not False,
        )  # fmt: skip
        record.digest_blocks()
        self._world.blobs.pin(code, f"job {record.name}")
        await self._world.blobs.flush([code])
        await self._keep(record)
        return record

    @staticmethod
    async def _parsed(text: str, name: str) -> JobFile:
        """A job file of megabytes takes the parser seconds: those are not the event loop's."""
        if len(text) <= PARSE_INLINE:
            return parse_jobfile(text, name)
        return await trio.to_thread.run_sync(parse_jobfile, text, name)

    def _sign(self, manifest: Manifest) -> SignedManifest:
        sealed = codec.seal_manifest(manifest, self._world.keys.node)
        return SignedManifest(JobId(digest("ctorrent/job/1", sealed.body)), manifest, sealed)

    async def _keep(self, record: JobRecord) -> None:
        first = Amendment(
            record.id, 1, record.head(), AmendmentKind.BLOCKS, 0, len(record.blocks), merkle_root(list(record.digests))
        )
        amended = record.amend(first, self._world.keys.node)
        await self._world.journal.commit([record.put(), amended, *block_puts(record.id, record.blocks)])

    async def _blocks(self, job: JobFile, folder: DiskFolder, manifest: Manifest) -> list[Block]:
        blocks: list[Block] = []
        drafts: Iterator[Draft] = draft_blocks(job, folder)
        for draft in drafts:
            inputs = tuple([await self._input(folder, piece) for piece in draft.pieces])
            blocks.append(draft.block(manifest.seed, inputs))
            if draft.index % BREATHE_EVERY == 0:
                await trio.lowlevel.checkpoint()
        if not blocks:
            raise JobFileError("the job has no blocks", "Say what there is to do: blocks: {count: 10}.")
        return blocks

    async def _input(self, folder: DiskFolder, piece: Any) -> InputRef:
        if piece.whole:
            blob, size = await self._world.blobs.put_file(folder.path(piece.path))
        else:
            data = piece.read(folder)
            blob, size = await self._world.blobs.put(data), len(data)
        self._world.blobs.pin(blob, "input")
        return InputRef(piece.name, blob, size)

    def _ring(self, job: JobFile) -> Ring:
        """friends by default; swarm: the only one this owner is in beside its own, else its own."""
        if job.ring in (None, "friends"):
            return Ring(RingKind.FRIENDS, self._world.owner)
        if self._settings.friends_only:
            raise LocalError("this node is for friends only", "Start it without --friends-only, or use ring: friends.")
        if job.ring == "public":
            return Ring(RingKind.PUBLIC)
        others = sorted(root for root in self._people.swarms if root != self._world.owner)
        if len(others) > 1:
            raise LocalError(f"you are in {len(others)} swarms: {', '.join(others)}", "Leave all but one, for now.")
        return Ring(RingKind.SWARM, others[0] if others else self._world.owner)


def _draw_hash(secret: bytes) -> Digest:
    return Digest(digest("ctorrent/draw/1", secret))
