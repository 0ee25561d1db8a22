"""The docker sandbox: the supervisor in a hardened container, one per job.

No network, read-only root, no capabilities, no new privileges, another user, capped memory, processes and scratch; no
log driver, for a flood of output would fill the disk; nobody attaches, for a stopped reader would hang the daemon.
Inside, each child locks itself down as in the jail. The node never waits in a daemon call: a block's end is the end
of its connection.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import docker
import requests
import trio
from docker.types import LogConfig, Ulimit

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.model.ids import Digest
from ctorrent.model.job import Isolation, Limits, Needs, Program, ProgramKind
from ctorrent.model.offer import EnvironmentInfo
from ctorrent.ports import BlockInput, Cell, CellSpec
from ctorrent.sandbox import description, gpu, image
from ctorrent.sandbox.cell import SocketCell
from ctorrent.sandbox.environment import Environments
from ctorrent.sandbox.limits import SandboxRules
from ctorrent.sandbox.room import LABEL, Room, is_alive

T = TypeVar("T")
_USER = "65534:65534"
_MIB = 1 << 20
_KNOCK_S = 5.0  # the kernel answers, unless the daemon has not accepted anybody for long
_BASE_MEMORY = 96 * _MIB  # the supervisor and its spares, on top of what the slots may use
_OWN_CPU = 0.5  # forks of the next children, or the running one would be held back for them
GAPS = (
    "A container shares this machine's kernel: a flaw in a kernel call that is not refused could let it out.",
    "Blocks see this machine's processor, memory size and load.",
)
_GPU_GAP = "Video memory is not capped: a GPU is allotted whole."
_LEVELS = {"runsc": Isolation.GVISOR, "kata": Isolation.KATA, "kata-runtime": Isolation.KATA, "io.containerd.kata.v2": Isolation.KATA}
_TRIAL = b"""
def block():
    import platform, sys
    from importlib import metadata
    found = sorted({(d.metadata["Name"].lower().replace("_", "-"), d.version) for d in metadata.distributions()})
    return [platform.python_version(), [list(pair) for pair in found]]
