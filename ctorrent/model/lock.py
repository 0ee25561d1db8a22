"""A lock: the exact packages that a job's `needs.packages` were resolved to when it was submitted.

A wheel is named by its file name and its hash; where it is fetched from is the installing machine's own choice.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file of a package. Its name says for which Pythons and machines it is (PEP 427)."""

    filename: str
    sha256: bytes
    size_bytes: int  # of the download, the requester's claim; 0: its index did not say


@dataclass(frozen=True, slots=True)
class Pinned:
    """One package at one version, with a wheel for each kind of machine it was found for."""

    name: str  # canonical (PEP 503)
    version: str  # canonical (PEP 440)
    wheels: tuple[Wheel, ...]  # by file name


@dataclass(frozen=True, slots=True)
class Lock:
    """All packages, those asked for and those that they need, by name."""

    packages: tuple[Pinned, ...]

    def versions(self) -> dict[str, str]:
        """Canonical name -> version."""
        return {package.name: package.version for package in self.packages}
