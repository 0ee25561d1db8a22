"""ports.HardwarePort with whatever machine the test describes."""

from __future__ import annotations

from dataclasses import replace

import trio

from ctorrent.model.offer import Gpu, Hardware, Load

GIB = 1 << 30


def machine(cores: int = 4, memory_gib: int = 8, gpus: int = 0, gflops: float = 100.0, arch: str = "x86_64") -> Hardware:
    """An ordinary machine, idle and already measured."""
    cards = tuple(
        Gpu(i, f"GPU-{i}", "Fake H200", 140 * GIB, 140 * GIB, "550.1", "9.0", 40.0, 0.0, 60.0) for i in range(gpus)
    )
    return Hardware(
        arch, "Linux", "Fake CPU", cores, memory_gib * GIB, memory_gib * GIB, 100 * GIB, cards,
        "" if gpus else "none", gflops, 20.0,
    )  # fmt: skip


class FakeHardware:
    """ports.HardwarePort. Assign `now` to change the machine under the node."""

    def __init__(self, now: Hardware | None = None, benchmark_s: float = 3.0) -> None:
        self.now = now or machine()
        self._benchmark_s = benchmark_s
        self.cpu, self.net_bytes_s = 0.25, 1000  # of every sample
        self.samples = 0
        self._began = 0.0

    async def probe(self) -> Hardware:
        await trio.lowlevel.checkpoint()
        return self.now

    async def benchmark(self) -> Hardware:
        await trio.sleep(self._benchmark_s)
        self.now = replace(self.now, gflops=self.now.gflops or 100.0, memory_gbs=self.now.memory_gbs or 20.0)
        return self.now

    async def sample(self) -> Load:
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        self._began = self._began or now
        carried = int((now - self._began) * self.net_bytes_s)
        self.samples += 1
        return Load(
            cpu=self.cpu, run_queue=self.cpu, memory_free_bytes=self.now.memory_free_bytes, swap_used=0.0, temperature_c=50.0,
            on_battery=None, gpus=self.now.gpus, memory_bytes=self.now.memory_bytes, net_in_bytes=carried, net_out_bytes=2 * carried,
            disk_free_bytes=self.now.disk_free_bytes, process_bytes=100 << 20,
        )  # fmt: skip
