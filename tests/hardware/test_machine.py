"""The port on this very machine: a probe, the benchmark and what is kept of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from ctorrent.errors import LocalError
from ctorrent.hardware import Machine, Monitor, benchmark, limits
from ctorrent.hardware.benchmark import CACHE_NAME, Speeds
from ctorrent.hardware.probe import cpu_model, disk_free, probe

pytestmark = pytest.mark.real


def test_a_probe_is_plausible(tmp_path: Path) -> None:
    hardware = trio.run(Machine(tmp_path / "not made yet").probe)
    assert hardware.cores >= 1
    assert 0 < hardware.memory_free_bytes <= hardware.memory_bytes
    assert hardware.disk_free_bytes > 0
    assert hardware.arch and hardware.system and hardware.cpu_model
    assert (hardware.gflops, hardware.memory_gbs) == (0.0, 0.0)
    assert hardware.gpus or hardware.gpu_note
    assert not (tmp_path / "not made yet").exists(), "a probe writes nothing"


def test_affinity_is_respected(tmp_path: Path) -> None:
    script = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from pathlib import Path; from ctorrent.hardware.probe import probe; print(probe(Path('/')).cores)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "1"


def test_importing_it_is_cheap() -> None:
    script = "import sys, ctorrent.hardware; print([m for m in ('numpy', 'torch', 'pynvml', 'psutil') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_benchmark_is_measured_once_and_kept(tmp_path: Path) -> None:
    script = (
        "import sys, trio; from ctorrent.hardware import Machine; h = trio.run(Machine(sys.argv[1]).benchmark)\n"
        "print(h.gflops, h.memory_gbs, 'numpy' in sys.modules or 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    gflops, memory_gbs, heavy = ran.stdout.split()
    assert float(gflops) > 0.1
    assert float(memory_gbs) > 0.1
    assert heavy == "False", "what measures is heavy, and must not stay in the node"
    kept = trio.run(Machine(tmp_path).probe)
    assert (kept.gflops, kept.memory_gbs) == (float(gflops), float(memory_gbs))


def test_figures_of_other_hardware_do_not_count(tmp_path: Path) -> None:
    hardware = probe(tmp_path)
    benchmark.save(tmp_path, hardware, Speeds(10.0, 20.0, {"GPU-1": 30.0}))
    assert benchmark.load(tmp_path, hardware) == Speeds(10.0, 20.0, {"GPU-1": 30.0})
    for other in (replace(hardware, cores=hardware.cores + 1), replace(hardware, cpu_model="another")):
        assert benchmark.load(tmp_path, other) is None
    busier = replace(hardware, memory_free_bytes=1, disk_free_bytes=1)
    assert benchmark.load(tmp_path, busier) is not None


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"hardware": 1}', "\xff"])
def test_a_damaged_cache_is_no_cache(tmp_path: Path, text: str) -> None:
    (tmp_path / CACHE_NAME).write_text(text, encoding="latin-1")
    hardware = trio.run(Machine(tmp_path).probe)
    assert hardware.gflops == 0.0


@pytest.mark.parametrize("value", [-1, 1e30, float("nan"), float("inf"), "fast", None, [], True])
def test_figures_that_are_none_are_zero(value: object) -> None:
    assert benchmark.parse(json.dumps({"gflops": value}).encode()) == Speeds()


def test_a_disk_that_refuses_the_cache_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    benchmark.save(tmp_path / "file", probe(tmp_path), Speeds(1.0))


def test_a_benchmark_that_fails_says_how_to_see_why(tmp_path: Path) -> None:
    wrong = replace(probe(tmp_path), cores=0)  # no threads to copy with
    with pytest.raises(LocalError, match="exit status") as caught:
        trio.run(benchmark.run, wrong)
    assert "measure.py" in caught.value.hint


def test_the_monitor_samples(tmp_path: Path) -> None:
    monitor = Monitor()
    monitor.sample()
    load = monitor.sample()
    assert 0 <= load.cpu <= 1
    assert 0 <= load.swap_used <= 1
    assert load.run_queue >= 0
    assert 0 < load.memory_free_bytes <= probe(tmp_path).memory_bytes


def test_the_monitor_sees_the_groups_limit(tmp_path: Path) -> None:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/\n")
    (tmp_path / "memory.max").write_text("1000000")
    assert Monitor(limits.Groups(tmp_path / "proc", tmp_path)).sample().memory_free_bytes == 1_000_000


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor : 0\nmodel name\t: AMD  EPYC 9654\n", "AMD EPYC 9654"),
        ("Hardware : BCM2835\nModel\t\t: Raspberry Pi 4\n", "Raspberry Pi 4"),
    ],
)
def test_the_processors_name(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_model(tmp_path / "cpuinfo") == name
    assert cpu_model(tmp_path / "missing")


def test_free_disk_is_that_of_the_nearest_folder_there_is(tmp_path: Path) -> None:
    assert disk_free(tmp_path / "a" / "b") > 0
