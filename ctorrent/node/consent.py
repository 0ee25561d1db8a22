"""What others may use of this machine, in words, and whether its owner agreed to that much.

The yes is kept in `<data folder>/consent.json`. Whatever shares more than it (more cores, another ring, GPUs …) is asked
about again; less is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ctorrent.door import CONSENT
from ctorrent.hardware.probe import probe
from ctorrent.model.offer import Hardware
from ctorrent.node.settings import Settings, cores_lent
from ctorrent.store.folder import private_folder, replace

GB = 10**9
_RINGS = ("me", "friends", "swarm", "all")  # each holds those before it
_INSTALL = ("off", "friends", "all")
_MORE = 1.02  # memory as the kernel counts it differs by a little from boot to boot
_WHO = {
    "me": "nobody else: only your own jobs run here",
    "friends": "your friends: people you invited, or whose invite you took",
    "swarm": "your friends, and the members of the swarms you joined",
    "all": "everybody who reaches this node, strangers too",
}


@dataclass(frozen=True, slots=True)
class Shared:
    """Everything that others may use. Sizes in bytes."""

    cores: int
    memory_bytes: int
    disk_bytes: int
    gpus: int
    work_for: str
    strangers_in_jail: bool
    install: str
    programs: tuple[str, ...]


def shared(settings: Settings, hardware: Hardware) -> Shared:
    """What `settings` share of a machine."""
    return Shared(
        cores=min(cores_lent(settings, hardware.cores), 1 << 20),
        memory_bytes=settings.memory_bytes or hardware.memory_bytes // 2,
        disk_bytes=settings.disk_bytes, gpus=len(hardware.gpus) if settings.gpus else 0,
        work_for="friends" if settings.friends_only and settings.work_for != "me" else settings.work_for,
        strangers_in_jail=settings.strangers_in_jail, install=settings.install, programs=settings.programs,
    )  # fmt: skip


def grown(now: Shared, agreed: Shared) -> list[str]:
    """What is shared now beyond what was agreed to, a few words each; empty: nothing."""
    more = []
    if now.cores > agreed.cores:
        more.append(f"cores: {agreed.cores} → {now.cores}")
    for what, old, new in (("memory", agreed.memory_bytes, now.memory_bytes), ("disk", agreed.disk_bytes, now.disk_bytes)):
        if new > old * _MORE:
            more.append(f"{what}: {gigabytes(old)} → {gigabytes(new)}")
    if now.gpus > agreed.gpus:
        more.append(f"GPUs: {agreed.gpus} → {now.gpus}")
    if _RINGS.index(now.work_for) > _RINGS.index(agreed.work_for):
        more.append(f"jobs of: {agreed.work_for} → {now.work_for}")
    if now.strangers_in_jail and not agreed.strangers_in_jail:
        more.append("strangers' jobs without Docker too")
    if _INSTALL.index(now.install) > _INSTALL.index(agreed.install):
        more.append(f"packages installed for: {agreed.install} → {now.install}")
    if fresh := sorted(set(now.programs) - set(agreed.programs)):
        more.append(f"programs: {', '.join(fresh)}")
    return more


def lines(now: Shared, hardware: Hardware) -> list[tuple[str, str]]:
    """Five lines: (what it is about, what holds)."""
    gpus = f"{now.gpus} GPU{'s' if now.gpus > 1 else ''}" if now.gpus else "no GPU"
    programs = f", {', '.join(now.programs)}" if now.programs else ""
    cores = f"{now.cores} of {hardware.cores} cores"
    memory = f"{gigabytes(now.memory_bytes)} of {gigabytes(hardware.memory_bytes)} memory"
    return [
        ("Others may use", f"{cores}, {memory}, {gigabytes(now.disk_bytes)} disk, {gpus}{programs}"),
        ("Who they are", _WHO[now.work_for]),
        ("They cannot reach", "your files, your network, your programs: jobs are walled in"),
        ("To stop", "Ctrl-C, or `ctorrent stop` in any terminal: nothing is lost"),
        ("To share less", '--slots 1 --memory "1 GB" --disk "5 GB"; nothing: --no-work'),
    ]


def look(settings: Settings) -> tuple[Shared, Hardware]:
    """What would be shared, and of what. Takes milliseconds."""
    hardware = probe(settings.data_dir)
    return shared(settings, hardware), hardware


def agreed_to(data_dir: Path) -> Shared | None:
    """What the owner said yes to, or None: never, or the note is not readable and is asked about again."""
    try:
        kept = json.loads((data_dir / CONSENT).read_text())
        return _checked(kept["shared"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(data_dir: Path, now: Shared) -> None:
    """Keep the yes. Raises LocalError when the folder cannot be made."""
    private_folder(data_dir)
    replace(data_dir / CONSENT, (json.dumps({"shared": asdict(now)}, indent=1) + "\n").encode())


def _checked(kept: Mapping[str, Any]) -> Shared:
    """Raises ValueError, TypeError, KeyError for what is no such note."""
    sizes = {name: kept[name] for name in ("cores", "memory_bytes", "disk_bytes", "gpus")}
    if kept["work_for"] not in _RINGS or kept["install"] not in _INSTALL or not all(type(size) is int for size in sizes.values()):
        raise ValueError(kept)
    return Shared(
        **sizes, work_for=kept["work_for"], strangers_in_jail=kept["strangers_in_jail"] is True, install=kept["install"],
        programs=tuple(str(name) for name in kept["programs"]),
    )  # fmt: skip


def gigabytes(count: int) -> str:
    """20 GB, 4.2 GB, 0.5 GB."""
    return f"{count / GB:.2g} GB" if count < 10 * GB else f"{count / GB:.0f} GB"
