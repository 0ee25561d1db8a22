"""Files of calls that the library wrote: read a window at a time, refused in words when they are something else."""

from __future__ import annotations

import pytest

from ctorrent import canon
from ctorrent.errors import JobFileError
from ctorrent.model.call_record import HEAD, PAYLOAD_NAME, call_record
from ctorrent.plan.blocks import draft_blocks
from ctorrent.plan.jobfile import parse_jobfile
from ctorrent.plan.recorded import WINDOW_BYTES
from tests.plan.memory import MemoryFolder

TEXT = "python: call.py:call\nblocks: {records: calls.records}\n"


def drafts(content: bytes, more: str = "") -> list[tuple[dict[str, object], bytes]]:
    folder = MemoryFolder({"calls.records": content})
    return [
        (canon.decode(draft.params), b"".join(piece.read(folder) for piece in draft.pieces))
        for draft in draft_blocks(parse_jobfile(TEXT + more), folder)
    ]


def test_params_and_payloads_come_back_across_windows() -> None:
    payloads = [b"", b"p" * (WINDOW_BYTES + 5), b"", b"q" * 70_000]
    content = b"".join(call_record(canon.encode({"x": at, "pad": "z" * 30_000}), payload) for at, payload in enumerate(payloads * 12))
    found = drafts(content)
    assert [params["x"] for params, _ in found] == list(range(48))
    assert [payload for _, payload in found] == payloads * 12
    assert PAYLOAD_NAME == "arguments"


def test_a_jobs_own_params_and_repeats_are_added() -> None:
    content = call_record(canon.encode({"x": 1}), b"")
    assert drafts(content, "params: {k: 2}\n") == [({"k": 2, "x": 1}, b"")]


@pytest.mark.parametrize(
    "content",
    [b"\0", HEAD.pack(3, 0) + b"\x80", HEAD.pack(1, 9) + b"\x80", HEAD.pack(1, 0) + b"\x01", HEAD.pack(1, 0) + b"\xc1", HEAD.pack(70_000, 0) + b"\x80" * 70_000, HEAD.pack(1, 1 << 63) + b"\x80"],
)  # fmt: skip
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(JobFileError, match="record 0 is not as the library writes them"):
        drafts(content)
