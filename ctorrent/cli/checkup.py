"""What `ctorrent doctor` thinks of this machine: a table of small checks, each from facts alone. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator

from ctorrent.cli import mend
from ctorrent.cli.facts import Check, Facts

DISK_LOW_BYTES = 1 << 30  # an image or an environment takes about as much: below it nothing new fits
BEGAN_UNIX = 1_767_225_600  # 2026-01-01: nothing of ctorrent is older, so a clock before it is wrong
_CARRIER = ipaddress.ip_network("100.64.0.0/10")  # of providers that put many customers behind one address (RFC 6598)


def look(facts: Facts) -> list[Check]:
    """Every check, in the order a person would ask."""
    return [check for one in TABLE for check in one(facts)]


def _node(facts: Facts) -> Iterator[Check]:
    if facts.running:
        yield Check("node", "ok", "A node runs here.")
    else:
        yield Check("node", "warn", "No node runs here: others reach this machine only while one does.", "ctorrent node")


def _settings(facts: Facts) -> Iterator[Check]:
    said, hint = facts.settings_error
    if said:
        yield Check("settings", "bad", _sentence(said), hint)
    if facts.status.get("testing"):
        yield Check("settings", "bad", f"Testing settings are on: {facts.status['testing']}.", "unset CTORRENT_TESTING")


def _system(facts: Facts) -> Iterator[Check]:
    if facts.system.platform != mend.LINUX:
        yield Check(
            "system", "warn",
            f"{facts.system.name}: this machine submits jobs, follows them and reads their results; it runs nothing for others, "
            "because no sandbox holds here yet.", "run the node on Linux, or in WSL2 on Windows",
        )  # fmt: skip
    elif facts.system.wsl:
        yield Check("system", "ok", f"{facts.system.name}, Python {facts.python}: works as Linux does.")
    else:
        yield Check("system", "ok", f"{facts.system.name}, Python {facts.python}.")


def _keys(facts: Facts) -> Iterator[Check]:
    for row in facts.identity.get("keys", ()):
        if row["error"]:
            yield Check(row["name"], "bad", _sentence(row["error"]), row["hint"])
        elif row["missing"]:
            yield Check(row["name"], "ok", f"There is none yet; the first `ctorrent node` makes it ({row['path']}).")
        else:
            yield Check(row["name"], "ok", f"{row['path']} is whole, and yours alone.")


def _isolation(facts: Facts) -> Iterator[Check]:
    if facts.system.platform != mend.LINUX:
        return  # said under "system"; nothing that could be installed would change it
    level = str(facts.status.get("isolation", ""))
    if level.startswith("none"):
        yield Check("sandbox", "bad", f"Nothing can be run here for others ({level.removeprefix('none').strip(': ') or 'no sandbox works'}).",
                    mend.install_docker(facts.system))  # fmt: skip
    elif level:
        yield Check("sandbox", "ok", f"Blocks run in: {level}.")
        for gap in facts.status.get("gaps", ()):
            yield Check("sandbox", "warn", f"{level} does not guarantee: {gap}")


def _docker(facts: Facts) -> Iterator[Check]:
    if facts.system.platform != mend.LINUX:
        return
    system, engine = facts.system, facts.engine
    jail = "Friends' jobs run in the jail meanwhile; strangers' need Docker."
    match engine.outcome:
        case "answers":
            yield Check("Docker", "ok", "Docker answers, and this user may use it.")
        case "missing":
            yield Check("Docker", "warn", f"Docker is not installed. {jail}", mend.install_docker(system))
        case "stopped":
            yield Check("Docker", "bad", f"Docker is installed and does not run ({engine.detail}).", mend.start(system, "docker"))
        case "denied":
            why = "the session began before the user joined its group" if engine.in_group else "the user is not in its group"
            yield Check("Docker", "bad", f"Docker runs, and this user may not use it: {engine.detail}; {why}.", mend.permit_docker(system, engine.in_group))
        case "elsewhere":
            yield Check("Docker", "warn", f"{engine.detail}: not on this machine. Blocks need an Engine here.", "unset DOCKER_HOST")
        case _:
            yield Check("Docker", "bad", f"{engine.detail}.", "docker info")


def _disk(facts: Facts) -> Iterator[Check]:
    free = facts.free_bytes
    quota = int(facts.settings.get("disk_bytes") or 0)
    said = f"{_gb(free)} are free where {facts.folder} is"
    if free < DISK_LOW_BYTES:
        yield Check("disk", "bad", f"Disk low: {said}. Downloads and results stop at {_gb(DISK_LOW_BYTES)}.", mend.see_disk(facts.folder))
    elif quota and free + facts.used_bytes < quota:
        yield Check("disk", "warn", f"{said}: less than the {_gb(quota)} that this node may use.",
                    f"ctorrent config set disk_bytes {max(1, (free + facts.used_bytes) // 2 // 10**9)}GB")  # fmt: skip
    else:
        yield Check("disk", "ok", f"{said}.")


def _clock(facts: Facts) -> Iterator[Check]:
    if facts.now < BEGAN_UNIX:
        yield Check("clock", "bad", "The clock is far off: it shows a day before this program existed. Others will refuse this node's certificate.",
                    mend.set_clock(facts.system))  # fmt: skip
    elif facts.synced is False:
        yield Check("clock", "warn", "Nothing keeps this clock right (no time service has set it). More than two hours off, and others refuse this node.",
                    mend.set_clock(facts.system))  # fmt: skip
    else:
        yield Check("clock", "ok", "The clock is kept right by a time service." if facts.synced else "The clock shows a possible time.")


def _port(facts: Facts) -> Iterator[Check]:
    if facts.running:
        where = ", ".join(str(address).partition("/p2p/")[0] for address in facts.status.get("addresses", ()))
        only_here = all("/127." in str(address) or "/::1/" in str(address) for address in facts.status.get("addresses", ()))
        if only_here:
            yield Check("port", "warn", f"The node listens on this machine only ({where}): no other can call it.", "ctorrent node   (without --listen 127.0.0.1)")
        else:
            yield Check("port", "ok", f"The node listens at {where}.")
    elif facts.holder:
        yield Check("port", "warn", f"Port {facts.port} is taken by {facts.holder}: a node would take the next free one, and say which.",
                    f"ctorrent node --port {facts.port + 100}")  # fmt: skip
    else:
        yield Check("port", "ok", f"Port {facts.port} is free for a node.")


def _firewall(facts: Facts) -> Iterator[Check]:
    name = facts.system.firewall or "the firewall"
    if facts.firewall == "closed":
        yield Check("firewall", "bad", f"Port {facts.port} is closed here: {name} lets nobody in at it. This node can still call others.",
                    mend.open_port(facts.system, facts.port))  # fmt: skip
    elif facts.firewall == "open":
        yield Check("firewall", "ok", f"This machine's firewall lets callers in at port {facts.port}." if facts.system.firewall else "No firewall is active here.")
    elif facts.system.firewall:
        yield Check("firewall", "warn", f"{name} is active; whether it lets callers in at port {facts.port} only root can see.", mend.see_firewall(facts.system))
    else:
        yield Check("firewall", "ok", "No firewall is seen here; one that only root can see would show when another machine calls: ctorrent doctor ADDRESS.")


def _reachable(facts: Facts) -> Iterator[Check]:
    """What can be known from here of how far this machine's addresses reach."""
    if not facts.addresses:
        yield Check("network", "bad", "This machine has no address on any network: only nodes on the same machine can meet.", "ip address   (is the cable or Wi-Fi connected?)")
        return
    listed = ", ".join(f"{one.ip} ({one.interface})" for one in facts.addresses)
    ips = [ipaddress.ip_address(one.ip) for one in facts.addresses]
    if any(ip.is_global for ip in ips):
        yield Check("network", "ok", f"Addresses: {listed}.")
    elif any(ip in _CARRIER for ip in ips):
        yield Check("network", "warn", f"Addresses: {listed}. One is of a provider that shares an address among customers (CGNAT): from the internet nobody can call it.",
                    "join others from here instead: ctorrent node --join INVITE")  # fmt: skip
    else:
        yield Check("network", "ok", f"Addresses: {listed}. They are private: in the local network others can call them; from the internet only "
                    f"through a router that forwards TCP port {facts.port}.")  # fmt: skip


