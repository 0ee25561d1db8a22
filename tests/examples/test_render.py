"""examples/render on three nodes, against the same tiles drawn here; and its PNG, read by a reader of its own."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest

from tests.examples.swarmed import finished


@pytest.mark.real
@pytest.mark.slow
def test_render_two_frames(net: Any, load: Any) -> None:
    tracer, assemble = load("render/tracer.py"), load("render/assemble.py")
    job = net.attach(net.submit(assemble.JOB, assemble.job_text(frames=2, samples=1)))
    rows = finished(job)
    assert len(rows) == 2 * 48
    here = tracer.join([tracer.tile(**row["params"], seed=row["seed"]) for row in rows])
    assert job.answer() == here
    assert here["frames"][0] != here["frames"][1]
    size, frames = read_png(assemble.png(here["width"], here["height"], here["frames"]))
    assert (size, frames) == ((384, 216), here["frames"])


def test_png_of_one_and_of_three_frames(load: Any) -> None:
    assemble = load("render/assemble.py")
    frames = [bytes((7 * at + shift) % 256 for at in range(5 * 3 * 3)) for shift in (0, 50, 100)]
    for shown in (frames[:1], frames):
        assert read_png(assemble.png(5, 3, shown)) == ((5, 3), shown)
    with pytest.raises(ValueError, match="5 x 3 has 45"):
        assemble.png(5, 3, [b"short"])


def test_the_job_text_is_the_job_file_with_other_numbers(load: Any) -> None:
    assemble = load("render/assemble.py")
    assert assemble.job_text(1) == assemble.JOB.read_text()
    text = assemble.job_text(3, 2)
    assert "frame: [0, 1, 2]\n" in text and "params: {samples: 2}\n" in text


def read_png(data: bytes) -> tuple[tuple[int, int], list[bytes]]:
    """Size and RGB frames of a PNG with left filters; checks every checksum and the animation's sequence numbers."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, sequence = 8, [], 0
    size, frames = (0, 0), None
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        at += 12 + length
        if kind == b"IHDR":
            size = struct.unpack_from(">II", body)
            assert body[8:] == bytes((8, 2, 0, 0, 0))
        elif kind == b"acTL":
            frames = struct.unpack_from(">I", body)[0]
        elif kind in (b"fcTL", b"fdAT"):
            assert struct.unpack_from(">I", body)[0] == sequence
            sequence += 1
            if kind == b"fdAT":
                packed.append(body[4:])
        elif kind == b"IDAT":
            packed.append(body)
    assert kind == b"IEND" and len(packed) == (frames or 1)
    return size, [unfiltered(zlib.decompress(body), size[0] * 3) for body in packed]


def unfiltered(raw: bytes, stride: int) -> bytes:
    image = bytearray()
    for at in range(0, len(raw), stride + 1):
        assert raw[at] == 1
        row = bytearray(raw[at + 1 : at + 1 + stride])
        for place in range(3, stride):
            row[place] = (row[place] + row[place - 3]) % 256
        image += row
    return bytes(image)
