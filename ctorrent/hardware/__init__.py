"""What this machine has and how loaded it is.

    limits.py     what cgroups and affinity leave of the cores and the memory
    gpus.py       NVIDIA devices through NVML; others by name, as not supported yet
    probe.py      all of it as one model.offer.Hardware
    monitor.py    load, temperatures, power: samples for the node's manners
    measure.py    the benchmark itself, in a process of its own, so that numpy and torch never stay in the node
    benchmark.py  runs it, and keeps the figures in the data folder for as long as the hardware stays the same
    machine.py    ports.HardwarePort: `Machine(data_dir)`

Real room, floor 3: imports floors 0 and 2 only. Importing it loads neither numpy, torch, pynvml nor psutil.
"""

from ctorrent.hardware.machine import Machine
from ctorrent.hardware.monitor import Monitor

__all__ = ["Machine", "Monitor"]
