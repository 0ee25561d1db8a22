"""Runs measure.py, and keeps the figures in the data folder for as long as the hardware stays the same."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from ctorrent.errors import LocalError
from ctorrent.hardware import measure
from ctorrent.model.offer import Hardware
from ctorrent.seal import digest

CACHE_NAME = "hardware.json"
LIMIT_S = 60.0  # ten times what it takes here; torch's first start on a cold disk is most of that
_RATE_MAX = 1e9  # a figure beyond this in any of our units is no measurement


@dataclass(frozen=True, slots=True)
class Speeds:
    """What was measured. 0 or absent: not measured."""

    gflops: float = 0.0
    memory_gbs: float = 0.0
    tflops: dict[str, float] = field(default_factory=dict)  # by the device's uuid


def with_speeds(hardware: Hardware, speeds: Speeds) -> Hardware:
    """`hardware` with the measured figures filled in."""
    gpus = tuple(replace(gpu, tflops=speeds.tflops.get(gpu.uuid, 0.0)) for gpu in hardware.gpus)
    return replace(hardware, gflops=speeds.gflops, memory_gbs=speeds.memory_gbs, gpus=gpus)


def key(hardware: Hardware) -> str:
    """Changes when the figures would: another processor, other limits, other devices or drivers."""
    parts = [hardware.arch, hardware.system, hardware.cpu_model, str(hardware.cores), str(hardware.memory_bytes >> 30)]
    parts += [part for gpu in hardware.gpus for part in (gpu.uuid, gpu.driver)]
    return digest("ctorrent/hardware/1", *(part.encode() for part in parts)).hex()[:32]


async def run(hardware: Hardware) -> Speeds:
    """Measure, in a process of its own. Raises LocalError when it fails or takes longer than LIMIT_S."""
    command = [sys.executable, "-I", str(measure.__file__), str(hardware.cores), str(len(hardware.gpus))]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(hardware.cores))
    with trio.move_on_after(LIMIT_S):
        ran = await trio.run_process(
            command, capture_stdout=True, stderr=subprocess.DEVNULL, check=False, env={**os.environ, **threads}
        )
        if ran.returncode:
            raise LocalError(f"The benchmark ended with exit status {ran.returncode}.", f"See: {' '.join(command)}")
        return _named(parse(ran.stdout), hardware)
    raise LocalError(f"The benchmark took longer than {LIMIT_S:g} s.", "Run it again when the machine is less busy.")


def load(folder: Path, hardware: Hardware) -> Speeds | None:
    """The figures kept for this very hardware; None when there are none, or they cannot be read."""
    try:
        kept = json.loads((folder / CACHE_NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(kept, dict) or kept.get("hardware") != key(hardware):
        return None
    return parse(json.dumps(kept).encode())


def save(folder: Path, hardware: Hardware, speeds: Speeds) -> None:
    """Keep the figures. They can be measured again: not synced, and a disk that refuses is no failure of anything."""
    kept = {
        "hardware": key(hardware),
        "gflops": speeds.gflops,
        "memory_gbs": speeds.memory_gbs,
        "tflops": speeds.tflops,
    }
    spare = folder / f".{CACHE_NAME}.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        spare.write_text(json.dumps(kept, indent=1) + "\n")
        spare.replace(folder / CACHE_NAME)
    except OSError:
        with contextlib.suppress(OSError):
            spare.unlink(missing_ok=True)


def parse(text: bytes) -> Speeds:
    """Figures from JSON; whatever is not a sensible number is 0 or left out."""
    try:
        figures = json.loads(text)
    except ValueError:
        return Speeds()
    if not isinstance(figures, dict):
        return Speeds()
    devices = figures.get("tflops")
    tflops = {str(k): _rate(v) for k, v in devices.items()} if isinstance(devices, dict) else {}
    return Speeds(_rate(figures.get("gflops")), _rate(figures.get("memory_gbs")), tflops)


def _named(speeds: Speeds, hardware: Hardware) -> Speeds:
    """Devices by uuid instead of by index."""
    return replace(speeds, tflops={gpu.uuid: speeds.tflops.get(str(gpu.index), 0.0) for gpu in hardware.gpus})


def _rate(value: object) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and 0 <= value < _RATE_MAX else 0.0  # type: ignore[operator,arg-type]
