"""The job's own check, asked of a receipt's outputs: is each right by itself, whoever signed it?

As in the job: given what the block was given, the output as the file has it, and the block's draw; a no is asked twice.
An output that is refused is held against this machine's own: a check that refuses that as well accuses no worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctorrent import canon
from ctorrent.errors import CTorrentError
from ctorrent.node.receipt_book import Book
from ctorrent.ports import BlockInput, Cell
from ctorrent.verify.compare import is_failure
from ctorrent.verify.rulings import Ruling, Said, draw_of, ruling, twice


@dataclass(frozen=True, slots=True)
class Case:
    """A block, the output that the file names for it (None: its bytes are nowhere), and this machine's own."""

    block: BlockInput
    output: bytes | None
    mine: bytes


@dataclass(frozen=True, slots=True)
class Checked:
    """state: "passed", "refused", "open" (the check could not say), "" (there is nothing to judge). words: why."""

    state: str = ""
    words: str = ""


class Checking:
    """Of one file, in one open cell."""

    def __init__(self, book: Book, cell: Cell) -> None:
        self._entry = book.job.manifest.verify.check
        self._secret, self._cell = book.chain.secret, cell

    async def judge(self, cases: Sequence[Case]) -> list[Checked]:
        """One for each."""
        asked = [at for at, case in enumerate(cases) if case.output is not None and not is_failure(case.output)]
        try:
            said = dict(zip(asked, await self._twice([(cases[at].block, cases[at].output or b"") for at in asked]), strict=True))
            found = [self._checked(case, said.get(at)) for at, case in enumerate(cases)]
            refused = [at for at, one in enumerate(found) if one.state == "refused" and not is_failure(cases[at].mine)]
            own = await self._twice([(cases[at].block, cases[at].mine) for at in refused])
        except CTorrentError as error:
            return [Checked("open", f"{self._entry} could not be run: {error.message}")] * len(cases)
        for at, ruled in zip(refused, own, strict=True):
            if ruled.said is Said.NO:
                words = f"{found[at].words}; it refuses this machine's own result too: the program or its check is at fault"
                found[at] = Checked("refused", words)
        return found

    def _checked(self, case: Case, said: Ruling | None) -> Checked:
        if said is None:
            return Checked("open", "its output is not in the file") if case.output is None else Checked()
        state = {Said.YES: "passed", Said.NO: "refused"}.get(said.said, "open")
        return Checked(state, said.words)

    async def _twice(self, outputs: Sequence[tuple[BlockInput, bytes]]) -> list[Ruling]:
        """One for each; every no was said twice, in fresh processes."""
        first = await self._ask(outputs)
        noes = [at for at, said in enumerate(first) if said.said is Said.NO]
        for at, again in zip(noes, await self._ask([outputs[at] for at in noes]), strict=True):
            first[at] = twice(first[at], again, self._entry)
        return first

    async def _ask(self, outputs: Sequence[tuple[BlockInput, bytes]]) -> list[Ruling]:
        if not outputs:
            return []
        cases = [
            BlockInput(block.index, block.seed, block.params, block.files, (output[1:], canon.encode(draw_of(self._secret, block.index))))
            for block, output in outputs
        ]
        return [ruling(outcome, self._entry) for outcome in await self._cell.check(self._entry, cases)]
