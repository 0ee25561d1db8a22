"""What cgroups and affinity leave of the cores and the memory.

A container or a service may use far less than the machine has; a node that promises the machine's figures is killed for
it. Limits of every group from our own up to the root count: the tightest holds. Sources: kernel
Documentation/admin-guide/cgroup-v2.rst (cpu.max, memory.max) and cgroup-v1 (cpu.cfs_quota_us, memory.limit_in_bytes).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT_BYTES = 1 << 60  # version 1 writes "none" as a number just below 2^63


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups that this process is in, nearest first, by controller ("" for version 2)."""

    proc: Path = Path("/proc")
    mount: Path = Path("/sys/fs/cgroup")

    def folders(self, controller: str) -> Iterator[Path]:
        """Folders that limit `controller` ("cpu", "memory"), of version 2 and of version 1, own group to root."""
        for line in _text(self.proc / "self" / "cgroup").splitlines():
            _, names, group = [*line.split(":", 2), "", "", ""][:3]
            if names == "":
                roots = [self.mount, self.mount / "unified"]
            elif controller in names.split(","):
                roots = [self.mount / names, self.mount / controller]
            else:
                continue
            for root in roots:
                if root.is_dir():
                    yield from _upwards(root, group)


def _upwards(root: Path, group: str) -> Iterator[Path]:
    """A group's folder and those above it. Inside a container the path may lead outside of what is mounted: then the root."""
    parts = [part for part in group.split("/") if part not in ("", "..")]
    while parts:
        folder = root.joinpath(*parts)
        if folder.is_dir():
            yield folder
        parts.pop()
    yield root


def usable_cores(groups: Groups, physical: int | None) -> int:
    """Cores to promise: physical, allowed by affinity, or paid by the quota, whichever is fewest; at least 1."""
    counts = [float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)]
    if physical:
        counts.append(float(physical))
    counts += cpu_quotas(groups)
    return max(1, int(min(counts)))


def cpu_quotas(groups: Groups) -> list[float]:
    """Every quota in force, in cores."""
    found: list[float] = []
    for folder in groups.folders("cpu"):
        parts = _text(folder / "cpu.max").split()
        quota, period = parts if len(parts) == 2 else (_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))
        try:
            if int(quota) > 0 and int(period) > 0:
                found.append(int(quota) / int(period))
        except ValueError:
            continue  # "max", or no such file
    return found


def memory(groups: Groups, total_bytes: int, free_bytes: int) -> tuple[int, int]:
    """(all, free) bytes that this process may use, given the machine's. Pages that the kernel can drop count as free."""
    for folder in groups.folders("memory"):
        limit = _number(folder, "memory.max", "memory.limit_in_bytes")
        if limit is None or limit >= _NO_LIMIT_BYTES:
            continue
        used = _number(folder, "memory.current", "memory.usage_in_bytes") or 0
        total_bytes = min(total_bytes, limit)
        free_bytes = min(free_bytes, max(0, limit - used + _droppable(folder)))
    return total_bytes, min(free_bytes, total_bytes)


def _droppable(folder: Path) -> int:
    figures = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
    try:
        return int(figures.get("total_inactive_file", figures.get("inactive_file", "0")))
    except ValueError:
        return 0


def _number(folder: Path, *names: str) -> int | None:
    for name in names:
        try:
            return int(_text(folder / name))
        except ValueError:
            continue
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
