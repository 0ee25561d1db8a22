"""Environments: the packages that blocks may import, in folders made for sandboxes, never the owner's own.

    data/environments/<name>/site/               pip install --target, wheels only
    data/environments/<name>/environment.json    what is in it; its time is that of the last use
    data/environments/lock-<digest>/             made from a job's lock (install.py)

"base" is always there: this node's Python without packages. A fingerprint is the digest of all that a result may
depend on: Python patch, package versions, libc, architecture, GPU class, image.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import trio

from ctorrent.errors import LocalError
from ctorrent.model.ids import Digest
from ctorrent.model.offer import EnvironmentInfo
from ctorrent.sandbox.limits import SandboxRules
from ctorrent.sandbox.programs import Programs
from ctorrent.seal import digest

BASE = "base"
LOCKED = "lock-"  # the beginning of such environments' names
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,40}\Z")


class Environments:
    """The environments of one data folder."""

    def __init__(self, data_dir: Path, rules: SandboxRules, programs: Programs | None = None, gpu_class: str = "", image: str = "") -> None:
        self._folder = data_dir / "environments"
        self._rules = rules
        self._programs = programs
        self._gpu_class = gpu_class
        self._image = image

    def known(self) -> tuple[EnvironmentInfo, ...]:
        """"base" and all that were added, by name."""
        names = sorted(path.parent.name for path in self._folder.glob("*/environment.json"))
        found = [self._read(name) for name in names if not name.startswith(".")]
        return (self._info(BASE, ()), *(info for info in found if info is not None))

    def of_image(self, python: str, packages: tuple[tuple[str, str], ...]) -> EnvironmentInfo:
        """The environment that a named image is."""
        info = replace(self._info(BASE, packages), python=python, programs=(), withheld=frozenset(), fingerprint=Digest(b""))
        return replace(info, fingerprint=fingerprint(info, self._gpu_class))

    def site(self, name: str) -> Path | None:
        """The folder to import from; None for "base". Raises LocalError when it is not there."""
        if name == BASE:
            return None
        site = self._folder / name / "site"
        if not _NAME.match(name) or not site.is_dir():
            raise LocalError(f"there is no environment {name!r}", f"Make it: ctorrent env add {name} PACKAGE…")
        with suppress(OSError):
            os.utime(self._folder / name / "environment.json")  # what was not used for longest gives way to others
        return site

    async def add(self, name: str, packages: list[str]) -> EnvironmentInfo:
        """Make or replace an environment from wheels. Raises LocalError with pip's own last words."""
        if not _NAME.match(name) or name == BASE or name.startswith(LOCKED):
            raise LocalError(f"{name!r} cannot name an environment", "Use small letters, digits, dots and dashes.")
        wrong = [package for package in packages if package.startswith("-")]
        if wrong or not packages:
            raise LocalError(f"{wrong[0]!r} is not a package" if wrong else "no package was named")
        fresh = self._folder / f".{name}.{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            await self._install(fresh / "site", packages)
            info = self._info(name, installed(fresh / "site"))
            (fresh / "environment.json").write_text(json.dumps({"packages": info.packages, "wanted": packages}))
            self._publish(fresh, name)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return info

    async def _install(self, site: Path, packages: list[str]) -> None:
        argv = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--no-input", "--only-binary", ":all:", "--target", str(site), "--", *packages]
        try:
            with trio.fail_after(self._rules.pip_s):
                done = await trio.run_process(argv, capture_stdout=True, capture_stderr=True, check=False)
        except trio.TooSlowError:
            raise LocalError(f"pip took longer than {self._rules.pip_s:g} s") from None
        if done.returncode:
            words = done.stderr.decode("utf-8", "replace").strip().splitlines()
            errors = [line for line in words if line.startswith("ERROR")] or words
            raise LocalError(f"pip could not install {' '.join(packages)}: {' '.join(errors[-2:])}")

    def _publish(self, fresh: Path, name: str) -> None:
        """Put the finished folder in its place; cells that use the old one keep its open files."""
        target = self._folder / name
        old = self._folder / f".{name}.old.{os.getpid()}"
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Raises LocalError when it is not there."""
        if name == BASE:
            raise LocalError("the environment base is this node's Python and cannot be removed")
        self.site(name)
        shutil.rmtree(self._folder / name)

    def _read(self, name: str) -> EnvironmentInfo | None:
        """None for one that was removed just now, or that no longer holds what its lock says: it is made again."""
        try:
            about = json.loads((self._folder / name / "environment.json").read_text())
            found = tuple((str(package), str(version)) for package, version in about["packages"])
            lock = bytes.fromhex(about.get("lock", ""))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise LocalError(f"the environment {name!r} is damaged", f"Remove it: ctorrent env rm {name}") from None
        if lock and dict(found) != named(self._folder / name / "site"):
            return None
        return replace(self._info(name, found), lock=lock)

    def _info(self, name: str, packages: tuple[tuple[str, str], ...]) -> EnvironmentInfo:
        info = EnvironmentInfo(
            name=name,
            fingerprint=Digest(b""),
            python=platform.python_version(),
            arch=platform.machine(),
            packages=packages,
            programs=self._programs.offered() if self._programs else (),
            image=self._image,
            withheld=self._programs.withheld() if self._programs else frozenset(),
        )
        return replace(info, fingerprint=fingerprint(info, self._gpu_class))


def fingerprint(info: EnvironmentInfo, gpu_class: str = "") -> Digest:
    """Digest of all that equal results may depend on. Programs are told apart by the image or the distribution."""
    parts = [info.python, info.arch, "-".join(platform.libc_ver()), gpu_class, info.image]
    parts += [f"{name}=={version}" for name, version in info.packages]
    return Digest(digest("ctorrent/environment/1", *(part.encode() for part in parts)))


def installed(site: Path) -> tuple[tuple[str, str], ...]:
    """(canonical name, version) of what a folder holds, sorted."""
    found = metadata.distributions(path=[str(site)])
    return tuple(sorted({(canonical(package.metadata["Name"]), package.version) for package in found}))


def named(site: Path) -> dict[str, str]:
    """{canonical name: version} by the folders' names alone: what strangers chose is not read."""
    try:
        folders = [entry.name for entry in os.scandir(site) if entry.name.endswith(".dist-info")]
    except OSError:
        return {}
    pairs = [folder.removesuffix(".dist-info").rpartition("-") for folder in folders]
    return {canonical(name): version for name, _, version in pairs}


def canonical(name: str) -> str:
    """Package names compare without case, dots and underscores (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
