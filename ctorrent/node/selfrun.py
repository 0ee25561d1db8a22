"""The requester's own machine as a witness: blocks run twice, alone; rehearsals; the user's reducer; nothing agreed on.

A coordinator must not blame a worker before it has seen its own machine agree with itself (evidence before blame).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import trio

from ctorrent.errors import CTorrentError, LocalError
from ctorrent.model.ids import NodeId, OwnerId, show_job
from ctorrent.model.job import Program, ProgramKind, SignedManifest
from ctorrent.model.offer import EnvironmentInfo
from ctorrent.model.result import Outcome
from ctorrent.model.trade import NoReason
from ctorrent.node.cells import Cells
from ctorrent.node.installs import Installs
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.share import Share
from ctorrent.node.world import World
from ctorrent.ports import BlockInput, Cell
from ctorrent.verify import words as q

AT_ONCE = 4  # checks, each one process: a crowd of liars is convicted by these, and half of the owner's own machine stays free
ALONE_MOST = 16  # blocks of a unit that are run alone to compare: each is a process of its own, and a unit may hold thousands
TOGETHER_S = 300.0  # a unit is meant to take 10 s at most; who claims to be faster than it is gets longer ones, and is tried with one
PACKAGES_S = 900.0  # an answer or a dispute can wait for packages: torch over a slow line takes so long
REHEARSAL_PACKAGES_S = 30.0  # a person waits at the keyboard: scikit-learn takes a third of it


class SelfRun:
    """Cells of this node for its own jobs' checks: few at a time, opened for the purpose and closed again."""

    def __init__(self, world: World, share: Share, cells: Cells, installs: Installs) -> None:
        self._world, self._share, self._cells, self._installs = world, share, cells, installs
        self._room = trio.Semaphore(at_once(world.hardware.cores))

    def lent(self) -> bool:
        """Does this machine's worker take jobs at all, one's own among them?"""
        return self._share.on

    async def check(self, record: JobRecord, index: int, owner: OwnerId) -> q.SelfChecked | q.SelfCheckFailed:
        """Run a block twice in fresh processes."""
        try:
            environment = await self._environment(record.job, PACKAGES_S)
            async with self._room:
                cell = await self._open(record.job, environment)
                try:
                    block = self._input(record, index)
                    first, second = (await cell.run([block]))[0], (await cell.run([block]))[0]
                finally:
                    await _close(cell)
        except (CTorrentError, KeyError) as error:
            return q.SelfCheckFailed(index, str(error))
        return q.SelfChecked(index, self._world.node, owner, environment.fingerprint, (first.output(), second.output()))

    async def together(self, record: JobRecord, index: int, worker: NodeId, unit: Sequence[int]) -> q.RanTogether:
        """Run a worker's unit in one process as it did, and this block, with some of the others, alone."""
        try:
            environment = await self._environment(record.job, PACKAGES_S)
            async with self._room:
                cell = await self._open(record.job, environment)
                try:
                    blocks = [self._input(record, one) for one in unit]
                    with trio.fail_after(TOGETHER_S):
                        together = await cell.run(blocks)
                        alone = {at: (await cell.run([blocks[at]]))[0] for at in _looked_at(len(unit), unit.index(index))}
                finally:
                    await _close(cell)
        except (CTorrentError, LookupError, ValueError, trio.TooSlowError):
            return q.RanTogether(index, worker, None)
        return q.RanTogether(index, worker, tuple((together[at].output(), one.output()) for at, one in alone.items()))

    async def rehearse(self, record: JobRecord, limit_s: float) -> tuple[list[Outcome], Outcome | None]:
        """Its first block, alone; where there is time, twice more in one process: that tells a start from a block.

        And the second, where it has one and there is time. Raises LocalError where it cannot run here, in words.
        """
        limits = record.job.manifest.limits
        job = replace(record.job, manifest=replace(record.job.manifest, limits=replace(limits, block_s=min(limit_s, limits.block_s))))
        environment = await self._environment(job, REHEARSAL_PACKAGES_S)
        async with self._room:
            cell = await self._open(job, environment)
            try:
                block, *others = [self._input(record, at) for at in range(len(record.blocks))]
                outcomes, seconds = await cell.run([block]), list[Outcome]()
                time_for = limit_s / outcomes[0].usage.wall_s if outcomes[0].usage.wall_s else 1e9
                if outcomes[0].failure is None and time_for >= 3:
                    outcomes += await cell.run([block, block])
                    seconds = await cell.run(others) if others and time_for >= 4 else []
            finally:
                await _close(cell)
        return outcomes, seconds[0] if seconds else None

    async def reduce(self, record: JobRecord, entry: str, values: Sequence[bytes]) -> Outcome:
        """The user's reducer over canonical values, in the sandbox. Raises LocalError where it cannot run here."""
        environment = await self._environment(record.job, PACKAGES_S)
        async with self._room:
            program = replace(record.job.manifest.program, kind=ProgramKind.PYTHON, entry=entry, argv=())
            cell = await self._open(record.job, environment, program)
            try:
                return await cell.reduce(entry, values)
            finally:
                await _close(cell)

    async def open(self, record: JobRecord, entry: str) -> Cell:
        """A cell for a function of the job's files other than its program; its user closes it. Raises CTorrentError."""
        environment = await self._environment(record.job, PACKAGES_S)
        program = replace(record.job.manifest.program, kind=ProgramKind.PYTHON, entry=entry, argv=())
        return await self._open(record.job, environment, program)

    async def _environment(self, job: SignedManifest, packages_s: float) -> EnvironmentInfo:
        """Where the job runs here; packages that are missing are installed first, if that takes no longer than this."""
        found = self._share.environment_for(job.manifest)
        if not isinstance(found, EnvironmentInfo) and all(no.reason is NoReason.PACKAGES for no in found):
            await self._installs.have(job, packages_s)
            found = self._share.environment_for(job.manifest)
        if isinstance(found, EnvironmentInfo):
            return found
        reasons = ", ".join(f"{no.reason.value} {no.detail}".strip() for no in found)
        raise LocalError(f"this node cannot run the job itself: it {reasons}")

    async def _open(self, job: SignedManifest, environment: EnvironmentInfo, program: Program | None = None) -> Cell:
        return await self._cells.open(job, environment, f"{show_job(job.id)}-check", program)

    def _input(self, record: JobRecord, index: int) -> BlockInput:
        block = record.blocks[index]
        files = tuple((ref.name, self._world.blobs.path(ref.digest)) for ref in block.inputs)
        return BlockInput(block.index, block.seed, block.params, files)


def at_once(cores: int) -> int:
    """Checks at the same time, beside what this machine runs for others."""
    return max(1, min(AT_ONCE, cores // 2))


async def _close(cell: Cell) -> None:
    with trio.CancelScope(shield=True):
        await cell.aclose()


def _looked_at(blocks: int, disputed: int) -> list[int]:
    """Positions in a unit, spread over it; the first has nobody before it whom it could suffer from."""
    step = max(1, -(-(blocks - 1) // (ALONE_MOST - 1)))
    return sorted({disputed, *range(1, blocks, step)})
