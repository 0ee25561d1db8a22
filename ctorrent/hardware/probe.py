"""All that this machine has as one model.offer.Hardware. Blocks for milliseconds (NVML's first answer: longer)."""

from __future__ import annotations

import platform
from pathlib import Path

from ctorrent.hardware import gpus, limits
from ctorrent.model.offer import Hardware

_CPUINFO = Path("/proc/cpuinfo")
_SIMD = (  # the best first; x86-64's are levels of its psABI, cut to what mathematical libraries choose their code by
    ("v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    ("v3", {"avx2", "fma", "bmi2"}),
    ("v2", {"sse4_2", "ssse3"}),
    ("sve", {"sve"}),
    ("neon", {"asimd"}),
)


def probe(data_dir: Path, groups: limits.Groups | None = None) -> Hardware:
    """Fresh figures, without speeds. disk_free_bytes: where `data_dir` is or will be."""
    import psutil

    groups = groups or limits.Groups()
    machine = psutil.virtual_memory()
    total, free = limits.memory(groups, machine.total, machine.available)
    devices, note = gpus.read_gpus()
    return Hardware(
        arch=platform.machine(),
        system=platform.system(),
        cpu_model=cpu_model(),
        simd=simd(),
        cores=limits.usable_cores(groups, psutil.cpu_count(logical=False)),
        memory_bytes=total,
        memory_free_bytes=free,
        disk_free_bytes=disk_free(data_dir),
        gpus=devices,
        gpu_note=note,
    )


def disk_free(folder: Path) -> int:
    """Bytes that this user may still write where `folder` is or will be; 0 when nobody can tell."""
    import psutil

    existing = next((place for place in (folder, *folder.absolute().parents) if place.exists()), Path("/"))
    try:
        return int(psutil.disk_usage(str(existing)).free)
    except OSError:
        return 0


def simd(cpuinfo: Path = _CPUINFO) -> str:
    """Such as "v3"; empty where the system does not say. Libraries add up in another order at another level."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    said = next((line.partition(":")[2].split() for line in lines if line.partition(":")[0].strip() in ("flags", "Features")), [])
    return next((level for level, needed in _SIMD if needed <= {*said}), "")


def cpu_model(cpuinfo: Path = _CPUINFO) -> str:
    """Such as "AMD EPYC 9654 96-Core Processor"; the architecture where the system gives no name (many ARM boards)."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model") and value.strip():
            return " ".join(value.split())
    return platform.processor() or platform.machine()
