"""The class of a machine's hardware: what, beside the environment's fingerprint, the bits of a float may depend on.

    x86_64-v3                                       a processor and the level of its vector instructions
    x86_64-v3;NVIDIA H200/9.0/550.54.15;det1        and each kind of GPU: model, compute capability, driver

It is in every bid, result and tally, and the one thing that is compared is whether two are equal. Results of one class
are held to what that class does with itself; `homogeneous: true` keeps a block's replicas in one.
"""

from __future__ import annotations

from ctorrent.model.offer import Hardware
from ctorrent.seal import digest

# How a sandbox makes GPUs deterministic; another number when that changes. det1: CUBLAS_WORKSPACE_CONFIG=:4096:8,
# NVIDIA_TF32_OVERRIDE=0, and of torch: deterministic algorithms, no cuDNN benchmark, no TF32. Threads are the job's cpu.
DETERMINISM = "det1"
_CHARS_MAX = 200  # what the wire takes (codec_bounds.label_chars)


def hardware_class(hardware: Hardware) -> str:
    """The class of a machine, one line; a machine with very many kinds of GPUs is named by their digest."""
    processor = f"{hardware.arch}-{hardware.simd}" if hardware.simd else hardware.arch
    gpus = gpu_class(hardware)
    if not gpus:
        return processor
    whole = f"{processor};{gpus};{DETERMINISM}"
    return whole if len(whole) <= _CHARS_MAX else f"{processor};gpus {digest('ctorrent/gpus/1', gpus.encode()).hex()};{DETERMINISM}"


def gpu_class(hardware: Hardware) -> str:
    """Models, compute capabilities and drivers of the GPUs here; empty without any."""
    return ";".join(sorted({f"{gpu.model}/{gpu.compute_capability}/{gpu.driver}" for gpu in hardware.gpus}))
