"""A place to run a receipt's blocks in, with no node: a spare folder, this machine's sandbox, the job's files, its environment.

What this machine's node has already is used: its settings' isolation and programs, and environments of packages. Nothing
is fetched unless `online`: then packages that the job pinned are installed, as sealed wheels, beside the node's own.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from ctorrent.errors import LocalError, PeerError
from ctorrent.market.fit import Ask, Machine, fits, fitting_gpus, programs_of
from ctorrent.model.hardware_class import gpu_class, hardware_class
from ctorrent.model.ids import Digest, show_job
from ctorrent.model.job import Equality, Isolation, Manifest, ProgramKind
from ctorrent.model.offer import EnvironmentInfo, Hardware
from ctorrent.model.trade import NoReason
from ctorrent.node.receipt_book import Book
from ctorrent.node.receipt_source import Source
from ctorrent.plan import codemap
from ctorrent.plan.codemap import Large
from ctorrent.ports import BlobStore, Cell, CellSpec, Sandbox
from ctorrent.wire.lock import LOCK_BYTES_MAX, decode_lock

SLOTS_MAX = 8  # blocks at once: beyond that a laptop is of no other use
BLOCK_S_MAX = 600.0  # of a job's own limit for a block, without a person's word: twice what a job gets that names none


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a file's blocks are to be run. data_dir: of this machine's node, whether there is one or not."""

    data_dir: Path
    isolation: str = "auto"
    programs: tuple[str, ...] = ()
    online: bool = False
    install_bytes: int = 10 * 10**9
    block_s: float | None = None  # wall seconds for a block; None: the job's own limit, at most BLOCK_S_MAX


@dataclass(frozen=True, slots=True)
class Place:
    """Where they run."""

    cell: Cell
    judge: Cell | None  # of a job that brings a check or a comparison of its own: runs those
    blobs: BlobStore
    environment: EnvironmentInfo
    level: Isolation
    slots: int
    hardware_class: str
    block_s: float  # a block that takes longer is stopped


@asynccontextmanager
async def place(book: Book, source: Source, wanted: Wanted) -> AsyncIterator[Place]:
    """Raises LocalError where the job cannot run here, with what is missing."""
    from ctorrent.hardware.machine import Machine as Here
    from ctorrent.sandbox.choose import open_sandbox
    from ctorrent.sandbox.limits import SandboxRules
    from ctorrent.store.blobs import open_blobs

    with _folder(wanted.data_dir) as folder:
        hardware = await Here(folder).probe()
        rules = SandboxRules(programs=wanted.programs)
        sandbox = await open_sandbox(folder, rules, wanted.isolation, gpu_class(hardware))
        try:
            blobs = await open_blobs(folder / "blobs")
            environment = await _environment(book, source, wanted, sandbox, hardware, folder)
            tree = await _laid_out(book, source, blobs)
            slots = _slots(book.job.manifest, hardware)
            spec = _spec(book, environment, tree, hardware, slots, wanted.block_s)
            async with _cells(sandbox, spec, book.job.manifest) as (cell, judge):
                yield Place(cell, judge, blobs, environment, sandbox.level, slots, hardware_class(hardware), spec.limits.block_s)
        finally:
            with trio.CancelScope(shield=True):
                await sandbox.aclose()


@asynccontextmanager
async def _cells(sandbox: Sandbox, spec: CellSpec, manifest: Manifest) -> AsyncIterator[tuple[Cell, Cell | None]]:
    """The cell for blocks, and one for the job's own check and comparison where it has any: both are called by name."""
    entry = manifest.verify.check or (manifest.verify.script if manifest.verify.equal is Equality.SCRIPT else "")
    async with AsyncExitStack() as stack:
        opened: list[Cell] = []
        for one in [spec, *([replace(spec, program=replace(manifest.program, kind=ProgramKind.PYTHON, entry=entry, argv=()))] if entry else [])]:
            opened.append(await sandbox.open(one))
            stack.push_async_callback(_close, opened[-1])
        yield opened[0], opened[1] if entry else None


async def _close(cell: Cell) -> None:
    with trio.CancelScope(shield=True):
        await cell.aclose()


@contextmanager
def _folder(data_dir: Path) -> Iterator[Path]:
    """A spare data folder; the environments that this machine's node has are seen from it."""
    spare = Path(tempfile.mkdtemp(prefix="ctverify-"))
    try:
        if (data_dir / "environments").is_dir():
            (spare / "environments").symlink_to((data_dir / "environments").resolve(), target_is_directory=True)
        yield spare
    finally:
        shutil.rmtree(spare, ignore_errors=True)


