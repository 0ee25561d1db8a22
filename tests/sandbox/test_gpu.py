"""GPUs without one: what a driver would be asked, by a real daemon, and a cell that starts Python anew per unit.

This proves the request, which devices are named, and the way a GPU cell runs; it does not prove CUDA.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.sandbox import SandboxRules, gpu
from ctorrent.sandbox.docker import connect
from tests.sandbox.cells import block, sandbox_of, spec_of

UUID = "GPU-5e1f7a10-0000-4000-8000-000000000001"
_HOOK = """#!/bin/sh
echo "$@" >> {log}.calls
cat > {log}.$1
exit 0
"""


@dataclass(frozen=True)
class Private:
    """A daemon of our own: its address and where its hook wrote."""

    address: str
    log: Path


@pytest.fixture
def private_daemon(tmp_path: Path) -> Iterator[Private]:
    """A second dockerd, in a network namespace of its own, which finds a recording container hook on its PATH."""
    if os.getuid() != 0 or not shutil.which("dockerd") or not shutil.which("unshare"):
        if os.environ.get("CTORRENT_REQUIRE_DOCKER") == "1":
            pytest.fail("a private dockerd is required and needs root, dockerd and unshare")
        pytest.skip("NO PRIVATE DOCKERD POSSIBLE HERE, NOT TESTED")
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    hook = bin_dir / "nvidia-container-runtime-hook"
    hook.write_text(_HOOK.format(log=tmp_path / "hook"))
    hook.chmod(0o755)
    address = f"unix://{tmp_path}/d.sock"
    argv = ["unshare", "-n", "dockerd", "-H", address, "--bridge=none", "--iptables=false", "--data-root", str(tmp_path / "data")]
    argv += ["--exec-root", str(tmp_path / "exec"), "--pidfile", str(tmp_path / "pid")]
    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(argv, stdout=log, stderr=log, env={**os.environ, "PATH": f"{bin_dir}:{os.environ['PATH']}"})
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "d.sock").exists() or subprocess.run(["docker", "-H", address, "version"], capture_output=True, check=False).returncode:
            assert daemon.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.1)
        yield Private(address, tmp_path / "hook")
    finally:
        daemon.terminate()
        daemon.wait(30)
        for line in Path("/proc/mounts").read_text().splitlines():
            if line.split()[1].startswith(str(tmp_path)):
                subprocess.run(["umount", "-l", line.split()[1]], check=False)


@pytest.mark.real
@pytest.mark.docker
def test_a_driver_is_asked_for_this_device_only(private_daemon: Private, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", private_daemon.address)
    source = "import os\ndef block(index):\n    return [os.environ.get('NVIDIA_VISIBLE_DEVICES'), os.environ.get('NVIDIA_DRIVER_CAPABILITIES'), os.getpid()]\n"

    async def main() -> None:
        sandbox = await connect(tmp_path / "data-dir", SandboxRules(), "test")
        cell = await sandbox.open(spec_of(sandbox, source, gpus=(UUID,)))
        values = [canon.decode((await cell.run([block(i)]))[0].value or b"") for i in range(3)]
        assert {(value[0], value[1]) for value in values} == {(UUID, "compute,utility")}
        assert len({value[2] for value in values}) == 3
        await cell.aclose()
        await sandbox.aclose()

    trio.run(main)
    assert "prestart" in private_daemon.log.with_suffix(".calls").read_text()
    state = json.loads(private_daemon.log.with_suffix(".prestart").read_text())
    assert state["ociVersion"] and state["pid"]


@pytest.mark.real
@pytest.mark.docker
def test_without_the_toolkit_a_gpu_is_refused_in_words(tmp_path: Path) -> None:
    if shutil.which("nvidia-container-runtime-hook"):
        pytest.skip("this machine has the toolkit")

    async def main() -> None:
        sandbox = await sandbox_of("docker", tmp_path)
        with pytest.raises(LocalError, match="NVIDIA container toolkit"):
            await sandbox.open(spec_of(sandbox, "def block(): pass", gpus=(UUID,)))
        await sandbox.aclose()
        assert list((tmp_path / "cells").iterdir()) == []

    trio.run(main)


@pytest.mark.real
@pytest.mark.parametrize("level", ["jail", "jail without walls"])
def test_a_gpu_cell_starts_python_anew_for_each_unit(level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver here is a folder; the cell, its processes and its lock are real."""
    driver = tmp_path / "driver" / "gpus" / "0000:01:00.0"
    driver.mkdir(parents=True)
    (driver / "information").write_text(f"Model: \t Some GPU\nGPU UUID: \t {UUID}\nDevice Minor: \t 0\n")
    real = gpu.device_files
    monkeypatch.setattr(gpu, "device_files", lambda uuids: real(uuids, tmp_path / "driver"))
    source = "import os, json\ndef block(index):\n    if index == 1: os.fork()\n    return [os.environ['CUDA_VISIBLE_DEVICES'], 'argparse' in json.__dict__]\n"

    async def main() -> None:
        sandbox = await sandbox_of(level, tmp_path)
        cell = await sandbox.open(spec_of(sandbox, source, gpus=(UUID,)))
        good, bad, after = await cell.run([block(i) for i in range(3)])
        assert good.failure is None and canon.decode(good.value or b"") == [UUID, False] and after.value == good.value
        assert bad.failure is not None and "one process" in bad.failure.text
        assert good.usage.gpu_s == good.usage.wall_s > 0
        await cell.aclose()
        with pytest.raises(LocalError, match="knows no GPU GPU-other"):
            await sandbox.open(spec_of(sandbox, source, gpus=("GPU-other",)))
        await sandbox.aclose()

    trio.run(main)


def test_device_files_are_those_of_the_uuid(tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / "gpus" / f"0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"GPU UUID: \t GPU-{number}\nDevice Minor: \t {number + 4}\n")
    assert gpu.device_files(["GPU-1"], tmp_path)[0] == "/dev/nvidia5"
    assert not {"/dev/nvidia4", "/dev/nvidia6"} & set(gpu.device_files(["GPU-1"], tmp_path))
    assert gpu.device_files([], tmp_path) == []


def test_the_request_names_the_device() -> None:
    (request,) = gpu.requests([UUID])
    assert request["DeviceIDs"] == [UUID] and request["Driver"] == "nvidia" and request["Count"] == 0
    assert gpu.requests([]) == []
