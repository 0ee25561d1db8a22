"""Cells with a job's files in them: fetched and checked, laid out once however many cells show them, removed after the last."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import trio

from ctorrent.errors import LocalError, Malformed, Unavailable
from ctorrent.model.ids import Digest
from ctorrent.model.job import Program, SignedManifest
from ctorrent.model.offer import EnvironmentInfo
from ctorrent.model.result import Outcome
from ctorrent.node.inputs import Inputs
from ctorrent.node.seeder import Seeder
from ctorrent.node.world import World
from ctorrent.plan import codemap
from ctorrent.plan.codemap import CodeMap, Large
from ctorrent.ports import BlockInput, Cell, CellSpec

READ_INLINE = 64 << 10  # bytes of a list of files: ~2 ms; longer ones are read in a thread
log = logging.getLogger(__name__)
SHOWN = "a cell shows it"


@dataclass(slots=True)
class _Tree:
    """One job's files, laid out."""

    code: CodeMap
    users: int = 0
    lock: trio.Lock = field(default_factory=trio.Lock)

    def wanted(self) -> bool:
        return self.users > 0


class Cells:
    """Of one node: for others' jobs and for its own."""

    def __init__(self, world: World, seeder: Seeder) -> None:
        self._world, self._seeder = world, seeder
        self._trees: dict[Digest, _Tree] = {}
        self.inputs = Inputs(world.blobs, seeder)

    async def open(
        self, job: SignedManifest, environment: EnvironmentInfo, label: str, program: Program | None = None,
        gpus: tuple[str, ...] = (), slots: int = 1,
    ) -> Cell:  # fmt: skip
        """A cell for this job, or for `program` with its files. Raises LocalError, Unavailable, or PeerError for files that lie."""
        manifest = job.manifest
        root = manifest.program.code
        code = await self.listing(job)
        await self.fetch(job, code)
        folder = await self._hold(root, code)
        try:
            spec = CellSpec(
                job=label, program=program or manifest.program, folder=folder, environment=environment, needs=manifest.needs,
                limits=manifest.limits, hash_seed=manifest.seed & 0xFFFFFFFF, gpus=gpus, slots=slots,
                own=manifest.requester == self._world.node,
            )  # fmt: skip
            return _Held(await self._world.sandbox.open(spec), lambda: self._release(root))
        except BaseException:
            await self._release(root)
            raise

    async def listing(self, job: SignedManifest) -> CodeMap:
        """The list of a job's files, fetched where it is not here. Raises PeerError for one that lies, and Unavailable."""
        program = job.manifest.program
        await self._seeder.fetch(program.code, [job.manifest.requester], codemap.MAP_BYTES_MAX)
        try:
            data = await self._world.blobs.get(program.code, codemap.MAP_BYTES_MAX)
        except KeyError:
            raise Unavailable("the list of the job's files was tidied away") from None
        code = codemap.decode(data) if len(data) <= READ_INLINE else await trio.to_thread.run_sync(codemap.decode, data)
        if code.large_bytes() != program.files_bytes:
            raise Malformed(f"the job says {program.files_bytes} bytes of files, and lists {code.large_bytes()}")
        self._compare(code)
        return code

    async def fetch(self, job: SignedManifest, code: CodeMap) -> None:
        """Have its large files too, each with the bytes that were listed; those that had begun first.

        Raises Unavailable, LocalError of the disk, or Malformed.
        """
        blobs, source = self._world.blobs, [job.manifest.requester]
        self._compare(code)
        sizes = {blob: size for blob, size in code.large().items() if blobs.size(blob) != size}
        begun = [blob for blob in sizes if blobs.partial(blob)]
        for some in (begun, [blob for blob in sizes if blob not in begun]):
            await self._seeder.fetch_all({blob: sizes[blob] for blob in some}, source, exact=True)
        self._compare(code)  # another job may have asked for the same blob, and listed it with other bytes

    def _compare(self, code: CodeMap) -> None:
        for blob, size in code.large().items():
            if self._world.blobs.size(blob) not in (None, size):
                raise Malformed(f"the job lists a file of {size} bytes, which has {self._world.blobs.size(blob)}")

    def shows(self, root: Digest) -> bool:
        """Does a cell work with the files of this list?"""
        return root in self._trees

    async def _hold(self, root: Digest, code: CodeMap) -> str:
        tree = self._trees.setdefault(root, _Tree(code))
        tree.users += 1
        for blob in (root, *code.large()):
            self._world.blobs.pin(blob, SHOWN)
        try:
            async with tree.lock:
                small = {path: content for path, content in code.files.items() if not isinstance(content, Large)}
                large = {path: content.digest for path, content in code.files.items() if isinstance(content, Large)}
                return await self._world.blobs.lay_out(root, small, large)
        except KeyError:
            await self._release(root)
            raise Unavailable("a file of the job was damaged on this disk") from None
        except BaseException:
            await self._release(root)
            raise

    async def _release(self, root: Digest) -> None:
        tree = self._trees[root]
        tree.users -= 1
        with trio.CancelScope(shield=True):
            async with tree.lock:
                if tree.wanted() or self._trees.get(root) is not tree:
                    return
                try:
                    await self._world.blobs.clear(root)
                except LocalError as error:
                    log.warning("%s %s", error.message, error.hint)
                if tree.wanted():
                    return  # somebody came meanwhile, and lays it out again
                del self._trees[root]
        for blob in (root, *tree.code.large()):
            self._world.blobs.unpin(blob, SHOWN)


class _Held:
    """ports.Cell that lets go of its files when it is closed."""

    def __init__(self, cell: Cell, release: Callable[[], Awaitable[None]]) -> None:
        self.level = cell.level
        self._cell, self._release = cell, release
        self._closed = False

    async def run(self, unit: Sequence[BlockInput], log: Callable[[int, bytes], None] | None = None) -> list[Outcome]:
        return await self._cell.run(unit, log)

    async def reduce(self, entry: str, values: Sequence[bytes]) -> Outcome:
        return await self._cell.reduce(entry, values)

    async def check(self, entry: str, cases: Sequence[BlockInput]) -> list[Outcome]:
        return await self._cell.check(entry, cases)

    async def compare(self, entry: str, cases: Sequence[BlockInput]) -> list[Outcome]:
        return await self._cell.compare(entry, cases)

    async def aclose(self) -> None:
        try:
            await self._cell.aclose()
        finally:
            if not self._closed:
                self._closed = True
                await self._release()
