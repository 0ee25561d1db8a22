"""GPUs: what NVML says, what it refuses to say, and what stands in its stead. The library is played; no GPU is here.

The real one is asked by the test marked `gpu`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctorrent.hardware import gpus


class NVMLError(Exception):
    pass


class PlayedNvml:
    """Two H100s, of which the second falls off; the questions named in `silent` are not answered."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, silent: tuple[str, ...] = (), lost: tuple[int, ...] = (1,), count: int = 2) -> None:
        self.silent, self.lost, self.count = silent, lost, count
        self.open = 0

    def __getattr__(self, name: str) -> Any:
        if name in self.silent:
            return self._refuse
        answers: dict[str, Any] = {
            "nvmlInit": self._init,
            "nvmlShutdown": self._shutdown,
            "nvmlDeviceGetCount": lambda: self.count,
            "nvmlDeviceGetHandleByIndex": lambda index: self._refuse() if index in self.lost else index,
            "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=80 << 30, free=79 << 30),
            "nvmlDeviceGetCudaComputeCapability": lambda _: (9, 0),
            "nvmlDeviceGetUtilizationRates": lambda _: SimpleNamespace(gpu=37),
            "nvmlDeviceGetUUID": lambda _: b"GPU-1",
            "nvmlDeviceGetName": lambda _: "NVIDIA H100",
            "nvmlSystemGetDriverVersion": lambda: "550.1",
            "nvmlDeviceGetTemperature": lambda *_: 41,
        }
        return answers[name]

    def _refuse(self, *_: object) -> Any:
        raise NVMLError("not supported")

    def _init(self) -> None:
        self.open += 1

    def _shutdown(self) -> None:
        self.open -= 1


def pci(root: Path, *devices: tuple[str, str]) -> Path:
    """A /sys/bus/pci/devices with (class, vendor) each."""
    for number, (kind, vendor) in enumerate(devices):
        folder = root / f"0000:00:{number:02x}.0"
        folder.mkdir()
        (folder / "class").write_text(kind + "\n")
        (folder / "vendor").write_text(vendor + "\n")
    return root


def test_a_device_as_it_says(tmp_path: Path) -> None:
    nvml = PlayedNvml()
    (device,), note = gpus.ask(nvml, tmp_path)
    assert (device.index, device.uuid, device.model, device.driver) == (0, "GPU-1", "NVIDIA H100", "550.1")
    assert (device.memory_bytes, device.memory_free_bytes) == (80 << 30, 79 << 30)
    assert (device.compute_capability, device.temperature_c, device.load) == ("9.0", 41.0, 0.37)
    assert note == ""
    assert nvml.open == 0, "shut down as often as started"


@pytest.mark.parametrize(
    ("silent", "field", "value"),
    [
        ("nvmlDeviceGetCudaComputeCapability", "compute_capability", ""),
        ("nvmlDeviceGetUtilizationRates", "load", 0.0),
        ("nvmlDeviceGetTemperature", "temperature_c", 0.0),
        ("nvmlDeviceGetUUID", "uuid", ""),
        ("nvmlSystemGetDriverVersion", "driver", ""),
    ],
)
def test_what_a_driver_does_not_say_loses_no_device(tmp_path: Path, silent: str, field: str, value: object) -> None:
    (device,), _ = gpus.ask(PlayedNvml((silent,)), tmp_path)
    assert getattr(device, field) == value


@pytest.mark.parametrize("silent", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetMemoryInfo"])
def test_a_driver_that_is_away_leaves_a_note(tmp_path: Path, silent: str) -> None:
    assert gpus.ask(PlayedNvml((silent,)), tmp_path) == ((), "none")
    found, note = gpus.ask(PlayedNvml((silent,)), pci(tmp_path, ("0x030200", "0x10de")))
    assert found == ()
    assert note.startswith("NVIDIA: driver")


@pytest.mark.parametrize(
    ("devices", "note"),
    [
        ((), "none"),
        ((("0x020000", "0x8086"),), "none"),  # a network card of Intel's
        ((("0x030000", "0x1af4"),), "none"),  # a virtual machine's screen
        ((("0x030000", "0x1002"),), "AMD: not supported yet"),
        ((("0x038000", "0x8086"), ("0x030000", "0x1002")), "AMD: not supported yet; Intel: not supported yet"),
    ],
)
def test_other_devices_are_named(tmp_path: Path, devices: tuple[tuple[str, str], ...], note: str) -> None:
    assert gpus.note(pci(tmp_path, *devices), "driver is away") == note


def test_a_machine_without_pci_has_none(tmp_path: Path) -> None:
    assert gpus.note(tmp_path / "missing", "") == "none"


@pytest.mark.real
def test_this_machine_answers() -> None:
    """With the real library, whatever is here: devices and no note, or a note and no devices."""
    found, note = gpus.read_gpus()
    assert bool(found) != bool(note)


def _has_gpu() -> bool:
    try:
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.gpu
@pytest.mark.skipif(not _has_gpu(), reason="no NVIDIA device on this machine")
def test_a_real_device_is_whole() -> None:
    found, note = gpus.read_gpus()
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    assert note == ""
    assert len(found) == listed.count("UUID: GPU-")
    for device in found:
        assert device.uuid in listed
        assert device.model in listed
        assert 0 < device.memory_free_bytes <= device.memory_bytes
        assert device.driver
        assert "." in device.compute_capability