"""


class DockerSandbox:
    """ports.Sandbox with containers. Made by `connect`."""

    def __init__(self, data_dir: Path, rules: SandboxRules, daemon: Daemon, gpu_class: str = "") -> None:
        self._data_dir = data_dir
        self._rules = rules
        self._daemon = daemon
        self._inside = description.install_inside(data_dir)
        self._environments = Environments(data_dir, rules, image.Packed(rules.programs), gpu_class, rules.image)
        self._image_info: EnvironmentInfo | None = None
        self.level = daemon.level
        self.gaps: tuple[str, ...] = (*GAPS, _GPU_GAP) if gpu_class else GAPS

    def commands(self) -> bool:
        """ports.Sandbox.commands."""
        return True

    def environments(self) -> tuple[EnvironmentInfo, ...]:
        """ports.Sandbox.environments. A named image brings its own packages and takes no others."""
        return (self._image_info,) if self._image_info else self._environments.known()

    async def try_out(self) -> None:
        """Run one block. Raises LocalError when containers do not work here."""
        base = self._environments.known()[0]
        with tempfile.TemporaryDirectory(dir=self._data_dir, prefix="trial-") as folder:
            _write_trial(Path(folder))
            program = Program(ProgramKind.PYTHON, Digest(b""), "trial.py:block")
            cell = await self.open(CellSpec("trial", program, folder, base, Needs(), Limits(block_s=30), 0))
            try:
                (outcome,) = await cell.run([BlockInput(0, 0, canon.encode({}))])
            finally:
                await cell.aclose()
        if outcome.value is None:
            raise LocalError(f"a trial block failed in Docker: {outcome.failure}")
        if self._rules.image:
            python, packages = canon.decode(outcome.value)
            found = tuple((str(name), str(version)) for name, version in packages)
            self._image_info = self._environments.of_image(str(python), found)

    async def open(self, spec: CellSpec) -> Cell:
        """ports.Sandbox.open."""
        site = None if self._rules.image else self._environments.site(spec.environment.name)
        tag = self._rules.image or await self._daemon.call(image.ensure, self._daemon.api, site, self._rules.programs)
        room = Room(self._data_dir)
        with room.removed_on_error():
            room.describe(self._describe(spec, site))
        container = _Container(self._daemon, spec, self._rules, tag, self._inside, site)
        cell = SocketCell(spec, self._rules, self.level, room, container)
        await cell.start()
        return cell

    def _describe(self, spec: CellSpec, site: Path | None) -> dict[str, Any]:
        command = spec.program.kind is ProgramKind.COMMAND
        devices = ["/dev"] if spec.gpus else []  # the container holds no other device than the allotted
        return {
            **description.describe(spec, self._rules),
            "boot": description.boot_file("/ctlib"),
            "socket": "/ct/s",
            "folder": "/job",
            "site": ["/site"] if site else [],
            "image_packages": bool(self._rules.image),
            "read": ["/job", *_READ, *(["/proc", "/ct-bin"] if command else []), *(gpu.read_paths() if spec.gpus else [])],
            "supervisor_read": ["/ct", "/ctlib", "/proc"],
            "scratch": "/scratch",
            "write": ["/scratch"] if command else [],
            "devices": devices,
            "need_landlock": False,
        }

    async def aclose(self) -> None:
        """ports.Sandbox.aclose."""
        self._daemon.api.close()


_READ = (
    "/usr", "/lib", "/lib64", "/bin", "/etc", "/opt", "/site", str(Path(description.standard_library()).parent),
    str(Path(description.interpreter()).parent), "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random",
    "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu",
)  # fmt: skip


def _write_trial(folder: Path) -> None:
    """Readable for the user inside, whatever the umask."""
    folder.chmod(0o755)
    (folder / "trial.py").write_bytes(_TRIAL)
    (folder / "trial.py").chmod(0o644)


class Daemon:
    """The Docker daemon: short calls in a few threads, each bounded in time."""

    def __init__(self, rules: SandboxRules) -> None:
        """Blocking. Raises LocalError when none answers."""
        self._limiter = trio.CapacityLimiter(rules.docker_calls)
        knock()
        try:
            self.api = docker.from_env(timeout=int(rules.docker_s)).api
            version = self.api.version()
            self.info: dict[str, Any] = self.api.info()
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise LocalError(f"no Docker daemon answers: {_words(error)}", "Is it running, and may this user use it?") from None
        if not str(self.api.base_url).startswith("http+docker"):
            raise LocalError("the Docker daemon is on another machine; blocks need one on this machine")
        names = [str(part.get("Name", "")) for part in version.get("Components", ())]
        podman = any("Podman" in name for name in names)
        self.level = _LEVELS.get(rules.runtime, Isolation.PODMAN if podman else Isolation.DOCKER)

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """A daemon call in a thread. Raises LocalError for whatever it answers."""
        try:
            return await trio.to_thread.run_sync(function, *args, limiter=self._limiter)
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise LocalError(f"Docker: {_words(error)}") from None


def knock() -> None:
    """Is anybody at the daemon's socket? Docker's library, where nobody is, leaves its own end open. Raises LocalError."""
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not host.startswith("unix://"):
        return
    try:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(_KNOCK_S)
            caller.connect(host.removeprefix("unix://"))
    except OSError as error:
        raise LocalError(f"no Docker daemon answers: {error.strerror or error}", "Is it running, and may this user use it?") from None


def _words(error: Exception) -> str:
    explained = getattr(error, "explanation", None)
    return str(explained or error)[:300]


class _Container:
    """cell.Enclosure: one container."""

    def __init__(self, daemon: Daemon, spec: CellSpec, rules: SandboxRules, tag: str, inside: Path, site: Path | None) -> None:
        self._daemon = daemon
        self._spec = spec
        self._rules = rules
        self._tag = tag
        self._inside = inside
        self._site = site
        self._id = ""

    async def start(self, room: Room) -> None:
        try:
            self._id = await self._daemon.call(self._create, room)
            await self._daemon.call(self._daemon.api.start, self._id)
        except LocalError as error:
            if self._spec.gpus and "could not select device driver" in error.message:
                raise LocalError("Docker cannot reach this GPU", "Install the NVIDIA container toolkit.") from None
            raise

    def _create(self, room: Room) -> str:
        """Make the container. Blocking."""
        python = ["/usr/bin/env", "python3"] if self._rules.image else [description.interpreter()]
        made: dict[str, Any] = self._daemon.api.create_container(
            self._tag,
            entrypoint=[*python, "-s", "-S", "-B", description.boot_file("/ctlib"), "/ct/spec.json"],
            user=_USER,
            hostname="sandbox",
            network_disabled=True,
            environment=description.surroundings(self._spec),
            labels={LABEL: str(room.folder), "ctorrent.job": self._spec.job},
            host_config=self._host_config(room),
            working_dir="/",
        )
        return str(made["Id"])

    def _host_config(self, room: Room) -> Any:
        slots = max(1, self._spec.slots)
        memory = slots * self._spec.needs.memory_bytes + _BASE_MEMORY + (slots * self._spec.limits.scratch_bytes if self._command() else 0)
        limits = [("nofile", 1024), ("core", 0), ("msgqueue", 0)]
        if not self._spec.gpus:  # CUDA pins memory: the daemon's own limit stays
            limits.append(("memlock", 0))
        binds: dict[str, Mapping[str, str]] = {str(room.open): {"bind": "/ct", "mode": "ro"}, str(self._inside): {"bind": "/ctlib", "mode": "ro"}}
        binds[self._spec.folder] = {"bind": "/job", "mode": "ro"}
        if self._site:
            binds[str(self._site)] = {"bind": "/site", "mode": "ro"}
        return self._daemon.api.create_host_config(
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            tmpfs=self._tmpfs(slots + self._rules.spare),
            mem_limit=memory,
            memswap_limit=memory,
            nano_cpus=int(min(slots * max(1, self._spec.needs.cpu) + _OWN_CPU, int(self._daemon.info.get("NCPU", 1))) * 1e9),
            pids_limit=self._rules.container_pids,
            ipc_mode="private",
            shm_size=(256 if self._spec.gpus else 1) * _MIB,
            oom_score_adj=500,
            init=False,
            auto_remove=True,
            log_config=LogConfig(type="none"),
            restart_policy={"Name": "no"},
            ulimits=[Ulimit(name=name, soft=value, hard=value) for name, value in limits],
            binds=binds,
            runtime=self._rules.runtime or None,
            device_requests=gpu.requests(self._spec.gpus) or None,
        )

    def _command(self) -> bool:
        return self._spec.program.kind is ProgramKind.COMMAND

    def _tmpfs(self, folders: int) -> dict[str, str]:
        """Only commands may write, and only there."""
        if not self._command():
            return {}
        size, files = self._spec.limits.scratch_bytes * folders, self._rules.scratch_files * folders
        return {"/scratch": f"rw,nosuid,nodev,noexec,size={size},nr_inodes={files},uid=65534,gid=65534,mode=0700"}

    async def trouble(self) -> str | None:
        try:
            about = await self._daemon.call(self._daemon.api.inspect_container, self._id)
        except LocalError:
            return "its container is gone"
        state = about["State"]
        return None if state.get("Running") else f"its container ended with code {state.get('ExitCode')} {state.get('Error', '')}".strip()

    async def stop(self) -> None:
        container, self._id = self._id, ""
        if container:
            with trio.CancelScope(shield=True):
                await self._daemon.call(_remove, self._daemon.api, container)


def _remove(api: docker.APIClient, container: str) -> None:
    """Kill and remove; one that removes itself at this moment is as good. Blocking, 50 ms."""
    try:
        api.remove_container(container, force=True, v=True)
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if error.status_code != 409:
            raise


async def connect(data_dir: Path, rules: SandboxRules, gpu_class: str = "") -> DockerSandbox:
    """A tried Docker sandbox. Raises LocalError with why there is none."""
    daemon = await trio.to_thread.run_sync(Daemon, rules)
    await daemon.call(_remove_leftovers, daemon.api)
    sandbox = await trio.to_thread.run_sync(DockerSandbox, data_dir, rules, daemon, gpu_class)
    try:
        await sandbox.try_out()
    except BaseException:
        await sandbox.aclose()
        raise
    return sandbox


def _remove_leftovers(api: docker.APIClient) -> None:
    """Remove containers whose node is dead: their room is gone, or nobody holds its lock."""
    for container in api.containers(all=True, filters={"label": LABEL}):
        if not is_alive(Path(container["Labels"][LABEL])):
            _remove(api, container["Id"])
