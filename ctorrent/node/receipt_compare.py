"""A receipt's output and this machine's own: the same by the job's policy, its fitted tolerances, or its own script?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ctorrent import canon
from ctorrent.errors import PeerError
from ctorrent.model.ids import node_id
from ctorrent.model.job import Equality
from ctorrent.node.receipt_book import Book, numbers, packed
from ctorrent.node.receipt_source import Source
from ctorrent.ports import BlockInput, Cell
from ctorrent.verify.calibrate import Tolerances
from ctorrent.verify.compare import SUPPORTED, Different, is_failure, same
from ctorrent.verify.rulings import Said, draw_of, ruling
from ctorrent.wire.codec_portable import RULES

CLOSE_RTOL, CLOSE_ATOL = 1e-6, 1e-9  # what a job that says nothing of tolerance gets
LOOKS_MAX, LOOKS_BYTES = 16, 64 << 20  # of the file's size, and beside that, read again for second looks: as many replicas of all blocks


@dataclass(frozen=True, slots=True)
class Compared:
    """verdict: "near", "different", or "open" where neither can be said."""

    verdict: str
    words: str


class Comparing:
    """Of one file. here: this environment is one of those that results came from. mine: this machine's class.

    script: the cell that runs the job's own comparison, of a job that has one.
    """

    def __init__(self, book: Book, tolerances: Tolerances, mine: str, here: bool, script: Cell | None) -> None:
        self._book, self._tolerances, self._mine, self._here, self._script = book, tolerances, mine, here, script
        self._verify = book.job.manifest.verify

    async def compare(self, index: int, theirs: bytes, mine: bytes) -> Compared:
        """Two outputs whose bytes differ."""
        failed = is_failure(theirs) or is_failure(mine)
        if self._script is not None and not failed:
            return await self._by_script(self._script, theirs, mine)
        if self._verify.equal not in SUPPORTED and not failed:
            return Compared("open", "the job compares by a script of its own, and the bytes differ")
        try:
            found = self._found(index, theirs, mine)
        except PeerError as error:
            return Compared("different", f"the kept output is {error.message}")
        if not isinstance(found, Different):
            return Compared("near", "other bytes, equal within the job's policy")
        if not self._here and self._last_digits(theirs, mine):
            return Compared("open", f"{found.words}: last digits, in another environment than the workers'")
        return Compared("different", f"{found.words} (the file's, and this machine's)")

    def by_digest(self) -> Compared:
        """The same where theirs is not in the file."""
        exact = self._verify.equal is Equality.EXACT and self._here
        return Compared("different" if exact else "open", "this machine's output has another digest, and theirs is not in the file")

    def wavers(self, first: bytes, second: bytes) -> bool:
        """Do two runs on this machine differ, by the job's policy? A script is not asked."""
        policy = self._verify if self._verify.equal in SUPPORTED else replace(self._verify, equal=Equality.AUTO)
        return first != second and isinstance(same(first, second, policy), Different)

    def _found(self, index: int, theirs: bytes, mine: bytes) -> object:
        if self._verify.equal not in SUPPORTED:
            return same(theirs, mine, replace(self._verify, equal=Equality.AUTO))  # one of them failed
        return self._tolerances.same(theirs, mine, self._book.kept_class(index), self._mine)

    def _last_digits(self, theirs: bytes, mine: bytes) -> bool:
        """Is it only that the job wants exact what other hardware rounds otherwise?"""
        close = replace(self._verify, equal=Equality.NUMERIC, rtol=CLOSE_RTOL, atol=CLOSE_ATOL)
        return self._verify.equal is Equality.EXACT and not isinstance(same(theirs, mine, close), Different)

    async def _by_script(self, cell: Cell, theirs: bytes, mine: bytes) -> Compared:
        entry = self._verify.script
        draw = canon.encode(draw_of(self._book.chain.secret, 0))
        case = BlockInput(0, 0, b"", values=(theirs[1:], mine[1:], draw))
        found = ruling((await cell.compare(entry, [case]))[0], entry)
        verdicts: dict[Said, Callable[[], Compared]] = {
            Said.YES: lambda: Compared("near", f"other bytes, equal by {entry}"),
            Said.NO: lambda: Compared("different", f"{found.words} (the file's, and this machine's)"),
        }
        return verdicts.get(found.said, lambda: Compared("open", found.words))()


def second_look(book: Book, source: Source, tolerances: Tolerances) -> None:
    """Outputs of listed workers that are shown beside the kept ones: equal by the job's policy? Fills book.equal and .apart.

    Each look reads a block's part again, which may be 2 MiB, for an output of a few bytes: there is a limit to that.
    """
    if book.job.manifest.verify.equal not in SUPPORTED:
        return
    blocks, left = book.blocks, LOOKS_MAX * book.size_bytes + LOOKS_BYTES
    looked: dict[int, bytes] = {}  # whose outputs
    apart: set[int] = set()
    for offset in book.shown:
        unit = source.unit(offset)
        worker = book.workers[node_id(unit.result.public)]
        for index, output in zip(unit.indices, unit.outputs, strict=False):
            if not output or index in apart or not blocks.inside[index] or worker not in numbers(blocks.listed[index]):
                continue
            ends = blocks.offsets[index + 1] if index + 1 < len(blocks) else min(book.size_bytes, blocks.offsets[index] + RULES.part_bytes)
            left -= ends - blocks.offsets[index]
            if left < 0:  # it stays what the requester claims
                continue
            looked[index] = looked.get(index, b"") + packed((worker,))
            if _apart(book, tolerances, source, index, worker, output):
                apart.add(index)
    book.apart = len(apart)
    book.equal = sum(index not in apart and _others(book, index) <= set(numbers(whose)) for index, whose in looked.items())


def _others(book: Book, index: int) -> set[int]:
    """Listed workers that signed other bytes than the kept ones."""
    return set(numbers(book.blocks.other[index])) & set(numbers(book.blocks.listed[index]))


def _apart(book: Book, tolerances: Tolerances, source: Source, index: int, worker: int, output: bytes) -> bool:
    kept = source.line(index).data
    theirs = book.class_of.get(worker, "")
    try:
        return kept is None or isinstance(tolerances.same(kept, output, book.kept_class(index), theirs), Different)
    except PeerError:
        return True
