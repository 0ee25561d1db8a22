"""ports.HardwarePort: this machine."""

from __future__ import annotations

from pathlib import Path

import trio

from ctorrent.hardware import benchmark
from ctorrent.hardware.monitor import Monitor
from ctorrent.hardware.probe import probe
from ctorrent.model.offer import Hardware, Load


class Machine:
    """What this machine has. Figures of the benchmark are kept in `data_dir`/hardware.json."""

    def __init__(self, data_dir: Path | str) -> None:
        self._folder = Path(data_dir)
        self._monitor: Monitor | None = None
        self._sampling = trio.Lock()

    async def probe(self) -> Hardware:
        """Fresh figures, with the kept speeds where the benchmark has run on this hardware, 0 elsewhere."""
        return await trio.to_thread.run_sync(self._probe)

    async def benchmark(self) -> Hardware:
        """Measure (2 to 3 s; with a GPU and torch ~10 s), keep and return. Raises LocalError when it cannot."""
        hardware = await trio.to_thread.run_sync(probe, self._folder)
        speeds = await benchmark.run(hardware)
        await trio.to_thread.run_sync(benchmark.save, self._folder, hardware, speeds)
        return benchmark.with_speeds(hardware, speeds)

    async def sample(self) -> Load:
        """See ports.HardwarePort. A thread beside a busy loop would wait longer for its turn than the sample takes."""
        async with self._sampling:
            monitor = self._monitor
            if monitor is None:
                monitor = self._monitor = Monitor(folder=self._folder)
            return await trio.to_thread.run_sync(monitor.sample) if monitor.has_gpus else monitor.sample()

    def _probe(self) -> Hardware:
        hardware = probe(self._folder)
        kept = benchmark.load(self._folder, hardware)
        return hardware if kept is None else benchmark.with_speeds(hardware, kept)
