"""What ports.HardwarePort promises, of the fake and of this machine alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from ctorrent.hardware import Machine
from ctorrent.ports import HardwarePort
from ctorrent.testing.fake_hardware import FakeHardware


def both(test: Callable[[HardwarePort], None]) -> Callable[..., None]:
    @pytest.mark.parametrize("kind", ["fake", pytest.param("real", marks=pytest.mark.real)])
    def run(kind: str, tmp_path: Path) -> None:
        test(FakeHardware() if kind == "fake" else Machine(tmp_path))

    run.__name__ = test.__name__
    return run


@both
def test_a_sample_has_figures_that_make_sense_and_counters_that_only_grow(port: HardwarePort) -> None:
    async def main() -> None:
        hardware, first = await port.probe(), await port.sample()
        await trio.sleep(0.05)
        second = await port.sample()
        for load in (first, second):
            assert 0 <= load.cpu <= 1 and load.run_queue >= 0 and 0 <= load.swap_used <= 1
            assert 0 < load.memory_free_bytes <= load.memory_bytes == hardware.memory_bytes
            assert load.disk_free_bytes > 0 and load.process_bytes > 0 and len(load.gpus) == len(hardware.gpus)
        assert second.net_in_bytes >= first.net_in_bytes >= 0 and second.net_out_bytes >= first.net_out_bytes >= 0

    trio.run(main)


@both
def test_samples_may_be_asked_for_at_once(port: HardwarePort) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(port.sample)

    trio.run(main)
