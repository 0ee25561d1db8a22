"""What `ctorrent doctor ADDRESS|INVITE` thinks of the way to another node, from what a visit found. Pure.

    knock ─▶ who answers ─▶ which version ─▶ invite, swarm ─▶ clocks ─▶ the way back ─▶ discovery

Each stage speaks only when the one before it let it; the first that is bad is the one to mend.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ctorrent.cli import mend
from ctorrent.cli.facts import Check, Facts

Plain = dict[str, Any]
CLOCK_BAD_S = 7200  # two clocks further apart refuse each other's certificates
CLOCK_ODD_S = 60  # by radio or network time they agree within a second
_OURS = re.compile(r"/ctorrent/([a-z]+)/(\d+)")
_JOIN = "here: ctorrent node --join INVITE   with the line that there `ctorrent invite` prints"


def look(facts: Facts, visit: Plain) -> list[Check]:
    """visit: as node/visit.py gives it."""
    return [check for one in TABLE for check in one(facts, visit)]


# -- knocking ---------------------------------------------------------------------------------------------------------


def _knocks(facts: Facts, visit: Plain) -> Iterator[Check]:
    knocks = visit["knocks"]
    if not knocks:
        yield Check("reach", "bad", "The invite names no address: its node had no network when it was made.", "there: ctorrent invite   (again, once it has one)")
        return
    takes = [one for one in knocks if one["outcome"] == "open"]
    for one in takes[:1]:
        yield Check("reach", "ok", f"{_at(one)} takes calls.")
    if takes:
        return
    for one in knocks:
        yield _failed(facts, one)


def _failed(facts: Facts, one: Plain) -> Check:
    at, ip, port = _at(one), one["ip"], int(one["port"])
    if _loopback(ip) and one["outcome"] != "open":
        return Check("refused", "bad", f"{at} is this machine itself, and nothing listens there. An address that begins with 127 is of use only on the machine it comes from.",
                     "there: ctorrent node   (without --listen 127.0.0.1), and its new invite")  # fmt: skip
    match one["outcome"]:
        case "refused":
            return Check("refused", "bad", f"{ip} is there, and refuses calls at port {port}: no node runs there, it has another port, or its firewall says no.",
                         f"there: ctorrent node   (then compare the port it prints with {port})")  # fmt: skip
        case "nameless" if "." not in str(one["host"]):
            return Check("name", "bad", f"{one['host']!r} is neither an address nor an invite, and no machine of that name is known here.",
                         "the line that `ctorrent invite` prints there, or an address such as 192.168.1.5")  # fmt: skip
        case "nameless":
            return Check("name", "bad", f"The name {one['host']} is not known here: {one['detail']}.", f"getent hosts {one['host']}")
        case "forbidden":
            return Check("unreachable", "bad", f"This machine's own firewall lets nothing out to {at}.", mend.see_firewall(facts.system))
        case "silent" | "unreachable":
            return _absent(facts, one)
    return Check("reach", "bad", f"{at} cannot be called: {one['detail']}.", f"ping {ip}")


def _absent(facts: Facts, one: Plain) -> Check:
    """No answer, or a no from the network on the way."""
    at, ip, port = _at(one), one["ip"], int(one["port"])
    known = facts.neighbours.get(ip, "")
    beside = facts.beside(ip)
    if known == "there" and one["outcome"] == "silent":
        return Check("silent", "bad", f"{ip} is there, and drops calls at port {port}: its firewall, unless it left within the last minute.", mend.open_there(port))
    if known == "there" or (one["outcome"] == "unreachable" and beside is None and "host" in one["detail"].lower() and not known):
        who = f"{ip} is there, and its firewall turns calls at port {port} away" if known else f"Something on the way to {ip} turns the call away ({one['detail']})"
        return Check("unreachable", "bad", f"{who}.", mend.open_there(port))
    if beside is not None:
        return _not_on_this_network(facts, ip, beside.wireless)
    if one["outcome"] == "unreachable":
        return Check("unreachable", "bad", f"This machine has no way to {ip} ({one['detail']}): it is not connected to a network that leads there.", f"ip route get {ip}")
    if _private(ip):
        return Check("unreachable", "bad", f"No answer from {at}. That is a private address of another network than this machine's: from here it cannot be called.",
                     "put both machines on one network, or join the other way round: here ctorrent invite, there ctorrent node --join INVITE")  # fmt: skip
    return Check("silent", "bad", f"No answer from {at}: it is off, or a firewall or router on the way drops the call.",
                 f"there, on the router: forward TCP port {port}   and {mend.open_there(port)}")  # fmt: skip


def _not_on_this_network(facts: Facts, ip: str, wireless: bool) -> Check:
    """The neighbour does not answer even to who it is: gone, or kept apart by the access point."""
    around = facts.around
    silent = around is not None and bool(around.asked) and not around.others
    if silent:
        what = "Wi-Fi" if wireless else "network"
        return Check("discovery", "bad", f"{ip} does not answer on the local network, and nobody at all answers by multicast: either it is off, or this {what} keeps "
                     "its devices apart (client isolation), which blocks discovery and calls alike.", mend.use_another_link(facts.system))  # fmt: skip
    return Check("unreachable", "bad", f"No machine has the address {ip} on the local network now: it is off, asleep, or has another address since.",
                 "there: ctorrent invite   (a new one names its address of today)")  # fmt: skip


# -- who it is --------------------------------------------------------------------------------------------------------


def _identity(facts: Facts, visit: Plain) -> Iterator[Check]:
    met = visit["met"]
    if met is None:
        return
    at, wanted = f"{met['host']}:{met['port']}", visit["target"]["node"]
    if met["outcome"] == "foreign":
        yield Check("another program", "bad", f"Something listens at {at}, and it is not a ctorrent node ({met['detail']}).",
                    f"there: ss -ltnp 'sport = :{met['port']}'   (says which program it is)")  # fmt: skip
    elif met["outcome"] == "other":
        yield Check("identity", "bad", f"Another node is at {at}: it is {met['node']}, not {wanted}. The address went to another machine, or its data folder is a new one.",
                    "there: ctorrent invite   (and use that line)")  # fmt: skip
    elif met["node"] == facts.identity.get("node"):
        yield Check("identity", "warn", f"The node at {at} is this machine's own.")
    else:
        name = (visit["said"] or {}).get("name")
        yield Check("identity", "ok", f"{met['node']} answers there" + (f": {name!r}." if name else "."))


def _version(facts: Facts, visit: Plain) -> Iterator[Check]:
    if not _answered(visit):
        return
    said, agent, ours = visit["said"] or {}, visit["agent"], visit["ours"]
    theirs = _majors(visit["protocols"])
    if not theirs and not agent.startswith("ctorrent/"):
        yield Check("another program", "bad", f"It is a libp2p program, and not ctorrent: it calls itself {agent or 'nothing'}.", "use the address that `ctorrent node` prints there")
        return
    lacking = {name: major for name, major in _majors(ours["protocols"]).items() if theirs and theirs.get(name) != major}
    newer = [name for name, major in lacking.items() if theirs.get(name, 0) > major]
    version = said.get("version") or agent.removeprefix("ctorrent/") or "another version"
    if lacking and newer:
        yield Check("version", "bad", f"This ctorrent {ours['version']} is too old: the other runs {version} and speaks a newer {newer[0]} protocol.", mend.update(facts.pipx))
    elif lacking or said.get("kind") == "unsupported":
        yield Check("version", "bad", f"The other's version is too old: it runs ctorrent {version}, and this one {ours['version']} needs "
                    f"{', '.join(sorted(lacking)) or 'join'} in a newer version.", f"there: {mend.update(False)}")  # fmt: skip
    elif said.get("error") and not said.get("clock_unix_s"):
        yield Check("version", "warn", f"It runs ctorrent {version} and did not answer every question: {said['error'].rstrip('.')}.", f"there: {mend.update(False)}")
    else:
        yield Check("version", "ok", f"It runs ctorrent {version}; this is {ours['version']}.")


def _majors(protocols: Any) -> dict[str, int]:
    """Newest major version of each of our protocols in a list of protocol ids."""
    found: dict[str, int] = {}
    for text in protocols:
        match = _OURS.fullmatch(str(text))
        if match is not None and len(match[2]) < 6:
            found[match[1]] = max(found.get(match[1], 0), int(match[2]))
    return found


# -- may it come in ---------------------------------------------------------------------------------------------------


def _invite(facts: Facts, visit: Plain) -> Iterator[Check]:
    target, said = visit["target"], visit["said"] or {}
    if target["kind"] != "invite" or not said.get("owner"):
        return
    if target["swarm"] not in said["swarms"]:
        yield Check("swarm", "bad", f"Other swarm: the node there is of {_short(said['owner'])} and not, or no longer, in the swarm that this invite is for.", "there: ctorrent invite   (and use that line)")
        return
    inside = target["swarm"] in facts.identity.get("swarms", ()) and (target["owner"] in facts.identity.get("friends", ()) or target["owner"] == facts.identity.get("owner"))
    match said.get("invite", ""):
        case _ if inside:
            yield Check("invite", "ok", "This machine is in the invite's swarm already.")
        case "good":
            yield Check("invite", "ok", "The invite can be used: ctorrent node --join INVITE")
        case "used up" | "expired" as why:
            yield Check("invite", "bad", f"The invite is {why}." if why == "used up" else "The invite has expired.", "there: ctorrent invite   (--uses 3 lets three machines in)")
        case "unknown":
            yield Check("invite", "bad", "The node there never made this invite: its data folder is a new one.", "there: ctorrent invite")


def _swarm(facts: Facts, visit: Plain) -> Iterator[Check]:
    target, said, own = visit["target"], visit["said"] or {}, facts.identity
    if target["kind"] != "address" or not said.get("owner") or visit["met"]["node"] == own.get("node"):
        return
    whose = f"{said['name']!r}" if said.get("name") else "It"
    if said["owner"] == own.get("owner"):
        yield Check("swarm", "ok", f"{whose} is yours too: the same owner.")
    elif said["owner"] in own.get("friends", ()):
        yield Check("swarm", "ok", f"{whose} belongs to a friend.")
    elif set(said["swarms"]) & set(own.get("swarms", ())):
        yield Check("swarm", "ok", f"{whose} is in a swarm that this machine is in too.")
    else:
        yield Check("swarm", "bad", f"Other swarm: {whose} belongs to {_short(said['owner'])}, who is no friend here, and you share no swarm: neither runs the other's jobs.", _JOIN)


def _clock(facts: Facts, visit: Plain) -> Iterator[Check]:
    said = visit["said"] or {}
    if not said.get("clock_unix_s"):
        return
    apart = float(said["clock_unix_s"]) - float(said["asked_unix_s"])
    if abs(apart) < CLOCK_ODD_S:
        yield Check("clocks", "ok", "Both clocks agree.")
        return
    behind = "behind" if apart > 0 else "ahead"
    words = f"This machine's clock is {_long(abs(apart))} {behind} of the other's"
    whose = " (a time service keeps this one right: look at the other)" if facts.synced else ""
    command = f"there: {mend.set_clock(mend.System(services='systemd'))}" if facts.synced else mend.set_clock(facts.system)
    far = abs(apart) > CLOCK_BAD_S
    yield Check("clocks", "bad" if far else "warn", f"{words}{whose}." + (" Each refuses what the other signs." if far else ""), command)


# -- the way back -----------------------------------------------------------------------------------------------------


def _way_back(facts: Facts, visit: Plain) -> Iterator[Check]:
    said = visit["said"] or {}
    knock, seen = said.get("knock", ""), said.get("seen_at", "")
    if not knock:
        return
    translated = bool(seen) and seen not in facts.own_ips
    if knock == "open":
        yield Check("way back", "ok", f"It can call this machine too, at {seen}:{facts.port}.")
    elif translated:
        yield Check("way back", "warn", f"Port closed from outside: it sees this machine as {seen}, which is a router's address, and gets no answer at port {facts.port} there. "
                    "Calls from here to there work, and carry everything.", f"on the router: forward TCP port {facts.port} to {_first(facts)}")  # fmt: skip
    else:
        how = {"silent": "its call was dropped", "refused": "its call was refused"}.get(knock, f"its call ended: {knock}")
        yield Check("way back", "bad", f"Port closed here: the other node called back at {seen}:{facts.port}, and {how} by this machine's firewall.", mend.open_port(facts.system, facts.port))


def _discovery(facts: Facts, visit: Plain) -> Iterator[Check]:
    met, around = visit["met"], facts.around
    if not _answered(visit) or around is None or not around.asked:
        return
    ip = next((one["ip"] for one in visit["knocks"] if one["host"] == met["host"]), "")
    beside = facts.beside(ip)
    if beside is None or ip in facts.own_ips or ip in around.nodes:
        return
    link = "Wi-Fi" if beside.wireless else "network"
    yield Check("discovery", "warn", f"{ip} can be called, and does not answer by multicast: this {link} blocks discovery, a firewall drops UDP port 5353, or that node has --no-mdns. Joining works all the same.", _JOIN)


def _answered(visit: Plain) -> bool:
    return visit["met"] is not None and visit["met"]["outcome"] == "ok"


def _at(one: Mapping[str, Any]) -> str:
    host = f"[{one['host']}]" if ":" in str(one["host"]) else one["host"]
    return f"{host}:{one['port']}"


def _loopback(ip: str) -> bool:
    return _ip(ip, lambda found: found.is_loopback)


def _private(ip: str) -> bool:
    return _ip(ip, lambda found: not found.is_global)


def _ip(ip: str, says: Callable[[Any], bool]) -> bool:
    try:
        return says(ipaddress.ip_address(ip))
    except ValueError:
        return False


def _first(facts: Facts) -> str:
    return facts.addresses[0].ip if facts.addresses else "this machine"


def _short(owner: str) -> str:
    return owner if len(owner) <= 14 else f"owner …{owner[-8:]}"


def _long(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


TABLE: tuple[Callable[[Facts, Plain], Iterator[Check]], ...] = (
    _knocks, _identity, _version, _invite, _swarm, _clock, _way_back, _discovery,
)  # fmt: skip
