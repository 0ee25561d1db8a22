"""From a job file on this disk to a signed, journalled job: nothing is announced before all of it is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from ctorrent.errors import JobFileError, LocalError
from ctorrent.model.block import Block, InputRef
from ctorrent.model.ids import Digest, JobId, Ring, RingKind
from ctorrent.model.job import Amendment, AmendmentKind, Manifest, SignedManifest
from ctorrent.node.diskfolder import DiskFolder
from ctorrent.node.jobbook import JobRecord, expected, noted
from ctorrent.node.laxness import worth_asking
from ctorrent.node.packing import Packer
from ctorrent.node.people import People
from ctorrent.node.pinning import Pinning
from ctorrent.node.records import block_puts
from ctorrent.node.settings import Settings
from ctorrent.node.world import World
from ctorrent.plan import codemap
from ctorrent.plan.blocks import Draft, Piece, draft_blocks
from ctorrent.plan.code import listed
from ctorrent.plan.codemap import CodeMap
from ctorrent.plan.jobfile import JobFile, override, parse_jobfile
from ctorrent.plan.manifest import Circumstances, draft_manifest
from ctorrent.plan.outputs import OutputNames
from ctorrent.ports import Put
from ctorrent.seal import digest, merkle_root
from ctorrent.wire import codec

PARSE_INLINE, BRACKETS_INLINE = 16 << 10, 400  # characters, brackets that open (each is held against all others): 0.1 s
SECOND_BYTES_MAX = 64 << 20  # of a second block's inputs, stored for a rehearsal only
BREATHE_EVERY = 256  # blocks planned before other tasks run: ~10 ms


@dataclass(frozen=True, slots=True)
class _Plan:
    """A job file that was read, and what travels with it."""

    job: JobFile
    folder: DiskFolder
    files: CodeMap
    record: JobRecord  # without blocks


class Submission:
    """Makes jobs of this node."""

    def __init__(self, settings: Settings, world: World, people: People) -> None:
        self._settings, self._world, self._people = settings, world, people
        self._packer = Packer(world.blobs)
        self._pinning = Pinning(world)

    async def make(self, path: Path, text: str, options: dict[str, Any]) -> JobRecord:
        """Plan, store what blocks read, sign, journal. Raises JobFileError or LocalError."""
        plan = await self._plan(path, text, options)
        record = plan.record
        record.blocks = await self._blocks(plan.job, plan.folder, record.job.manifest)
        record.expected, record.lax = expected(options), noted(options)
        record.digest_blocks()
        record.files = [*plan.files.large()]
        code = record.job.manifest.program.code
        lock = [Digest(record.job.manifest.lock)] if record.job.manifest.lock else []
        for blob in (code, *lock):
            self._world.blobs.pin(blob, f"job {record.name}")
        await self._world.blobs.flush([code, *lock])
        with trio.CancelScope(shield=True):  # kept and started, or neither: who asked may leave at any moment
            await self._keep(record)
        return record

    async def again(self, old: JobRecord, blocks: Sequence[Block]) -> JobRecord:
        """The same program, blocks, seed and rules as another job, signed anew. Raises LocalError where its files are gone."""
        manifest, blobs = old.job.manifest, self._world.blobs
        wanted = [manifest.program.code, *old.files, *(ref.digest for block in blocks for ref in block.inputs)]
        gone = sum(blobs.size(blob) is None for blob in dict.fromkeys(wanted))
        if gone:
            raise LocalError(f"{gone} of the files of job {old.name} are not kept any more", "Submit its job file again.")
        secret, clock = self._world.clock.random_bytes(32), self._world.clock
        fresh = replace(manifest, nonce=clock.random_bytes(16), draw_hash=_draw_hash(secret), issued_unix_s=clock.unix())
        record = replace(
            old, job=self._sign(fresh), draw_secret=secret, job_secret=clock.random_bytes(32), submitted_unix=clock.unix(), state="waiting",
            reason="", amendments=[], blocks=list(blocks), digests=[], report={}, answer=b"", answer_error="", files=list(old.files),
            growth="",
        )  # fmt: skip
        record.digest_blocks()
        for blob in (manifest.program.code, *([Digest(manifest.lock)] if manifest.lock else []), *old.files):
            blobs.pin(blob, f"job {record.name}")
        for blob in dict.fromkeys(ref.digest for block in blocks for ref in block.inputs):
            blobs.pin(blob, "input")
        with trio.CancelScope(shield=True):
            await self._keep(record)
        return record

    async def sample(self, path: Path, text: str, options: dict[str, Any]) -> tuple[JobRecord, int]:
        """The job with its smallest block alone, never journalled: to be rehearsed. -> that, and how many blocks it has.

        The next smallest, of several the last, comes with it where their results may show that the job's comparison is too wide.
        """
        plan = await self._plan(path, text, options)
        found: list[tuple[tuple[int, int], Draft]] = []  # the smallest and the next
        count = 0
        names = OutputNames(plan.job)
        for draft in draft_blocks(plan.job, plan.folder):
            names.add_draft(draft, plan.record.job.manifest.seed)
            size = (sum(len(piece.head) + piece.size_bytes for piece in draft.pieces), len(draft.params))
            if not found or size < found[0][0]:
                found = [(size, draft), *found[:1]]
            elif len(found) < 2 or size <= found[1][0]:
                found[1:] = [(size, draft)]
            count += 1
            if count % BREATHE_EVERY == 0:
                await trio.lowlevel.checkpoint()
        if not found:
            raise _no_blocks()
        if not worth_asking(plan.record.job.manifest.verify) or found[-1][0][0] > SECOND_BYTES_MAX:
            del found[1:]
        for _, draft in found:
            inputs = tuple([await self._input(plan.folder, piece) for piece in draft.pieces])
            plan.record.blocks.append(draft.block(plan.record.job.manifest.seed, inputs))
        return plan.record, count

    async def _plan(self, path: Path, text: str, options: dict[str, Any]) -> _Plan:
        """All but the blocks: read, checked, stored and signed."""
        job = override(await self._parsed(text, path.name), options)
        if not job.name:
            job = replace(job, name=path.stem if path.stem != "job" else path.parent.name)
        folder = DiskFolder(path.parent)
        files = await self._files(job, folder)
        code = await self._world.blobs.put(codemap.encode(files))
        draw_secret = self._world.clock.random_bytes(32)
        given = Circumstances(
            requester=self._world.node, ring=self._ring(job), code=code, files_bytes=files.large_bytes(), nonce=self._world.clock.random_bytes(16),
            seed=int.from_bytes(self._world.clock.random_bytes(8), "big"),
            draw_hash=_draw_hash(draw_secret), issued_unix_s=self._world.clock.unix(),
        )  # fmt: skip
        manifest = draft_manifest(job, given)
        signed = self._sign(replace(manifest, lock=await self._pinning.lock_for(manifest.environment)))
        record = JobRecord(
            signed, draw_secret, self._world.clock.random_bytes(32), self._world.clock.unix(),
            own_work=options.get("work") is not False, growth="open" if options.get("open") is True else "", memo=job.memo,
            own_only=options.get("own_only") is True,
        )  # fmt: skip
        return _Plan(job, folder, files, record)

    @staticmethod
    async def _parsed(text: str, name: str) -> JobFile:
        """A job file of megabytes, or of brackets alone, takes the parser seconds: those are not the event loop's."""
        if len(text) <= PARSE_INLINE and text.count("[") + text.count("{") <= BRACKETS_INLINE:
            return parse_jobfile(text, name)
        return await trio.to_thread.run_sync(parse_jobfile, text, name)

    async def _files(self, job: JobFile, folder: DiskFolder) -> CodeMap:
        """What travels with the job, stored. Folders may be large, and on a slow disk: they are looked through in a thread."""
        sizes = await trio.to_thread.run_sync(listed, job, folder) if job.files else listed(job, folder)
        return await self._packer.pack(folder, sizes, "input")

    def _sign(self, manifest: Manifest) -> SignedManifest:
        sealed = codec.seal_manifest(manifest, self._world.keys.node)
        return SignedManifest(JobId(digest("ctorrent/job/1", sealed.body)), manifest, sealed)

    async def _keep(self, record: JobRecord) -> None:
        first = Amendment(
            record.id, 1, record.head(), AmendmentKind.BLOCKS, 0, len(record.blocks), merkle_root(list(record.digests))
        )
        amended = record.amend(first, self._world.keys.node)
        memory = [] if record.memo else [Put("no-memory", record.id, b"")]
        own = [Put("own-only", record.id, b"")] if record.own_only else []
        await self._world.journal.commit([record.put(), amended, *block_puts(record.id, record.blocks), *memory, *own])

    async def _blocks(self, job: JobFile, folder: DiskFolder, manifest: Manifest) -> list[Block]:
        blocks: list[Block] = []
        drafts: Iterator[Draft] = draft_blocks(job, folder)
        names = OutputNames(job)
        pieces: tuple[Piece, ...] = ()
        inputs: tuple[InputRef, ...] = ()
        for draft in drafts:
            names.add_draft(draft, manifest.seed)
            if draft.pieces != pieces:  # the runs of one part read the same bytes: they are stored once
                pieces, inputs = draft.pieces, tuple([await self._input(folder, piece) for piece in draft.pieces])
            blocks.append(draft.block(manifest.seed, inputs))
            if draft.index % BREATHE_EVERY == 0:
                await trio.lowlevel.checkpoint()
        if not blocks:
            raise _no_blocks()
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


def _no_blocks() -> JobFileError:
    return JobFileError("the job has no blocks", "Say what there is to do: blocks: {count: 10}.")
