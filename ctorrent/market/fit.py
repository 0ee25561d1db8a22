"""Can this machine run that job: the environment to use, or every reason why not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ctorrent.model.ids import Ring
from ctorrent.model.job import MIB, Environment, Isolation, Needs
from ctorrent.model.offer import EnvironmentInfo, Gpu
from ctorrent.model.trade import No, NoReason

_PLAIN_PYTHON = re.compile(r"\d+(\.\d+){0,2}")
_DETAIL_MAX = 200  # characters of a detail; it comes from a stranger's job


@dataclass(frozen=True, slots=True)
class Ask:
    """What of an announcement or manifest a worker checks before it bids."""

    ring: Ring
    needs: Needs
    environment: Environment
    price_max: float = 0.0  # credits per reference core-hour
    command: bool = False  # a `command` program; not known before the manifest
    lock: bytes = b""  # digest of the lock that the packages were pinned to; an environment made from it goes first


@dataclass(frozen=True, slots=True)
class Machine:
    """What a node has for this requester now. `isolation_floor`: what its owner demands for such a requester."""

    rings: tuple[Ring, ...]
    environments: tuple[EnvironmentInfo, ...]
    isolation: Isolation
    cores: int  # in all
    cores_free: int
    memory_bytes: int  # that the owner shares, in all
    memory_free_bytes: int
    gpus: tuple[Gpu, ...] = ()
    gpus_free: tuple[str, ...] = field(default=())  # uuids
    commands: bool = True  # this isolation level can run `command` programs
    price: float = 0.0  # credits per reference core-hour, for this requester
    abstains: bool = False
    isolation_floor: Isolation = Isolation.NONE


def programs_of(argv: Sequence[str], environment: Environment) -> tuple[str, ...]:
    """Programs that a job uses of a machine: those it names, and the one that its command begins with."""
    first = argv[0] if argv and not environment.image else ""
    own = {first} if first and not set(first) & set("/{") else set()
    return tuple(sorted({*environment.programs, *own}))


def fits(ask: Ask, machine: Machine) -> EnvironmentInfo | tuple[No, ...]:
    """The environment the job would run in here, or the reasons why it cannot; all of them, most basic first."""
    if machine.abstains:
        return (No(NoReason.ABSTAINS),)
    if ask.ring not in machine.rings:
        return (No(NoReason.RING),)
    reasons = _terms(ask, machine) + _resources(ask.needs, machine) + _gpus(ask.needs, machine)
    chosen, lacks = best_environment(ask.environment, machine.environments, ask.lock)
    if reasons or chosen is None:
        return tuple(reasons + lacks)
    return chosen


def best_environment(
    wanted: Environment, environments: tuple[EnvironmentInfo, ...], lock: bytes = b""
) -> tuple[EnvironmentInfo | None, list[No]]:
    """What was made from this lock, the newest Python that fits, the smallest, by name; or what the nearest one lacks.

    What was made from another lock is passed over: whoever pinned that one chose the code that a job would run.
    """
    nearest = [No(NoReason.PYTHON, "no environment")]
    good: list[EnvironmentInfo] = []
    for number, info in enumerate(info for info in environments if info.lock in (b"", lock)):
        lacks = _lacks(wanted, info)
        if not lacks:
            good.append(info)
        elif number == 0 or len(lacks) < len(nearest):
            nearest = lacks
    if not good:
        return None, nearest
    good = [info for info in good if info.lock] or good
    newest = max(_version(info.python) for info in good)
    good = [info for info in good if _version(info.python) == newest]
    return min(good, key=lambda info: (len(info.packages), info.name)), []


def _terms(ask: Ask, machine: Machine) -> list[No]:
    out = []
    least = max(ask.needs.isolation, machine.isolation_floor, key=lambda level: level.value)
    if machine.isolation.value < least.value:
        out.append(No(NoReason.ISOLATION, least.name.lower()))
    if ask.command and not machine.commands:
        out.append(No(NoReason.COMMAND))
    if not machine.price <= ask.price_max:
        out.append(No(NoReason.PRICE, f"{machine.price:g}"))
    return out


def _resources(needs: Needs, machine: Machine) -> list[No]:
    """Too small for ever is its own reason; large enough but taken is BUSY."""
    out = []
    if needs.cpu > machine.cores:
        out.append(No(NoReason.CPU, f"{needs.cpu} cores"))
    elif needs.cpu > machine.cores_free:
        out.append(No(NoReason.BUSY, "cores"))
    if needs.memory_bytes > machine.memory_bytes:
        out.append(No(NoReason.MEMORY, f"{needs.memory_bytes // MIB} MiB"))
    elif needs.memory_bytes > machine.memory_free_bytes:
        out.append(No(NoReason.BUSY, "memory"))
    return out


def fitting_gpus(needs: Needs, gpus: tuple[Gpu, ...]) -> list[Gpu]:
    """Devices that satisfy memory and compute capability, whether free or not."""
    least = _capability(needs.compute_capability)
    return [g for g in gpus if g.memory_bytes >= needs.gpu_memory_bytes and _capability(g.compute_capability) >= least]


def _gpus(needs: Needs, machine: Machine) -> list[No]:
    if needs.gpu <= 0:
        return []
    able = fitting_gpus(needs, machine.gpus)
    detail = f"{needs.gpu} × {needs.gpu_memory_bytes // MIB} MiB"
    detail += f", compute capability {needs.compute_capability}"[:_DETAIL_MAX] if needs.compute_capability else ""
    if needs.compute_capability and not _capability(needs.compute_capability):
        return [No(NoReason.GPU, f"cannot read compute capability {needs.compute_capability[:40]!r}")]
    if len(able) < needs.gpu:
        return [No(NoReason.GPU, detail)]
    if sum(g.uuid in machine.gpus_free for g in able) < needs.gpu:
        return [No(NoReason.BUSY, "GPUs")]
    return []


def _capability(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text[:20].split(".")) if text else ()
    except ValueError:
        return ()


def _lacks(wanted: Environment, info: EnvironmentInfo) -> list[No]:
    out = []
    if wanted.arch and wanted.arch != info.arch:
        out.append(No(NoReason.ARCH, wanted.arch[:_DETAIL_MAX]))
    if wanted.python and not python_fits(wanted.python, info.python):
        out.append(No(NoReason.PYTHON, wanted.python[:_DETAIL_MAX]))
    if wanted.image and wanted.image != info.image:
        out.append(No(NoReason.IMAGE, wanted.image[:_DETAIL_MAX]))
    have = dict(info.packages)
    packages = [in_words(text) for text in wanted.packages if not package_fits(text, have)]
    if packages:
        out.append(No(NoReason.PACKAGES, ", ".join(packages)[:_DETAIL_MAX]))
    missing = [name for name in wanted.programs if name not in info.programs]
    absent, withheld = [name for name in missing if name not in info.withheld], [name for name in missing if name in info.withheld]
    if absent:
        out.append(No(NoReason.PROGRAMS, ", ".join(absent)[:_DETAIL_MAX]))
    if withheld:
        allow = " ".join(f"--allow-program {name}" for name in withheld)
        it = "it" if len(withheld) == 1 else "them"
        out.append(No(NoReason.WITHHELD, f"{', '.join(withheld)}, but its owner does not offer {it}: ctorrent node {allow}"[:_DETAIL_MAX]))
    return out


def python_fits(wanted: str, version: str) -> bool:
    """Does "3.11.7" satisfy "3.11", "3.11.7" or ">=3.11,<3.13"? Unreadable: no."""
    specifiers = _specifiers(f"=={wanted}.*" if _PLAIN_PYTHON.fullmatch(wanted) else wanted)
    return specifiers is not None and specifiers.contains(_version(version), prereleases=True)


def package_fits(requirement: str, have: dict[str, str]) -> bool:
    """Is a requirement string met by {canonical name: version}? Unreadable, conditional or by URL: no."""
    parsed = _requirement(requirement)
    if parsed is None:
        return False
    version = have.get(canonicalize_name(parsed.name))
    return version is not None and parsed.specifier.contains(_version(version), prereleases=True)


def package_name(requirement: str) -> str:
    """The canonical name in a requirement string; empty when it cannot be read."""
    parsed = _requirement(requirement)
    return canonicalize_name(parsed.name) if parsed is not None else ""


def in_words(requirement: str) -> str:
    """"scikit-learn==1.7.*" as people say it: "scikit-learn 1.7"; other requirements as they are."""
    parsed = _requirement(requirement)
    exact = [one.version for one in parsed.specifier if one.operator == "=="] if parsed is not None else []
    if parsed is None or len(exact) != 1 or len(parsed.specifier) != 1:
        return requirement
    return f"{parsed.name} {exact[0].removesuffix('.*')}"


@lru_cache(maxsize=1024)  # a stranger chooses these strings; a few hundred are in use at once
def _requirement(text: str) -> Requirement | None:
    try:
        parsed = Requirement(text)
    except InvalidRequirement:
        return None
    return None if parsed.marker or parsed.url else parsed


@lru_cache(maxsize=256)
def _specifiers(text: str) -> SpecifierSet | None:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        return None


@lru_cache(maxsize=4096)
def _version(text: str) -> Version:
    """An unreadable version is the lowest one."""
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0")
