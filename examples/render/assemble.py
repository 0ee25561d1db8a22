"""Renders and writes the picture, or with --frames an animation (APNG: every browser plays it).

    python examples/render/assemble.py [--frames N] [--samples N] [--local NODES] [picture.png]

Without --local the node that runs on this machine takes the job; with it, so many nodes made for it.
"""

from __future__ import annotations

import argparse
import struct
import zlib
from pathlib import Path
from typing import Any

import ctorrent

JOB = Path(__file__).with_name("job.yaml")
FRAME_MS = 80


def job_text(frames: int, samples: int | None = None) -> str:
    """The job file with its frames, and where given its samples, replaced."""
    lines = JOB.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.lstrip().startswith("frame:"):
            lines[number] = f"    frame: {list(range(frames))}"
        if samples is not None and line.startswith("params:"):
            lines[number] = f"params: {{samples: {samples}}}"
    return "\n".join(lines) + "\n"


def png(width: int, height: int, frames: list[bytes]) -> bytes:
    """RGB images as one PNG; more than one as an animation (APNG 1.0). Raises ValueError if one has another size."""
    if any(len(frame) != width * height * 3 for frame in frames):
        raise ValueError(f"a frame of {width} x {height} has {width * height * 3} bytes")
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))]
    if len(frames) > 1:
        parts.append(chunk(b"acTL", struct.pack(">II", len(frames), 0)))
    sequence = 0
    for number, frame in enumerate(frames):
        if len(frames) > 1:
            control = struct.pack(">IIIIIHHBB", sequence, width, height, 0, 0, FRAME_MS, 1000, 0, 0)
            parts.append(chunk(b"fcTL", control))
            sequence += 1
        packed = zlib.compress(filtered(frame, width * 3), 9)
        if number:
            parts.append(chunk(b"fdAT", struct.pack(">I", sequence) + packed))
            sequence += 1
        else:
            parts.append(chunk(b"IDAT", packed))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def filtered(image: bytes, stride: int) -> bytes:
    """Rows for zlib, each as the difference to the pixel on its left (filter 1): it packs better."""
    rows = []
    for at in range(0, len(image), stride):
        row = image[at : at + stride]
        rows.append(b"\1" + row[:3] + bytes((here - left) & 255 for here, left in zip(row[3:], row, strict=False)))
    return b"".join(rows)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def render(net: Any, frames: int, samples: int | None) -> dict[str, Any]:
    """Run the job on a node. -> {"width", "height", "frames": RGB bytes of each}."""
    job = net.attach(net.submit(JOB, job_text(frames, samples)))
    job.wait()
    return dict(job.answer())


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the picture on a swarm.")
    parser.add_argument("picture", nargs="?", default="render.png", type=Path)
    parser.add_argument("--frames", type=int, default=1, help="more than one makes an animation")
    parser.add_argument("--samples", type=int, help="paths for each pixel")
    parser.add_argument("--local", type=int, metavar="NODES", help="use so many nodes made for this")
    chosen = parser.parse_args()
    if chosen.local:
        with ctorrent.swarm(chosen.local) as swarm:
            image = render(swarm.net, chosen.frames, chosen.samples)
    else:
        with ctorrent.connect() as net:
            image = render(net, chosen.frames, chosen.samples)
    chosen.picture.write_bytes(png(image["width"], image["height"], image["frames"]))
    print(f"{chosen.picture}: {image['width']} x {image['height']}, {len(image['frames'])} frames")


if __name__ == "__main__":
    main()
