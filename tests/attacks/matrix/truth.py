"""What is right, and who ran what: the table that all actors answer from and the judge compares with."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from ctorrent import canon
from ctorrent.model.block import Block
from ctorrent.model.ids import Digest
from ctorrent.model.result import output_digest
from ctorrent.testing.fake_sandbox import mix

RIGHT = 0
COLLUDING = 1  # the wrong answer that all liars of a block give
OWN = 1000  # plus a worker's number: a wrong answer of its own


class Truth:
    """Of one job. Answers are named by a number: 0 is right, any other is wrong, the same number the same answer."""

    def __init__(self, blocks: Sequence[Block], digests: Sequence[Digest]) -> None:
        self.digests = digests
        self.values = [mix(canon.decode(block.params), block.seed) for block in blocks]
        self.index_of = {block.seed: block.index for block in blocks}
        self.runs = array("I", bytes(4 * len(blocks)))  # executions of each block by anybody
        self._outputs: dict[tuple[int, int], tuple[bytes, Digest]] = {}

    def output(self, index: int, answer: int) -> tuple[bytes, Digest]:
        """Bytes of an answer as they travel, and their digest."""
        key = (index, answer)
        found = self._outputs.get(key)
        if found is None:
            data = b"\x00" + canon.encode(self.values[index] + answer)
            found = self._outputs[key] = data, output_digest(data)
        return found

    def is_right(self, index: int, output: bytes) -> bool:
        return output == self.output(index, RIGHT)[0]
