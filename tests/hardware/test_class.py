"""The class of a machine: one text, equal where bits may be expected to be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctorrent.hardware.probe import simd
from ctorrent.model.hardware_class import DETERMINISM, hardware_class
from ctorrent.model.ids import Digest
from ctorrent.model.job import Limits, Needs, Program, ProgramKind
from ctorrent.ports import CellSpec
from ctorrent.sandbox.description import surroundings
from ctorrent.sandbox.inside.seeds import Seeder
from ctorrent.testing.fake_hardware import machine
from ctorrent.testing.fake_sandbox import environment
from ctorrent.wire.codec_bounds import BOUNDS


def test_what_it_says() -> None:
    plain = machine()
    assert hardware_class(plain) == "x86_64" and hardware_class(replace(plain, simd="v3")) == "x86_64-v3"
    with_gpus = replace(machine(gpus=2), simd="v4")
    assert hardware_class(with_gpus) == f"x86_64-v4;Fake H200/9.0/550.1;{DETERMINISM}", "two of a kind are one kind"
    other = replace(with_gpus, gpus=tuple(replace(gpu, driver="560.2") for gpu in with_gpus.gpus))
    assert hardware_class(other) != hardware_class(with_gpus)
    many = replace(plain, gpus=tuple(replace(with_gpus.gpus[0], model=f"Odd model number {n}") for n in range(50)))
    assert len(hardware_class(many)) <= BOUNDS.label_chars and hardware_class(many) != hardware_class(replace(many, gpus=many.gpus[1:]))


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("flags\t\t: fpu sse4_2 ssse3 avx2 fma bmi2", "v3"),
        ("flags : fpu sse4_2 ssse3 avx2 fma bmi2 avx512f avx512bw avx512cd avx512dq avx512vl", "v4"),
        ("flags : sse4_2 ssse3 avx2", "v2"),
        ("Features\t: fp asimd sve", "sve"),
        ("Features : fp asimd", "neon"),
        ("flags : fpu", ""),
        ("nothing", ""),
    ],
)
def test_the_level_of_a_processor(flags: str, level: str, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\nmodel name : X avx2\n")
    assert simd(tmp_path / "cpuinfo") == level
    assert simd(tmp_path / "none") == ""


def surrounded(*gpus: str) -> dict[str, str]:
    program = Program(ProgramKind.PYTHON, Digest(b""), "a.py:f")
    return surroundings(CellSpec("job", program, "/nowhere", environment(), Needs(cpu=3), Limits(), 7, gpus))


def test_what_det1_names_is_set_where_there_are_gpus() -> None:
    assert surrounded("GPU-1").items() - surrounded().items() == {("CUBLAS_WORKSPACE_CONFIG", ":4096:8"), ("NVIDIA_TF32_OVERRIDE", "0")}
    assert surrounded()["OMP_NUM_THREADS"] == "3"


def test_torch_is_told_once_and_a_program_may_choose_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the switches of torch's documentation; the library itself is not here."""
    told: list[tuple[Any, ...]] = []
    torch: Any = SimpleNamespace(
        manual_seed=lambda seed: told.append((seed,)),
        use_deterministic_algorithms=lambda mode, warn_only: told.append((mode, warn_only)),
        backends=SimpleNamespace(
            cudnn=SimpleNamespace(benchmark=True, deterministic=False, allow_tf32=True), cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=True))
        ),
    )
    monkeypatch.setitem(__import__("sys").modules, "torch", torch)
    seeder = Seeder()
    seeder.set(5)
    cudnn = torch.backends.cudnn
    assert (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (False, True, False, False)
    cudnn.benchmark = True
    seeder.set(6)
    assert cudnn.benchmark and told == [(5,), (True, True), (6,)]
