"""Load, temperatures, power: samples for the node's manners towards the person at the machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from ctorrent.hardware import gpus, limits
from ctorrent.model.offer import Load


class Monitor:
    """Call `sample` from one place: each sample measures the time since the one before. Takes ~1 ms without GPUs."""

    def __init__(self, groups: limits.Groups | None = None, pci: Path | None = None, folder: Path | None = None) -> None:
        self._groups, self._folder = groups or limits.Groups(), folder or Path("/")
        self.has_gpus = bool(gpus.display_vendors(pci or gpus._PCI))  # a machine without a display device is not asked again

    def sample(self) -> Load:
        """Blocks for milliseconds, longer with GPUs: call it in a thread where there are some."""
        import psutil

        memory, (received, sent) = psutil.virtual_memory(), _carried()
        total, free = limits.memory(self._groups, memory.total, memory.available)
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        return Load(
            cpu=psutil.cpu_percent(interval=None) / 100,
            run_queue=psutil.getloadavg()[0] / (psutil.cpu_count() or 1),
            memory_free_bytes=free,
            swap_used=psutil.swap_memory().percent / 100,
            temperature_c=_hottest(),
            on_battery=None if battery is None else not battery.power_plugged,
            gpus=gpus.read_gpus()[0] if self.has_gpus else (),
            memory_bytes=total,
            net_in_bytes=received,
            net_out_bytes=sent,
            disk_free_bytes=_free(self._folder),
            process_bytes=psutil.Process().memory_info().rss,
        )


_PROCESSOR_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal", "acpitz")


def _hottest() -> float | None:
    import psutil

    if not hasattr(psutil, "sensors_temperatures"):
        return None
    sensors = psutil.sensors_temperatures()
    found = [reading.current for name in _PROCESSOR_SENSORS for reading in sensors.get(name, ())]
    return max(found, default=None)


def _carried() -> tuple[int, int]:
    """Bytes that came and went since the machine's start; what it says to itself is no traffic."""
    import psutil

    counters = psutil.net_io_counters(pernic=True)  # {} where the system keeps none
    real = [one for name, one in counters.items() if not name.startswith("lo")]
    return sum(one.bytes_recv for one in real), sum(one.bytes_sent for one in real)


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:  # such as a network disk that went away
        return 0
