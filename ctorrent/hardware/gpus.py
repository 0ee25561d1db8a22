"""NVIDIA devices through NVML; others by name, as not supported yet.

NVML is the driver's own library (nvidia-ml-py loads it). Every question to it may fail on its own, on some card or some
driver: a figure that it does not give is 0 or empty, never a reason to lose the device.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ctorrent.model.offer import Gpu

T = TypeVar("T")

_PCI = Path("/sys/bus/pci/devices")
_DISPLAY = "0x03"  # PCI base class: display controllers, 3D ones among them
_VENDORS = {"0x1002": "AMD", "0x8086": "Intel"}  # whose devices compute, but not here yet
_NVIDIA = "0x10de"


def read_gpus(pci: Path = _PCI) -> tuple[tuple[Gpu, ...], str]:
    """(devices, note). The note says why there are none; it is empty when there are some."""
    try:
        import pynvml
    except ImportError:
        return (), note(pci, "nvidia-ml-py is not installed")
    return ask(pynvml, pci)


def ask(nvml: Any, pci: Path = _PCI) -> tuple[tuple[Gpu, ...], str]:
    """read_gpus with the library handed in."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return (), note(pci, f"driver does not answer: {error}")
    try:
        devices = tuple(_device(nvml, index) for index in range(_said(nvml, nvml.nvmlDeviceGetCount, 0)))
    finally:
        _said(nvml, nvml.nvmlShutdown, None)
    found = tuple(device for device in devices if device is not None)
    return found, "" if found else note(pci, "driver lists no usable device")


def note(pci: Path, nvidia_words: str) -> str:
    """Why there is no usable GPU: "none", or whose device there is and why it does not count."""
    vendors = display_vendors(pci)
    words = [f"NVIDIA: {nvidia_words}"] if _NVIDIA in vendors else []
    words += [f"{name}: not supported yet" for vendor, name in _VENDORS.items() if vendor in vendors]
    return "; ".join(words) or "none"


def display_vendors(pci: Path) -> list[str]:
    """PCI vendor ids of display controllers, such as "0x10de", sorted."""
    try:
        devices = sorted(pci.iterdir())
    except OSError:
        return []
    return sorted({_line(device / "vendor") for device in devices if _line(device / "class").startswith(_DISPLAY)})


def _device(nvml: Any, index: int) -> Gpu | None:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError:
        return None  # a card that fell off the bus, or one that we may not open
    major, minor = _said(nvml, lambda: nvml.nvmlDeviceGetCudaComputeCapability(handle), (0, 0))
    load = _said(nvml, lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu, 0)
    return Gpu(
        index=index,
        uuid=_words(_said(nvml, lambda: nvml.nvmlDeviceGetUUID(handle), "")),
        model=_words(_said(nvml, lambda: nvml.nvmlDeviceGetName(handle), "")),
        memory_bytes=int(memory.total),
        memory_free_bytes=int(memory.free),
        driver=_words(_said(nvml, nvml.nvmlSystemGetDriverVersion, "")),
        compute_capability=f"{major}.{minor}" if major else "",
        temperature_c=float(
            _said(nvml, lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU), 0)
        ),
        load=min(1.0, max(0.0, load / 100)),
    )


def _said(nvml: Any, question: Callable[[], T], otherwise: T) -> T:
    try:
        return question()
    except nvml.NVMLError:
        return otherwise


def _words(value: str | bytes) -> str:
    """Older bindings answer in bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
