"""A unit's frames cost little beside the unit: bounds far above what is measured, far below what would hurt."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from ctorrent.model import session as s
from ctorrent.model.block import Block
from ctorrent.model.ids import Digest
from ctorrent.model.result import Committed, Usage
from ctorrent.seal import digest
from ctorrent.wire import codec
from tests.processor import slower
from tests.wire import samples
from tests.wire.samples import REQUESTER, WORKER

COUNT = 1000
LIMIT_S = 0.015  # measured 1-4 ms; 15 us a block is a tenth of what the fastest sandbox adds


def best_s(act: Callable[[], object]) -> float:
    """The least of ten: other programs share the machine."""
    times = []
    for _ in range(10):
        started = time.process_time()
        act()
        times.append(time.process_time() - started)
    return min(times)


def digests(domain: str) -> tuple[Digest, ...]:
    return tuple(Digest(digest(domain, i.to_bytes(4, "big"))) for i in range(COUNT))


def test_assigning_a_thousand_blocks() -> None:
    sealed = codec.seal_assignment(dataclasses.replace(samples.ASSIGNMENT, blocks=digests("a")), REQUESTER)
    assign = s.Assign(sealed, tuple(Block(i, i * 7919, b"\x81\xa1x\x01") for i in range(COUNT)))
    frame = codec.encode_message(assign)
    assert codec.decode_message(frame) == assign
    assert best_s(lambda: codec.encode_message(assign)) < LIMIT_S * slower()
    assert best_s(lambda: codec.decode_message(frame)) < LIMIT_S * slower()
    assert best_s(lambda: codec.open_assignment(sealed)) < LIMIT_S * slower()


def test_returning_a_thousand_outputs() -> None:
    lines = tuple(Committed(a, b) for a, b in zip(digests("a"), digests("b"), strict=True))
    result = dataclasses.replace(samples.RESULT, blocks=lines)
    sealed = codec.seal_result(result, WORKER)
    output = s.Output(b"o" * 16, b"\x00\x01", None, 2, Usage(0.001, 0.0, 0.001, 1 << 20), None)
    returned = s.Returned(sealed, (output,) * COUNT)
    frame = codec.encode_message(returned)
    assert codec.decode_message(frame) == returned
    assert best_s(lambda: codec.encode_message(returned)) < LIMIT_S * slower()
    assert best_s(lambda: codec.decode_message(frame)) < LIMIT_S * slower()
    assert best_s(lambda: codec.seal_result(result, WORKER)) < LIMIT_S * slower()
    assert best_s(lambda: codec.open_result(sealed)) < LIMIT_S * slower()
