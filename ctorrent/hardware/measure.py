"""The benchmark itself: run as a file in a process of its own; prints one JSON object. A few seconds at most.

    python measure.py CORES GPUS   ->  {"gflops": …, "memory_gbs": …, "tflops": {"GPU-…": …}}

gflops: float64 matrix product on all CORES (2 n³ operations). memory_gbs: bytes read and written by copying arrays that
no cache holds, all cores, as STREAM's "copy" counts them (McCalpin 1995). tflops: float32 matrix product on each of the
devices, keyed by their place (CUDA's order is set to the bus's, as NVML counts). Best of several runs: what disturbs a
measurement only ever slows it. What cannot be measured is left out.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SECONDS_EACH = 0.8  # long enough for clocks to rise, short enough for a first start
SIDE_CPU = 1536  # 3 × 19 MB: beyond most caches, ~50 ms on a slow core
SIDE_GPU = 8192  # 3 × 256 MB
COPY_BYTES = 128 << 20  # in all threads together: several times the largest common last-level cache


def best(run: Callable[[], float]) -> float:
    """The highest of the rates that `run` returns within SECONDS_EACH, at least two runs."""
    began = time.perf_counter()
    rates = [run(), run()]
    while time.perf_counter() - began < SECONDS_EACH:
        rates.append(run())
    return max(rates)


def gflops() -> float:
    """Of float64 matrix products; as many threads as OMP_NUM_THREADS says."""
    import numpy

    random = numpy.random.default_rng(1)
    left, right = random.random((SIDE_CPU, SIDE_CPU)), random.random((SIDE_CPU, SIDE_CPU))
    out = numpy.empty_like(left)

    def run() -> float:
        began = time.perf_counter()
        numpy.matmul(left, right, out=out)
        return 2 * SIDE_CPU**3 / (time.perf_counter() - began) / 1e9

    return best(run)


def memory_gbs(cores: int) -> float:
    """GB/s of copying, read and written bytes together."""
    import numpy

    threads = min(cores, 16)  # more never move more
    count = COPY_BYTES // threads // 8
    pairs = [(numpy.ones(count), numpy.zeros(count)) for _ in range(threads)]

    def copy(pair: tuple[Any, Any]) -> None:
        numpy.copyto(pair[1], pair[0])  # gives the interpreter's lock up

    with ThreadPoolExecutor(threads) as pool:

        def run() -> float:
            began = time.perf_counter()
            list(pool.map(copy, pairs))
            return 2 * count * 8 * threads / (time.perf_counter() - began) / 1e9

        return best(run)


def tflops() -> dict[str, float]:
    """By the device's index. Empty without torch or CUDA."""
    try:
        import torch
    except ImportError:
        return {}
    if not torch.cuda.is_available():
        return {}
    return {str(index): _tflops(torch, f"cuda:{index}") for index in range(torch.cuda.device_count())}


def _tflops(torch: Any, device: str) -> float:
    torch.backends.cuda.matmul.allow_tf32 = False  # what is called float32 is float32
    left = torch.rand((SIDE_GPU, SIDE_GPU), device=device)
    right = torch.rand((SIDE_GPU, SIDE_GPU), device=device)

    def run() -> float:
        torch.cuda.synchronize(device)
        began = time.perf_counter()
        torch.matmul(left, right)
        torch.cuda.synchronize(device)
        return 2 * SIDE_GPU**3 / (time.perf_counter() - began) / 1e12

    return best(run)


def main() -> None:
    cores, gpus = int(sys.argv[1]), int(sys.argv[2])
    figures: dict[str, object] = {}
    try:
        figures["gflops"] = gflops()
        figures["memory_gbs"] = memory_gbs(cores)
    except (ImportError, MemoryError) as error:
        print(f"cpu: {error}", file=sys.stderr)
    if gpus:
        try:
            figures["tflops"] = tflops()
        except RuntimeError as error:  # torch's word for every trouble of the device
            print(f"gpu: {error}", file=sys.stderr)
    print(json.dumps(figures))


if __name__ == "__main__":
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    main()
