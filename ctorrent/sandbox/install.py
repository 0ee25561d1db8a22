"""Environments made from locks: wheels whose hashes a job's requester pinned, from this machine's own index.

    data/environments/lock-<16 of the lock's digest>/       used by every job with this lock, until others need the room
    data/environments/.lock-<16>.<process>/                 being made: pip may write here and nowhere else
    data/environments/.making                               locked meanwhile: one at a time, also among nodes that share it

Nothing of a wheel is executed: no build, no .pth, no script, no compiling; piprun.py has the kernel see to it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio
from packaging.tags import Tag, sys_tags
from packaging.version import InvalidVersion, Version

from ctorrent.errors import LocalError
from ctorrent.model.lock import Lock
from ctorrent.ports import Made
from ctorrent.sandbox import records
from ctorrent.sandbox.environment import LOCKED, named
from ctorrent.sandbox.limits import SandboxRules
from ctorrent.sandbox.pip import measure, pip, too_much
from ctorrent.sandbox.resolve import resolve

LOOK_S = 0.2  # how often a node asks whether another one that shares the folder is done
_HALF_MADE = re.compile(r"\.lock-[0-9a-f]{16}\.(\d+)\Z")


class PipPackages:
    """ports.Packages by pip."""

    def __init__(self, data_dir: Path, rules: SandboxRules) -> None:
        self._folder = data_dir / "environments"
        self._rules = rules

    def tags(self) -> Collection[Tag]:
        """ports.Packages.tags."""
        return frozenset(sys_tags())

    async def resolve(self, packages: tuple[str, ...], prefer: dict[str, str]) -> Lock:
        """ports.Packages.resolve."""
        return await resolve(packages, prefer)

    def free_bytes(self) -> int:
        """ports.Packages.free_bytes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._folder).free

    def made(self) -> tuple[Made, ...]:
        """ports.Packages.made."""
        found = []
        for path in self._folder.glob(f"{LOCKED}*/environment.json"):
            with suppress(OSError, ValueError):
                about = json.loads(path.read_text())
                found.append((path.stat().st_mtime, Made(path.parent.name, bytes.fromhex(about["lock"]), int(about["bytes"]))))
        return tuple(one for _, one in sorted(found, key=lambda pair: (pair[0], pair[1].name)))

    def remove(self, name: str) -> None:
        """ports.Packages.remove."""
        if name.startswith(LOCKED):
            (self._folder / name / "environment.json").unlink(missing_ok=True)  # first: half an environment is none
            shutil.rmtree(self._folder / name, ignore_errors=True)

    async def install(self, lock: Lock, digest: bytes, limit_bytes: int, grown: Callable[[int], None]) -> str:
        """ports.Packages.install."""
        name = LOCKED + digest.hex()[:16]
        async with self._alone():
            self._sweep()
            if any(one.lock == digest for one in self.made()):
                return name  # another node that shares the folder was faster
            fresh = self._folder / f".{name}.{os.getpid()}"
            fresh.mkdir()
            try:
                await self._fill(fresh, lock, digest, limit_bytes, grown)
                self.remove(name)
                (fresh / "work").rename(self._folder / name)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        return name

    async def _fill(self, fresh: Path, lock: Lock, digest: bytes, limit_bytes: int, grown: Callable[[int], None]) -> None:
        """pip's part in fresh/pip, which it may write; what it made is looked at, then moved to fresh/work."""
        box, work = fresh / "pip", fresh / "work"
        box.mkdir()
        work.mkdir()
        (fresh / "requirements").write_text(requirements(lock))
        arguments = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile", "--no-cache-dir",
                     "--target", str(box / "site"), "--requirement", str(fresh / "requirements")]  # fmt: skip
        await pip("install", arguments, self._rules.pip_s, box, limit_bytes, grown)
        wrong = differences(lock, named(box / "site"))
        if wrong:
            raise LocalError(f"what was installed is not what the lock says: {wrong}")
        wrong = await trio.to_thread.run_sync(too_much, box, limit_bytes, grown)  # it may have been quicker than our looks
        if wrong:
            raise LocalError(wrong)
        await trio.to_thread.run_sync(_plain, box / "site")
        await trio.to_thread.run_sync(records.check, box / "site")
        size, _ = await trio.to_thread.run_sync(measure, box / "site")
        (box / "site").rename(work / "site")
        about = {"packages": sorted(named(work / "site").items()), "lock": digest.hex(), "bytes": size}
        (work / "environment.json").write_text(json.dumps(about))

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One environment is made at a time in this folder."""
        import fcntl  # Linux alone makes environments; every system may import this file

        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".making").open("w") as making:
            while True:
                try:
                    fcntl.flock(making, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await trio.sleep(LOOK_S)
            yield

    def _sweep(self) -> None:
        """What nodes left that were killed meanwhile. Nobody else is making one: the folder is ours."""
        for path in self._folder.iterdir():
            if _HALF_MADE.match(path.name):
                shutil.rmtree(path, ignore_errors=True)


def requirements(lock: Lock) -> str:
    """What pip reads: every name with one version and the hashes it may have. Names were checked when it was decoded."""
    lines = []
    for package in lock.packages:
        hashes = sorted({wheel.sha256.hex() for wheel in package.wheels})
        lines.append(" ".join([f"{package.name}=={package.version}", *(f"--hash=sha256:{one}" for one in hashes)]))
    return "\n".join(lines) + "\n"


def differences(lock: Lock, found: dict[str, str]) -> str:
    """How an installed folder differs from its lock, in words; empty when it does not."""
    wanted = lock.versions()
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found or name not in wanted:
            return f"{name} is {'missing' if name in wanted else 'there and not in it'}"
        if not _equal(wanted[name], found[name]):
            return f"{name} is {found[name]}, not {wanted[name]}"
    return ""


def _equal(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return False


def _plain(site: Path) -> None:
    """Files and folders only, readable by the sandbox's user, none of them special. Raises LocalError for a link."""
    for top, folders, names in os.walk(site):
        for name in (*folders, *names):
            path = Path(top, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise LocalError(f"a wheel holds {name[:60]!r}, which is neither file nor folder")
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
