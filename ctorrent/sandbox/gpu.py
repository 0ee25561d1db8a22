"""Whole GPUs, by uuid: what a container is asked for, and which device files a jail may touch.

Only NVIDIA. CUDA does not survive a fork after its first use, so a cell with GPUs starts a fresh interpreter per unit
(inside/supervisor.py). Video memory is capped by nobody: a device is allotted whole, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ctorrent.errors import LocalError

_DRIVER = Path("/proc/driver/nvidia")
_SHARED = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")


def requests(uuids: Sequence[str]) -> list[Any]:
    """What to ask the Docker daemon for (docker.types.DeviceRequest); empty for none."""
    if not uuids:
        return []
    from docker.types import DeviceRequest  # a node in the jail never loads this library

    return [DeviceRequest(driver="nvidia", device_ids=list(uuids), capabilities=[["gpu", "compute", "utility"]])]


def visible(uuids: Sequence[str]) -> dict[str, str]:
    """Environment that makes CUDA see these devices and no others, where the file system does not do it alone."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(uuids), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if uuids else {}


def device_files(uuids: Sequence[str], driver: Path = _DRIVER) -> list[str]:
    """Device files of these GPUs and those all share. Raises LocalError when the driver does not know one."""
    if not uuids:
        return []
    minors = {}
    for information in sorted(driver.glob("gpus/*/information")):
        fields = dict(line.split(":", 1) for line in information.read_text().splitlines() if ":" in line)
        minors[fields.get("GPU UUID", "").strip()] = fields.get("Device Minor", "").strip()
    unknown = [uuid for uuid in uuids if uuid not in minors]
    if unknown:
        raise LocalError(f"the NVIDIA driver knows no GPU {unknown[0]}", "See `ctorrent doctor`.")
    return [*(f"/dev/nvidia{minors[uuid]}" for uuid in uuids), *_SHARED]


def read_paths() -> list[str]:
    """What libcuda reads besides libraries."""
    return [str(_DRIVER), "/sys/bus/pci", "/sys/devices", "/proc/devices", "/proc/self", "/proc/sys/vm"]
