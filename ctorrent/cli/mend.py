"""Commands that would mend something on this system. They are printed, never run.

Pure: what the system is comes in as a System, which cli/probes.py finds out.
"""

from __future__ import annotations

from dataclasses import dataclass

_INSTALL = {"apt": "apt-get install -y", "dnf": "dnf install -y", "pacman": "pacman -S --needed", "zypper": "zypper install -y", "apk": "apk add"}
_DOCKER = {"apt": "docker.io", "dnf": "moby-engine", "pacman": "docker", "zypper": "docker", "apk": "docker"}
_TIME = {"apt": "chrony", "dnf": "chrony", "pacman": "chrony", "zypper": "chrony", "apk": "chrony"}
LINUX, MACOS, WINDOWS = "linux", "darwin", "win32"


@dataclass(frozen=True, slots=True)
class System:
    """What decides which command mends a thing here."""

    platform: str = LINUX  # as sys.platform
    wsl: bool = False  # Linux inside Windows: its network and its clock are Windows'
    packages: str = ""  # apt, dnf, pacman, zypper, apk; "": none known
    services: str = ""  # systemd, openrc; "": none known
    firewall: str = ""  # the active one: ufw, firewalld, nft, iptables; "": none seen
    root: bool = False
    user: str = "$USER"

    def sudo(self, command: str) -> str:
        return command if self.root else f"sudo {command}"

    @property
    def name(self) -> str:
        if self.wsl:
            return "Linux inside Windows (WSL)"
        return {LINUX: "Linux", MACOS: "macOS", WINDOWS: "Windows"}.get(self.platform, self.platform)


def install(system: System, package: str) -> str:
    how = _INSTALL.get(system.packages)
    return system.sudo(f"{how} {package}") if how else f"install {package} with this system's package manager"


def install_docker(system: System) -> str:
    if system.platform != LINUX:
        return "install Docker Desktop from https://www.docker.com"
    command = install(system, _DOCKER.get(system.packages, "docker"))
    return command if system.packages == "apt" else f"{command} && {start(system, 'docker')}"  # Debian's starts by itself


def start(system: System, service: str) -> str:
    if system.platform != LINUX:
        return f"open {service.capitalize()} Desktop"
    if system.services == "systemd":
        return system.sudo(f"systemctl enable --now {service}")
    if system.services == "openrc":
        return system.sudo(f"rc-service {service} start")
    return system.sudo(f"service {service} start")


def permit_docker(system: System, in_group: bool) -> str:
    """in_group: the user is a member already, and this session began before that."""
    return "newgrp docker   (or log out and in again)" if in_group else system.sudo(f"usermod -aG docker {system.user}") + " && newgrp docker"


def open_port(system: System, port: int, protocol: str = "tcp") -> str:
    """Let others call at a port, now and after a restart where the firewall has such a notion."""
    match system.firewall:
        case "ufw":
            return system.sudo(f"ufw allow {port}/{protocol}")
        case "firewalld":
            return system.sudo(f"firewall-cmd --permanent --add-port={port}/{protocol}") + " && " + system.sudo("firewall-cmd --reload")
        case "nft":
            return system.sudo(f"nft insert rule inet filter input {protocol} dport {port} accept")
        case "iptables":
            return system.sudo(f"iptables -I INPUT -p {protocol} --dport {port} -j ACCEPT")
    if system.platform == WINDOWS or system.wsl:
        return (
            f"in PowerShell as administrator: New-NetFirewallRule -DisplayName ctorrent -Direction Inbound -Protocol {protocol.upper()} "
            f"-LocalPort {port} -Action Allow"
        )
    if system.platform == MACOS:
        return "System Settings > Network > Firewall: allow incoming connections for Python"
    return f"allow incoming {protocol.upper()} port {port} in this machine's firewall"


def see_firewall(system: System) -> str:
    commands = {"ufw": "ufw status", "firewalld": "firewall-cmd --list-all", "nft": "nft list ruleset", "iptables": "iptables -S INPUT"}
    return system.sudo(commands.get(system.firewall, "nft list ruleset"))


def open_there(port: int) -> str:
    """For the other machine, of which nothing is known."""
    return f"there: sudo ufw allow {port}/tcp   (or, with firewalld: sudo firewall-cmd --add-port={port}/tcp)"


def set_clock(system: System) -> str:
    if system.wsl:
        return system.sudo("hwclock -s")
    if system.platform == MACOS:
        return "sudo sntp -sS time.apple.com"
    if system.platform == WINDOWS:
        return "in PowerShell as administrator: w32tm /resync"
    if system.services == "systemd":
        return system.sudo("timedatectl set-ntp true")
    return install(system, _TIME.get(system.packages, "chrony"))


def use_another_link(system: System) -> str:
    return "turn off “client isolation” (also: AP or guest isolation) on the access point, or use a cable or a phone's hotspot for both"


def see_disk(folder: str) -> str:
    return f"df -h {folder}"


def update(pipx: bool) -> str:
    return "pipx upgrade ctorrent" if pipx else "pip install --upgrade ctorrent"
