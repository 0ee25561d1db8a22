"""A job's own check and script, run in this node's sandbox: wishes in, rulings out, in batches, in one warm cell.

Memory and time are a block's own: `needs` and `limits` of the job hold for each call. What a function says no to is
asked once more in a fresh process, so that one which wavers is found out before it costs anybody anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from ctorrent import canon
from ctorrent.errors import CTorrentError, LocalError
from ctorrent.model.ids import NodeId
from ctorrent.model.result import Outcome
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.selfrun import SelfRun
from ctorrent.node.world import World
from ctorrent.ports import BlockInput, Cell
from ctorrent.verify.checks import Judge, Judged, Vouch, Vouched
from ctorrent.verify.comparer import Compared, CompareOutputs, Probe, Probed
from ctorrent.verify.rulings import Ruling, Said, draw_of, ruling, twice
from ctorrent.verify.words import SelfChecked

BATCH = 32  # calls in one process: what starting it costs is lost among them
BATCH_BYTES = 64 << 20  # of outputs in one batch; a larger output goes alone
OUTPUT_BYTES_MAX = 256 << 20  # larger outputs are not judged here: with its copies one would take a gigabyte
IDLE_S = 10.0  # then the cell is closed: others may want its memory
WISHES_MAX = 4096  # far above what the machines have under way (checks.CheckRules, comparer.WANTED_MAX)

Wish = Judge | Vouch | CompareOutputs | Probe
Answer = Judged | Vouched | Compared | Probed
_Load = Callable[[int, NodeId], Awaitable[bytes | None]]


class Judging:
    """Of one job of this node's own. `run` it beside the job; what it finds goes to `tell`."""

    def __init__(
        self, world: World, record: JobRecord, selfrun: SelfRun, load: _Load, tell: Callable[[Answer], Awaitable[None]]
    ) -> None:  # fmt: skip
        self._world, self._record, self._selfrun, self._load, self._tell = world, record, selfrun, load, tell
        self._ask, self._wishes = trio.open_memory_channel[Wish](WISHES_MAX)
        self._cell: Cell | None = None

    def ask(self, wish: Wish) -> None:
        """Queue one; answered in time by one event, whatever happens."""
        self._ask.send_nowait(wish)

    async def run(self) -> None:
        """Until cancelled. Leaves no cell behind."""
        try:
            while True:
                first: Wish | None = None
                with trio.move_on_after(IDLE_S if self._cell is not None else float("inf")):
                    first = await self._wishes.receive()
                await (self._close() if first is None else self._some(first))
        finally:
            await self._close()

    async def _some(self, first: Wish) -> None:
        """Answer what waits, as one batch of each kind."""
        wishes = [first]
        while len(wishes) < BATCH and sum(map(_bytes, wishes)) < BATCH_BYTES:
            try:
                wishes.append(self._wishes.receive_nowait())
            except trio.WouldBlock:
                break
        await self._check([wish for wish in wishes if isinstance(wish, Judge)])
        await self._compare([wish for wish in wishes if isinstance(wish, CompareOutputs)])
        for wish in wishes:
            if isinstance(wish, Vouch):
                await self._vouch(wish.index)
            elif isinstance(wish, Probe):
                await self._probe(wish.index)

    async def _check(self, wishes: Sequence[Judge]) -> None:
        cases: dict[int, BlockInput] = {}
        found: dict[int, Ruling] = {}
        for at, wish in enumerate(wishes):
            output = wish.output if wish.output is not None else await self._load(wish.index, wish.worker)
            case = self._case(wish.index, output)
            if isinstance(case, Ruling):
                found[at] = case
            else:
                cases[at] = case
        found |= await self._rulings(self._record.job.manifest.verify.check, cases, compare=False)
        for at, wish in enumerate(wishes):
            await self._tell(Judged(wish.index, wish.digest, found[at]))

    async def _compare(self, wishes: Sequence[CompareOutputs]) -> None:
        draw = canon.encode(draw_of(self._record.draw_secret, 0))
        cases = {at: BlockInput(0, 0, b"", values=(wish.left[1:], wish.right[1:], draw)) for at, wish in enumerate(wishes)}
        found = await self._rulings(self._record.job.manifest.verify.script, cases, compare=True)
        for at, wish in enumerate(wishes):
            await self._tell(Compared(wish.pair, found[at]))

    async def _vouch(self, index: int) -> None:
        """What does the check say of this machine's own result?"""
        checked = await self._selfrun.check(self._record, index, self._world.owner)
        found: Ruling | None = None
        if isinstance(checked, SelfChecked) and checked.outputs[0] == checked.outputs[1] and checked.outputs[0][:1] == b"\x00":
            case = self._case(index, checked.outputs[0])
            found = case if isinstance(case, Ruling) else (await self._rulings(self._record.job.manifest.verify.check, {0: case}, compare=False))[0]
        await self._tell(Vouched(index, found))

    async def _probe(self, index: int) -> None:
        """Can the script compare what nobody but this machine made?"""
        checked = await self._selfrun.check(self._record, index, self._world.owner)
        made = isinstance(checked, SelfChecked) and all(output[:1] == b"\x00" for output in checked.outputs)
        one, other = checked.outputs if made and isinstance(checked, SelfChecked) else (b"\x00" + canon.encode(None),) * 2
        draw = canon.encode(draw_of(self._record.draw_secret, 0))
        case = BlockInput(0, 0, b"", values=(one[1:], other[1:], draw))
        found = (await self._rulings(self._record.job.manifest.verify.script, {0: case}, compare=True))[0]
        await self._tell(Probed(found if made or found.said is Said.IMPOSSIBLE else None))  # it need not know what None is

    def _case(self, index: int, output: bytes | None) -> BlockInput | Ruling:
        """A block with the output to judge; or why it cannot be judged."""
        if output is None or len(output) > OUTPUT_BYTES_MAX:
            why = "is gone" if output is None else f"has more than {OUTPUT_BYTES_MAX >> 20} MiB"
            return Ruling(Said.BROKEN, f"an output {why}, and was not judged")
        block = self._record.blocks[index]
        try:
            files = tuple((ref.name, self._world.blobs.path(ref.digest)) for ref in block.inputs)
        except KeyError:
            return Ruling(Said.BROKEN, f"inputs of block {index} are gone, and its output was not judged")
        draw = canon.encode(draw_of(self._record.draw_secret, index))
        return BlockInput(block.index, block.seed, block.params, files, (output[1:], draw))

    async def _rulings(self, entry: str, cases: dict[int, BlockInput], compare: bool) -> dict[int, Ruling]:
        """One for each case; every no was said twice."""
        if not cases:
            return {}
        try:
            first = {at: ruling(outcome, entry) for at, outcome in (await self._call(entry, cases, compare)).items()}
            noes = {at: cases[at] for at, found in first.items() if found.said is Said.NO}
            again = await self._call(entry, noes, compare) if noes else {}
        except CTorrentError as error:
            await self._close()
            return dict.fromkeys(cases, Ruling(Said.IMPOSSIBLE, error.message))
        return first | {at: twice(first[at], ruling(outcome, entry), entry) for at, outcome in again.items()}

    async def _call(self, entry: str, cases: dict[int, BlockInput], compare: bool) -> dict[int, Outcome]:
        """Raises CTorrentError where this node cannot run it; a cell that dies is replaced once."""
        for last in (False, True):
            cell = self._cell = self._cell or await self._selfrun.open(self._record, entry)
            try:
                outcomes = await (cell.compare if compare else cell.check)(entry, list(cases.values()))
                return dict(zip(cases, outcomes, strict=True))
            except LocalError:
                await self._close()
                if last:
                    raise
        raise AssertionError("the second try returns or raises")

    async def _close(self) -> None:
        cell, self._cell = self._cell, None
        if cell is not None:
            with trio.CancelScope(shield=True):
                await cell.aclose()


def _bytes(wish: Wish) -> int:
    match wish:
        case Judge(output=output):
            return len(output or b"")
        case CompareOutputs(left=left, right=right):
            return len(left) + len(right)
        case _:
            return 0
