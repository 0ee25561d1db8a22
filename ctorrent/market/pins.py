"""What a lock means for one machine: does it hold what the job needs, has it wheels for this Python, how large are they."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from ctorrent.market.fit import package_fits, package_name
from ctorrent.model.lock import Lock, Wheel

UNPACKED = 2.5  # times the download: torch with CUDA 2.5, scikit-learn with numpy and scipy 3.5; what it is, shows


@dataclass(frozen=True, slots=True)
class Choice:
    """The wheels of a lock that one machine can use."""

    wheels: tuple[Wheel, ...]

    @property
    def download_bytes(self) -> int:
        return sum(wheel.size_bytes for wheel in self.wheels)

    @property
    def disk_bytes(self) -> int:
        """What comes out of them, about; while it is made the downloads are there too."""
        return int(self.download_bytes * UNPACKED)


def choose(lock: Lock, tags: Collection[Tag]) -> Choice | str:
    """One wheel of each package for a machine with these tags, or what is missing, in words."""
    chosen = []
    for package in lock.packages:
        usable = [wheel for wheel in package.wheels if not tags_of(wheel).isdisjoint(tags)]
        if not usable:
            return f"the lock has no wheel of {package.name} {package.version} for this Python and machine"
        chosen.append(max(usable, key=lambda wheel: wheel.size_bytes))
    return Choice(tuple(chosen))


def tags_of(wheel: Wheel) -> frozenset[Tag]:
    """The kinds of machine that a wheel is for. Its name was checked when the lock was decoded."""
    return parse_wheel_filename(wheel.filename)[3]


def unmet(packages: tuple[str, ...], lock: Lock) -> list[str]:
    """Of the job's requirements, those that the lock does not hold."""
    versions = lock.versions()
    return [text for text in packages if not package_fits(text, versions)]


def title(packages: tuple[str, ...], lock: Lock) -> str:
    """The packages a person asked for, as pinned, and how many come along: "scikit-learn 1.7.0 and 4 more"."""
    versions = lock.versions()
    asked = [name for name in dict.fromkeys(package_name(text) for text in packages) if name in versions]
    shown = ", ".join(f"{name} {versions[name]}" for name in asked[:3])
    more = len(versions) - min(3, len(asked))
    return shown + (f" and {more} more" if more else "")
