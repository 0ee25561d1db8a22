"""The same sweep on three machines with Ray, with Dask and with ctorrent: how long, and what if one is unplugged in its middle.

    python -m tests.benchmarks.sweep_compare [--runs 3] [--others PYTHON] [ctorrent verified dask ray]

Machines are process groups on this one: three of one worker each; the first has the scheduler, the head or the asking node
too. Unplugged: SIGKILL to all processes of the third (or, of Dask and Ray with --first, of the first) half-way through. A
time is from `python sweep.py` to its end, imports included. --others: an interpreter that has dask[distributed] and ray;
what it lacks is said in its row. The programs are in sweeps/.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

import ctorrent

SWEEPS = Path(__file__).parent / "sweeps"
LIMIT_S = 180.0  # then a sweep hangs
SETTLE_S = 120.0  # for a machine to appear
MACHINES = 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unplug(pid: int) -> None:
    """All processes of a machine, at once."""
    try:
        root = psutil.Process(pid)
        family = [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return
    for one in family:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=10)


class Machines:
    """Process ids by number, and what a sweep's environment names them by."""

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.environ = dict(os.environ)

    def start(self, command: Sequence[str]) -> None:
        with Path(os.devnull).open("r+b") as nothing:
            child = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True, env=self.environ)
        self.pids.append(child.pid)


@contextmanager
def of_ctorrent(python: str) -> Iterator[Machines]:
    with ctorrent.swarm(MACHINES, flags=("--slots", "1")) as swarm:
        machines = Machines()
        machines.pids = [member.process._child.pid for member in swarm.members]
        machines.environ["CTORRENT_DATA"] = str(swarm.net.folder)
        yield machines


@contextmanager
def others(machines: Machines, python: str, count: str, commands: Sequence[Sequence[str]]) -> Iterator[Machines]:
    """Started one after the other, each once `count`, a program that prints how many there are, says that the last is there."""
    try:
        for number, command in enumerate(commands, 1):
            machines.start(command)
            until = time.monotonic() + SETTLE_S
            said = ""
            while not said.endswith(str(number)):
                if time.monotonic() > until:
                    raise RuntimeError(f"{said or 'nothing'} of {number} came within {SETTLE_S:g} s")
                asked = subprocess.run([python, "-c", count], env=machines.environ, capture_output=True, text=True, timeout=120)
                said = asked.stdout.strip()
        yield machines
    finally:
        for pid in machines.pids:
            unplug(pid)


@contextmanager
def of_dask(python: str) -> Iterator[Machines]:
    machines, port = Machines(), free_port()
    machines.environ["SCHEDULER"] = f"tcp://127.0.0.1:{port}"
    scheduler = f"{python} -m distributed.cli.dask_scheduler --host 127.0.0.1 --port {port} --no-dashboard"
    worker = f"{python} -m distributed.cli.dask_worker {machines.environ['SCHEDULER']} --nthreads 1 --nworkers 1 --no-dashboard"
    commands = [["sh", "-c", f"{scheduler} & {worker} & wait"], *[["sh", "-c", f"{worker} & wait"]] * (MACHINES - 1)]
    ask = "import os; from dask.distributed import Client; print(len(Client(os.environ['SCHEDULER'], timeout=20).scheduler_info(n_workers=-1)['workers']))"
    with others(machines, python, ask, commands):
        yield machines


@contextmanager
def of_ray(python: str) -> Iterator[Machines]:
    machines, port = Machines(), free_port()
    machines.environ |= {"RAY_ADDRESS": f"127.0.0.1:{port}", "RAY_DISABLE_IMPORT_WARNING": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    ray = str(Path(python).parent / "ray")
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        same = ["--num-cpus", "1", "--object-store-memory", "100000000", "--block", "--disable-usage-stats", "--node-ip-address", "127.0.0.1"]
        head = [ray, "start", "--head", "--port", str(port), "--include-dashboard", "false", "--temp-dir", folder, *same]
        commands = [head, *[[ray, "start", "--address", f"127.0.0.1:{port}", *same]] * (MACHINES - 1)]
        ask = "import ray; ray.init(address='auto', log_to_driver=False, logging_level='ERROR'); print(sum(one['Alive'] for one in ray.nodes()))"
        with others(machines, python, ask, commands):
            yield machines


PLACES = {"ctorrent": of_ctorrent, "verified": of_ctorrent, "dask": of_dask, "ray": of_ray}


def sweep(name: str, python: str, unplug_s: float | None, which: int) -> tuple[float, str]:
    """One sweep. -> seconds, and what it printed or how it ended."""
    with PLACES[name](python) as machines:
        begun = time.monotonic()
        child = subprocess.Popen(
            [python, str(SWEEPS / f"{name}_sweep.py")], env=machines.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            if unplug_s is not None:
                try:
                    child.wait(unplug_s)
                except subprocess.TimeoutExpired:
                    unplug(machines.pids[which])
            out, err = child.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return time.monotonic() - begun, f"hung: nothing within {LIMIT_S:g} s"
        took = time.monotonic() - begun
        said = out.strip().splitlines()[-1:] or [""]
        return took, said[0] if child.returncode == 0 else f"failed: {(err.strip().splitlines() or ['?'])[-1][:160]}"


def shown(times: Sequence[float]) -> str:
    return f"{statistics.median(times):6.1f} s ({min(times):.1f} to {max(times):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(PLACES))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--others", default=sys.executable)
    parser.add_argument("--first", action="store_true", help="unplug the machine with the scheduler or head instead")
    chosen = parser.parse_args()
    for name in chosen.names:
        python = sys.executable if PLACES[name] is of_ctorrent else chosen.others
        try:
            calm = [sweep(name, python, None, 0) for _ in range(1 if chosen.first else chosen.runs)]
            half = statistics.median(took for took, _ in calm) / 2
            cut = [sweep(name, python, half, 0 if chosen.first else MACHINES - 1) for _ in range(chosen.runs)]
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            print(f"{name:9} not measured: {error}", flush=True)
            continue
        print(f"{name:9} calm {shown([one[0] for one in calm])}  unplugged {shown([one[0] for one in cut])}", flush=True)
        print(f"          {json.dumps(sorted({one[1] for one in [*calm, *cut]}))}", flush=True)


if __name__ == "__main__":
    main()
