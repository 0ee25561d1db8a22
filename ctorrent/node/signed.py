"""What this node signed as a worker, kept to defend itself: a vote against it names an assignment, and this is its answer.

    signed   's' ‖ assignment            [job, [body, public, signature], openings]: per block 16 of nonce, 32 of output's digest
             'a' ‖ unix u64 ‖ assignment  bytes of that record: what is oldest goes first

Written in the commit that promises the result, so that a result was signed if and only if it is here, or was too old.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctorrent.canon import encode
from ctorrent.model.evidence import Shown
from ctorrent.model.ids import Digest, JobId
from ctorrent.model.result import NONCE_BYTES, OPENING_BYTES, Committed
from ctorrent.node import records
from ctorrent.ports import Clock, Delete, Journal, Put
from ctorrent.seal import Sealed
from ctorrent.wire import codec

SPACE = "signed"
DAY_S = 86400


@dataclass(frozen=True, slots=True)
class SignedRules:
    """Limits of what is kept for one's own defence."""

    bytes_max: int = 64 << 20  # 120 bytes a block: half a million blocks, a month of a machine with short ones
    keep_days: int = 90  # as long as others keep what they say against it
    deletes: int = 1000  # of one commit


class Signed:
    """Over all jobs of others."""

    def __init__(self, journal: Journal, clock: Clock, rules: SignedRules = SignedRules()) -> None:
        self._journal, self._clock, self._rules = journal, clock, rules

    def puts(self, job: JobId, assignment: Digest, sealed: Sealed, opened: Sequence[tuple[bytes, Digest]]) -> list[Put]:
        """Records for the commit that promises a result. opened: nonce and output digest of each line."""
        value = encode([bytes(job), records.pack_sealed(sealed), b"".join(nonce + output for nonce, output in opened)])
        aged = b"a" + self._clock.unix().to_bytes(8, "big") + assignment
        return [Put(SPACE, b"s" + assignment, value), Put(SPACE, aged, encode(len(value)))]

    def answer(self, assignment: bytes, block: bytes) -> Shown | None:
        """What this node signed for an assignment, opened about one block; None when it signed nothing, or long ago."""
        value = self._journal.get(SPACE, b"s" + assignment)
        if value is None:
            return None
        _, parts, openings = records.load(value)
        sealed = records.unpack_sealed(parts)
        lines: tuple[Committed, ...] = codec.open_result(sealed).blocks
        for at, line in enumerate(lines):
            if line.block == block:
                opening = openings[at * OPENING_BYTES : (at + 1) * OPENING_BYTES]
                return Shown(sealed, opening[:NONCE_BYTES], opening[NONCE_BYTES:])
        return None

    async def tidy(self) -> int:
        """Drop what is too old, and the oldest of what is too much. -> how many."""
        before = self._clock.unix() - self._rules.keep_days * DAY_S
        held = [(key, int(records.load(value))) for key, value in self._journal.scan(SPACE, b"a")]
        size, gone = sum(one for _, one in held), 0
        for start in range(0, len(held), self._rules.deletes):
            deletes = []
            for key, one in held[start : start + self._rules.deletes]:
                if int.from_bytes(key[1:9], "big") < before or size > self._rules.bytes_max:
                    deletes += [Delete(SPACE, key), Delete(SPACE, b"s" + key[9:])]
                    size -= one
            if not deletes:
                break
            await self._journal.commit(deletes, durable=False)
            gone += len(deletes) // 2
        return gone
