"""Load, temperatures, power: samples for the node's manners towards the person at the machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ctorrent.hardware import gpus, limits
from ctorrent.model.offer import Gpu


@dataclass(frozen=True, slots=True)
class Load:
    """One sample. None where the machine does not tell."""

    cpu: float  # 0..1 of all cores, since the sample before (the first: since the start of the machine)
    run_queue: float  # processes that run or wait, mean of a minute, per core
    memory_free_bytes: int
    swap_used: float  # 0..1
    temperature_c: float | None  # the hottest sensor of the processor
    on_battery: bool | None
    gpus: tuple[Gpu, ...] = ()


class Monitor:
    """Call `sample` from one place: each sample measures the time since the one before. Takes ~1 ms without GPUs."""

    def __init__(self, groups: limits.Groups | None = None, pci: Path | None = None) -> None:
        self._groups = groups or limits.Groups()
        self._gpus = bool(gpus.display_vendors(pci or gpus._PCI))  # a machine without a display device is not asked again

    def sample(self) -> Load:
        """Blocks for milliseconds, longer with GPUs: call it in a thread where there are some."""
        import psutil

        memory = psutil.virtual_memory()
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        return Load(
            cpu=psutil.cpu_percent(interval=None) / 100,
            run_queue=psutil.getloadavg()[0] / (psutil.cpu_count() or 1),
            memory_free_bytes=limits.memory(self._groups, memory.total, memory.available)[1],
            swap_used=psutil.swap_memory().percent / 100,
            temperature_c=_hottest(),
            on_battery=None if battery is None else not battery.power_plugged,
            gpus=gpus.read_gpus()[0] if self._gpus else (),
        )


_PROCESSOR_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal", "acpitz")


def _hottest() -> float | None:
    import psutil

    if not hasattr(psutil, "sensors_temperatures"):
        return None
    sensors = psutil.sensors_temperatures()
    found = [reading.current for name in _PROCESSOR_SENSORS for reading in sensors.get(name, ())]
    return max(found, default=None)