def _spec(book: Book, environment: EnvironmentInfo, tree: str, hardware: Hardware, slots: int, block_s: float | None) -> CellSpec:
    manifest = book.job.manifest
    limits = replace(manifest.limits, block_s=min(manifest.limits.block_s, BLOCK_S_MAX) if block_s is None else block_s)
    able = fitting_gpus(manifest.needs, hardware.gpus)[: manifest.needs.gpu] if manifest.needs.gpu else []
    return CellSpec(
        job=f"{show_job(book.job.id)}-verify", program=manifest.program, folder=tree, environment=environment, needs=manifest.needs,
        limits=limits, hash_seed=manifest.seed & 0xFFFFFFFF, gpus=tuple(gpu.uuid for gpu in able), slots=slots,
    )  # fmt: skip


def _slots(manifest: Manifest, hardware: Hardware) -> int:
    if manifest.needs.gpu:
        return 1
    by_memory = hardware.memory_bytes // 2 // max(1, manifest.needs.memory_bytes)
    return max(1, min(SLOTS_MAX, by_memory, hardware.cores // max(1, manifest.needs.cpu)))


# -- the job's files --------------------------------------------------------------------------------------------------


async def _laid_out(book: Book, source: Source, blobs: BlobStore) -> str:
    root = book.job.manifest.program.code
    try:
        code = codemap.decode(await source.whole(root, codemap.MAP_BYTES_MAX))
        absent = [path for path, content in code.files.items() if isinstance(content, Large) and content.digest not in book.data]
        if absent:
            raise LocalError(f"the job's file {absent[0]!r} is not in the receipt", "Ask for one made with --with-data.")
        for blob, size in code.large().items():
            blobs.pin(blob, "job")
            await blobs.receive(blob, size, source.pieces(blob))
    except PeerError as error:
        raise LocalError(f"the job's files cannot be laid out: {error.message}") from None
    small = {path: content for path, content in code.files.items() if not isinstance(content, Large)}
    large = {path: content.digest for path, content in code.files.items() if isinstance(content, Large)}
    return await blobs.lay_out(root, small, large)


# -- the environment --------------------------------------------------------------------------------------------------


async def _environment(book: Book, source: Source, wanted: Wanted, sandbox: Sandbox, hardware: Hardware, folder: Path) -> EnvironmentInfo:
    manifest = book.job.manifest
    found = _fit(manifest, sandbox, hardware)
    lacks_packages = not isinstance(found, EnvironmentInfo) and all(no.reason is NoReason.PACKAGES for no in found)
    if lacks_packages and wanted.online and manifest.lock and manifest.lock in book.data:
        await _install(Digest(manifest.lock), source, wanted, folder)
        found = _fit(manifest, sandbox, hardware)
    if isinstance(found, EnvironmentInfo):
        return found
    reasons = ", ".join(f"{no.reason.value} {no.detail}".strip() for no in found)
    hint = "With --online, the packages that the job pinned are installed for it." if lacks_packages and manifest.lock and not wanted.online else ""
    raise LocalError(f"this machine {reasons}", hint)


def _fit(manifest: Manifest, sandbox: Sandbox, hardware: Hardware) -> Any:
    """As for a job of one's own; what stands between it and the machine is this machine's choice."""
    programs = programs_of(manifest.program.argv, manifest.environment)
    ask = Ask(
        manifest.ring, replace(manifest.needs, isolation=Isolation.NONE), replace(manifest.environment, programs=programs),
        manifest.price_max, manifest.program.kind is ProgramKind.COMMAND, manifest.lock,
    )  # fmt: skip
    machine = Machine(
        (manifest.ring,), sandbox.environments(), sandbox.level, hardware.cores, hardware.cores, hardware.memory_bytes,
        hardware.memory_bytes, hardware.gpus, tuple(gpu.uuid for gpu in hardware.gpus), sandbox.commands(),
    )  # fmt: skip
    return fits(ask, machine)


async def _install(lock: Digest, source: Source, wanted: Wanted, folder: Path) -> None:
    from ctorrent.sandbox.install import PipPackages
    from ctorrent.sandbox.limits import SandboxRules

    try:
        pinned = decode_lock(await source.whole(lock, LOCK_BYTES_MAX))
    except PeerError as error:
        raise LocalError(f"the job's lock is {error.message}") from None
    await PipPackages(folder, SandboxRules()).install(pinned, lock, wanted.install_bytes, lambda size: None)
