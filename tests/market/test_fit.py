"""Who can run what, and which reason is given where not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctorrent.market.fit import Ask, Machine, best_environment, fits, package_fits, python_fits
from ctorrent.model.ids import Digest, OwnerId, Ring, RingKind
from ctorrent.model.job import MIB, Environment, Isolation, Needs
from ctorrent.model.offer import EnvironmentInfo, Gpu
from ctorrent.model.trade import No, NoReason

PUBLIC = Ring(RingKind.PUBLIC)
PLAIN = EnvironmentInfo("plain", Digest(b"1" * 32), "3.11.7", "x86_64", ())
SCIENCE = EnvironmentInfo(
    "science", Digest(b"2" * 32), "3.11.7", "x86_64", (("numpy", "1.26.4"), ("scikit-learn", "1.4.2")), ("ffmpeg", "sh")
)
A100 = Gpu(0, "GPU-a", "A100", 40_000 * MIB, 40_000 * MIB, "550", "8.0", 30.0, 0.0)
SMALL = Gpu(1, "GPU-b", "T4", 15_000 * MIB, 15_000 * MIB, "550", "7.5", 30.0, 0.0)
MACHINE = Machine((PUBLIC,), (PLAIN, SCIENCE), Isolation.JAIL, 8, 4, 8000 * MIB, 4000 * MIB, (A100, SMALL), ("GPU-a", "GPU-b"))
ASK = Ask(PUBLIC, Needs(), Environment())


def reasons(ask: Ask = ASK, machine: Machine = MACHINE) -> tuple[No, ...]:
    found = fits(ask, machine)
    return () if isinstance(found, EnvironmentInfo) else found


def needing(**needs: Any) -> Ask:
    return replace(ASK, needs=Needs(**needs))


def in_environment(**fields: Any) -> Ask:
    return replace(ASK, environment=Environment(**fields))


def test_the_smallest_environment_that_fits_is_used() -> None:
    assert fits(ASK, MACHINE) == PLAIN
    assert fits(in_environment(packages=("scikit-learn>=1.4",)), MACHINE) == SCIENCE


def test_the_newest_python_goes_before_the_smallest() -> None:
    newer = replace(SCIENCE, name="newer", python="3.12.1")
    assert best_environment(Environment(), (PLAIN, newer)) == (newer, [])


@pytest.mark.parametrize(
    ("ask", "machine", "no"),
    [
        (ASK, replace(MACHINE, abstains=True), No(NoReason.ABSTAINS)),
        (replace(ASK, ring=Ring(RingKind.SWARM, OwnerId("own_x"))), MACHINE, No(NoReason.RING)),
        (needing(cpu=9), MACHINE, No(NoReason.CPU, "9 cores")),
        (needing(cpu=5), MACHINE, No(NoReason.BUSY, "cores")),
        (needing(memory_bytes=9000 * MIB), MACHINE, No(NoReason.MEMORY, "9000 MiB")),
        (needing(memory_bytes=5000 * MIB), MACHINE, No(NoReason.BUSY, "memory")),
        (needing(isolation=Isolation.DOCKER), MACHINE, No(NoReason.ISOLATION, "docker")),
        (ASK, replace(MACHINE, isolation_floor=Isolation.DOCKER), No(NoReason.ISOLATION, "docker")),
        (replace(ASK, command=True), replace(MACHINE, commands=False), No(NoReason.COMMAND)),
        (ASK, replace(MACHINE, price=2.0), No(NoReason.PRICE, "2")),
        (ASK, replace(MACHINE, price=float("nan")), No(NoReason.PRICE, "nan")),
        (needing(gpu=1, gpu_memory_bytes=80_000 * MIB), MACHINE, No(NoReason.GPU, "1 × 80000 MiB")),
        (needing(gpu=2, compute_capability="8.0"), MACHINE, No(NoReason.GPU, "2 × 0 MiB, compute capability 8.0")),
        (needing(gpu=1, compute_capability="8.0"), replace(MACHINE, gpus_free=("GPU-b",)), No(NoReason.BUSY, "GPUs")),
        (needing(gpu=1), replace(MACHINE, gpus=(), gpus_free=()), No(NoReason.GPU, "1 × 0 MiB")),
        (needing(gpu=1, compute_capability="x"), MACHINE, No(NoReason.GPU, "cannot read compute capability 'x'")),
        (in_environment(arch="aarch64"), MACHINE, No(NoReason.ARCH, "aarch64")),
        (in_environment(python="3.12"), MACHINE, No(NoReason.PYTHON, "3.12")),
        (in_environment(image="x@sha256:00"), MACHINE, No(NoReason.IMAGE, "x@sha256:00")),
        (in_environment(packages=("torch",)), MACHINE, No(NoReason.PACKAGES, "torch")),
        (in_environment(packages=("numpy>=2",)), MACHINE, No(NoReason.PACKAGES, "numpy>=2")),
        (in_environment(programs=("blender",)), MACHINE, No(NoReason.PROGRAMS, "blender")),
        (ASK, replace(MACHINE, environments=()), No(NoReason.PYTHON, "no environment")),
    ],
)
def test_every_reason_alone(ask: Ask, machine: Machine, no: No) -> None:
    assert reasons(ask, machine) == (no,)


def test_all_reasons_are_given_and_the_nearest_environment_speaks() -> None:
    ask = replace(in_environment(packages=("numpy", "torch")), needs=Needs(cpu=9, isolation=Isolation.KATA))
    assert reasons(ask) == (No(NoReason.ISOLATION, "kata"), No(NoReason.CPU, "9 cores"), No(NoReason.PACKAGES, "numpy, torch"))


def test_a_gpu_that_fits_is_found_among_several() -> None:
    assert fits(needing(gpu=1, gpu_memory_bytes=20_000 * MIB, compute_capability="8.0"), MACHINE) == PLAIN
    assert fits(needing(gpu=2), MACHINE) == PLAIN


@pytest.mark.parametrize(
    ("wanted", "version", "fits_it"),
    [
        ("3.11", "3.11.7", True), ("3.11", "3.12.0", False), ("3.1", "3.11.0", False), ("3.11.7", "3.11.7", True),
        ("3.11.7", "3.11.8", False), (">=3.11,<3.13", "3.12.4", True), (">=3.11,<3.13", "3.13.0", False),
        (">=3.11", "3.14.0rc1", True), ("banana", "3.11.7", False), ("3.11", "banana", False),
    ],
)  # fmt: skip
def test_python_ranges(wanted: str, version: str, fits_it: bool) -> None:
    assert python_fits(wanted, version) is fits_it


@pytest.mark.parametrize(
    ("requirement", "fits_it"),
    [
        ("scikit-learn", True), ("Scikit_Learn", True), ("scikit-learn==1.4.*", True), ("scikit-learn>=1.5", False),
        ("scikit-learn[extra]", True), ("x @ https://e.x/x.whl", False), ("numpy; python_version<'4'", False),
        ("not a requirement!", False), ("", False),
    ],
)  # fmt: skip
def test_requirement_strings(requirement: str, fits_it: bool) -> None:
    assert package_fits(requirement, dict(SCIENCE.packages)) is fits_it


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40), number=st.integers(-(2**63), 2**63))
def test_no_strangers_words_make_it_raise(text: str, number: int) -> None:
    environment = Environment(text, text, (text,), (text,), text)
    ask = Ask(PUBLIC, Needs(number, number, number, number, text), environment, float("nan"))
    assert isinstance(fits(ask, MACHINE), (tuple, EnvironmentInfo))
