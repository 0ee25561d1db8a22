"""What `ctorrent doctor` finds out about this machine, each in a moment and without changing anything.

The only file of the doctor that touches the world, beside around.py; checkup.py and reach.py judge what it finds.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from ctorrent.cli import firewall
from ctorrent.cli.facts import Address, Engine
from ctorrent.cli.mend import LINUX, System

ANSWER_S = 2.0  # of a Docker Engine on this machine, and of any small command
NEIGHBOUR_S = 8.0  # Linux asks a neighbour again 5 s after it was called without an answer, then thrice, a second apart
_TIME_ERROR = 5  # of adjtimex(2): nobody keeps this clock right
_TIMEX_BYTES = 512  # more than any system's struct timex
_FILES_MAX = 200_000  # looked at for the size of the data folder
_NO_NETWORKS = ("docker", "br-", "veth", "virbr", "cni", "podman", "lxc", "kube")


def system() -> System:
    wsl = sys.platform == LINUX and "microsoft" in _text("/proc/sys/kernel/osrelease").lower()
    packages = next((name for name, command in _PACKAGERS if shutil.which(command)), "") if sys.platform == LINUX else ""
    services = "systemd" if Path("/run/systemd/system").is_dir() else "openrc" if shutil.which("rc-service") else ""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return System(sys.platform, wsl, packages, services, _active_firewall(), root, os.environ.get("USER") or "$USER")


_PACKAGERS = (("apt", "apt-get"), ("dnf", "dnf"), ("pacman", "pacman"), ("zypper", "zypper"), ("apk", "apk"))


# -- firewall ---------------------------------------------------------------------------------------------------------


def _active_firewall() -> str:
    """Of those that have a say, the one that a person would speak to."""
    if "ENABLED=yes" in _text("/etc/ufw/ufw.conf") and shutil.which("ufw"):
        return "ufw"
    if shutil.which("firewall-cmd") and _said("firewall-cmd", "--state").strip() == "running":
        return "firewalld"
    if _said("iptables", "-S", "INPUT").strip() not in ("", "-P INPUT ACCEPT"):
        return "iptables"
    return "nft" if "hook input" in _said("nft", "list", "ruleset") else ""


def firewall_says(on: System, port: int, protocol: str = "tcp") -> str:
    """Is a caller let in at the port? "open", "closed", or "" where it cannot be seen."""
    match on.firewall:
        case "firewalld":
            answer = _said("firewall-cmd", f"--query-port={port}/{protocol}").strip()
            return {"yes": "open", "no": "closed"}.get(answer, "")
        case "":
            return "open" if on.root and on.platform == LINUX else ""
        case "nft":
            return firewall.nft(_said("nft", "-j", "list", "ruleset"), port, protocol)
    return firewall.iptables(_said("iptables", "-S"), port, protocol)


# -- network ----------------------------------------------------------------------------------------------------------


def addresses() -> list[Address]:
    """IPv4, of interfaces that are up; no loopback, no link-local, no container's bridge."""
    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    found = []
    for name, ones in psutil.net_if_addrs().items():
        for one in ones:
            real = name in up and one.family == socket.AF_INET and not name.startswith(_NO_NETWORKS)
            if real and not one.address.startswith(("127.", "169.254.")):
                prefix = bin(int.from_bytes(socket.inet_aton(one.netmask), "big")).count("1") if one.netmask else 32
                found.append(Address(name, one.address, prefix, Path(f"/sys/class/net/{name}/wireless").exists()))
    return sorted(found, key=lambda one: (one.interface, one.ip))


def holder(port: int) -> str:
    """Who listens at a TCP port of this machine: "" when nobody, a program's name where it can be seen."""
    with socket.socket() as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
            probe.listen(1)
            return ""
        except OSError:
            pass
    try:
        for row in psutil.net_connections("tcp"):
            if row.status == psutil.CONN_LISTEN and row.laddr and row.laddr.port == port and row.pid:
                return f"{psutil.Process(row.pid).name()} (process {row.pid})"
    except (psutil.Error, OSError):  # only root sees others' sockets
        pass
    return "another program"


@contextmanager
def listening(port: int) -> Iterator[bool]:
    """Take calls at a port for a moment, so that a knock finds something behind the firewall. False: it was taken."""
    with socket.socket() as door:
        if sys.platform != "win32":
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(("0.0.0.0", port))
            door.listen(8)
        except OSError:
            yield False
            return
        yield True


def neighbour(ip: str, limit_s: float = NEIGHBOUR_S) -> str:
    """Does the local network know a machine at this address, just called? "there", "missing", or "": it cannot be seen.

    Waits, for the kernel believes an old answer for some seconds before it asks again.
    """
    until = time.monotonic() + limit_s
    while (state := _neighbour(ip)) == "asking" and time.monotonic() < until:
        time.sleep(0.2)
    return "missing" if state == "asking" else state


def _neighbour(ip: str) -> str:
    words = _said("ip", "neigh", "show", ip).split()
    if words:
        known = {"REACHABLE": "there", "PERMANENT": "there", "NOARP": "there", "FAILED": "missing"}
        return known.get(words[-1], "asking")
    for line in _text("/proc/net/arp").splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[0] == ip:
            return "there" if int(fields[2], 16) & 2 else "missing"
    return ""


# -- Docker, disk, clock ----------------------------------------------------------------------------------------------


def docker_engine() -> Engine:
    """Does an Engine answer on the socket the docker command would use? Asked as it is spoken: HTTP, /_ping."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://") or not hasattr(socket, "AF_UNIX"):
        return Engine("elsewhere", f"DOCKER_HOST is {host}")
    path = host.removeprefix("unix://")
    installed = any(shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") for name in ("dockerd", "docker"))
    if not Path(path).exists():
        return Engine("stopped" if installed else "missing", f"there is no {path}")
    try:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.settimeout(ANSWER_S)
            engine.connect(path)
            engine.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
            answer = engine.recv(1000)
    except PermissionError:
        return Engine("denied", f"{path} is closed to this user", _in_group(path))
    except OSError as error:
        return Engine("stopped", f"{path} does not answer: {error.strerror or error}")
    return Engine("answers", path) if b" 200 " in answer.split(b"\r\n")[0] else Engine("odd", f"{path} answers, but not as Docker does")


def _in_group(path: str) -> bool:
    import grp
    import pwd

    try:
        members = grp.getgrgid(Path(path).stat().st_gid).gr_mem
        return pwd.getpwuid(os.geteuid()).pw_name in members
    except (KeyError, OSError):
        return False


def disk(folder: Path) -> tuple[int, int]:
    """(bytes free where the folder is or would be, bytes that it takes now)."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    used = 0
    for count, path in enumerate(folder.rglob("*") if folder.is_dir() else ()):
        if count > _FILES_MAX:
            break
        try:
            used += path.lstat().st_size
        except OSError:
            continue
    return shutil.disk_usage(existing).free, used


def clock() -> tuple[float, bool | None]:
    """(seconds since 1970 by this machine, does something keep it right? None: cannot be seen)."""
    if sys.platform != LINUX:
        return time.time(), None
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return time.time(), None
    return time.time(), None if state < 0 else state != _TIME_ERROR


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _said(*command: str) -> str:
    """A small command's output; "" where it is missing, fails or hangs. It only ever reads."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