def _discovery(facts: Facts) -> Iterator[Check]:
    around = facts.around
    if around is None or not facts.addresses:
        return
    link = _link(facts)
    if not around.asked or (around.error and not around.echo):
        yield Check("discovery", "warn", f"Looking around is not possible here ({around.error or 'no address to ask from'}).", "ctorrent node --join INVITE   (from the other machine: ctorrent invite)")
    elif not around.echo or facts.multicast_firewall == "closed":
        yield Check("discovery", "warn", "This machine does not hear even itself by multicast: its own firewall or this interface drops it, so nodes nearby are not found by themselves.",
                    mend.open_port(facts.system, 5353, "udp"))  # fmt: skip
    elif around.nodes:
        yield Check("discovery", "ok", f"Nodes nearby answer: {', '.join(around.nodes)}.")
    elif around.others:
        yield Check("discovery", "ok", f"Multicast passes on {link} (others were heard); no other node answers.")
    else:
        yield Check("discovery", "warn", f"Nobody at all answers by multicast on {link}: nobody is there, or it blocks discovery (many guest and office Wi-Fis do). An invite needs none.",
                    "on one machine: ctorrent invite   on the other: ctorrent node --join INVITE")  # fmt: skip


def _link(facts: Facts) -> str:
    wireless = [one.interface for one in facts.addresses if one.wireless]
    return f"this Wi-Fi ({wireless[0]})" if wireless else "this network"


def _gb(count: int) -> str:
    return f"{count / 10**9:.1f} GB"


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


TABLE: tuple[Callable[[Facts], Iterator[Check]], ...] = (
    _node, _settings, _system, _keys, _isolation, _docker, _disk, _clock, _port, _firewall, _reachable, _discovery,
)  # fmt: skip
