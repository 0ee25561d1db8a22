"""The jail: the supervisor as a process of this user that locked itself down. Linux 5.13, no root, no daemon."""

from __future__ import annotations

import platform
import signal
import subprocess
from pathlib import Path

import trio

from ctorrent.errors import LocalError
from ctorrent.model.job import Isolation, ProgramKind
from ctorrent.model.offer import EnvironmentInfo
from ctorrent.ports import Cell, CellSpec
from ctorrent.sandbox import description, enclosed, gpu
from ctorrent.sandbox.cell import SocketCell
from ctorrent.sandbox.environment import Environments
from ctorrent.sandbox.limits import SandboxRules
from ctorrent.sandbox.programs import Programs
from ctorrent.sandbox.room import Room

_STOP_S = 2.0  # a supervisor that lost its node leaves at once; then it is killed
GAPS = (
    "A block shares this machine's kernel: a flaw in a kernel call that is not refused could let it out.",
    "Processor time is capped per block, not shared out: a block can use every core for its time.",
    "Memory is capped per process; the processes of a command can each use that much.",
)
GAPS_WITHOUT_WALLS = (
    "No namespaces here: a block sees this machine's host name, the path of its job's folder, and names and sizes of files that it cannot open.",
    "A block runs as this user; only Landlock and the filter keep it from this user's files.",
    "Commands cannot run: their processes could not be counted or ended for certain.",
)


def works() -> str:
    """Why the jail cannot run here; empty when it can."""
    if platform.system() != "Linux":
        return f"the jail needs Linux, this is {platform.system()}"
    if platform.machine() not in ("x86_64", "aarch64"):
        return f"the jail knows no kernel calls of {platform.machine()}"
    from ctorrent.sandbox.inside import lockdown  # asks the kernel's C library as it is imported

    if lockdown.landlock_abi() < 1:
        return "the jail needs Landlock (Linux 5.13 or later, switched on)"
    return ""


class JailSandbox:
    """ports.Sandbox without a container."""

    level = Isolation.JAIL

    def __init__(self, data_dir: Path, rules: SandboxRules, gpu_class: str = "") -> None:
        """Tries what can be built here: 100 ms, blocking."""
        self._data_dir = data_dir
        self._rules = rules
        self._inside = description.install_inside(data_dir)
        self._walls = enclosed.probe(data_dir, self._inside) if rules.walls else 0
        self._environments = Environments(data_dir, rules, Programs(rules.programs) if self.commands() else None, gpu_class)
        self.gaps: tuple[str, ...] = GAPS if self._walls else GAPS + GAPS_WITHOUT_WALLS

    def commands(self) -> bool:
        """ports.Sandbox.commands."""
        return self._walls & enclosed.WALLS_ALL == enclosed.WALLS_ALL

    def environments(self) -> tuple[EnvironmentInfo, ...]:
        """ports.Sandbox.environments."""
        return self._environments.known()

    async def open(self, spec: CellSpec) -> Cell:
        """ports.Sandbox.open."""
        if spec.program.kind is ProgramKind.COMMAND and not self.commands():
            raise LocalError("the jail cannot run commands on this machine: it allows no user namespaces")
        site = self._environments.site(spec.environment.name)
        room = Room(self._data_dir)
        with room.removed_on_error():
            room.describe(self._describe(spec, room, site))
        cell = SocketCell(spec, self._rules, self.level, room, _Process(spec, self._inside))
        await cell.start()
        return cell

    def _describe(self, spec: CellSpec, room: Room, site: Path | None) -> dict[str, object]:
        sites = [str(site)] if site else []
        told = {
            **description.describe(spec, self._rules),
            "boot": description.boot_file(self._inside),
            "socket": str(room.open / "s") if len(str(room.open)) < 100 else "s",
            "folder": spec.folder,
            "site": sites,
            "read": [spec.folder, *description.python_paths(), *description.system_paths(), *sites, *(gpu.read_paths() if spec.gpus else [])],
            "supervisor_read": [str(room.open), str(self._inside), "/proc/self", *self._fresh_interpreter(spec)],
            "write": [],
            "devices": gpu.device_files(spec.gpus),
            "need_landlock": True,
        }
        if self._walls:
            root = room.folder / "root"
            root.mkdir()
            told["walls"] = enclosed.walls(root, room.open, site, told, self._inside)
        return told

    def _fresh_interpreter(self, spec: CellSpec) -> list[str]:
        """A cell with GPUs starts Python anew for each unit."""
        return [description.interpreter()] if spec.gpus else []

    async def aclose(self) -> None:
        """ports.Sandbox.aclose."""


class _Process:
    """cell.Enclosure: a plain child process."""

    def __init__(self, spec: CellSpec, inside: Path) -> None:
        self._spec = spec
        self._inside = inside
        self._process: trio.Process | None = None
        self._words: Path | None = None

    async def start(self, room: Room) -> None:
        self._words = room.folder / "boot.log"
        argv = [description.interpreter(), "-s", "-S", "-B", description.boot_file(self._inside), str(room.open / "spec.json")]
        with self._words.open("wb") as words:
            try:
                self._process = await trio.lowlevel.open_process(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=words,
                    cwd=room.open,
                    env={**description.surroundings(self._spec), **gpu.visible(self._spec.gpus)},
                    start_new_session=True,
                )
            except OSError as error:
                raise LocalError(f"the sandbox's Python cannot be started: {error}") from None

    async def trouble(self) -> str | None:
        if self._process is None or self._process.poll() is None:
            return None
        assert self._words is not None
        return self._words.read_text("utf-8", "replace")[-1000:] or f"exit code {self._process.returncode}"

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with trio.move_on_after(_STOP_S) as waiting:
            await process.wait()
        if waiting.cancelled_caught:
            process.send_signal(signal.SIGKILL)
            await process.wait()
