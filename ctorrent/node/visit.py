"""A visit to another node, as nobody: what `ctorrent doctor ADDRESS` reports. Nothing is joined, nothing used up.

    knock at each address ─▶ handshake: who is it? ─▶ which program? ─▶ introduction ─▶ its clock, the invite, a knock back
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import trio

from ctorrent.errors import CTorrentError, LocalError, Malformed, Unsupported
from ctorrent.model.session import Findings, Inquiry, Introduction
from ctorrent.net.addresses import parse
from ctorrent.net.knock import knock
from ctorrent.net.visitor import Met, meet, program, visiting
from ctorrent.node.node import VERSION
from ctorrent.node.patience import printable
from ctorrent.node.session import hang_up
from ctorrent.node.settings import PORT
from ctorrent.ports import Channel
from ctorrent.wire import codec, names

Plain = dict[str, Any]
VISIT_S = 40.0  # a knock, a handshake, an introduction and a knock back, each at its own limit
_PLAIN = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:]+)\]|(?P<four>[\w.-]+))(?::(?P<port>\d{1,5}))?\Z")
_ADDRESSES_MAX = 8
_NAME_CHARS = 60


def target(text: str) -> Plain:
    """What an address or an invite says: {"kind", "node", "owner", "swarm", "token", "places": [(host, port), …]}.

    Raises LocalError for what cannot be read.
    """
    text = text.strip()
    if text[:9].lower() == "ctorrent1":
        try:
            invite = codec.decode_invite(text)
        except CTorrentError as error:
            raise LocalError(f"The invite cannot be read: {error.message}.", "Copy all of its line, or ask for a new one: ctorrent invite") from None
        places = [place for address in invite.addresses if (place := _place(address))]
        return {"kind": "invite", "node": invite.inviter, "owner": invite.owner, "swarm": invite.swarm, "token": invite.token, "places": places}
    node = text.rpartition("/p2p/")[2] if "/p2p/" in text else ""
    place = _place(text) if text.startswith("/") else _host(text)
    if place is None:
        raise LocalError(
            f"{text[:60]!r} is neither an invite nor an address.", "Such as ctorrent1:…, /ip4/192.168.1.5/tcp/4270/p2p/12D3… or 192.168.1.5"
        )
    return {"kind": "address", "node": node, "owner": "", "swarm": "", "token": b"", "places": [place]}


def _place(address: str) -> tuple[str, int] | None:
    parsed = parse(address)
    if parsed is None:
        return None
    parts = str(parsed).split("/")
    return parts[2], int(parts[4])


def _host(text: str) -> tuple[str, int] | None:
    """192.168.1.5, 192.168.1.5:4270, [fd00::5]:4270, a name."""
    found = _PLAIN.match(text)
    if found is None or (found["four"] or "").isdecimal():  # "4270" is a port, whatever the C library makes of it
        return None
    port = int(found["port"] or PORT)
    return (found["six"] or found["four"], port) if 0 < port < 1 << 16 else None


def visit(text: str, own_port: int = 0) -> Plain:
    """Blocking. Facts about an address or invite, all plain:

    {"target", "knocks": [{"host", "port", "outcome", "detail", "ip"}], "met": {"outcome", "node", "detail"} or None,
     "agent", "protocols", "said": {…} or None}. own_port: of this machine's node, for a knock back; 0: none.
    """
    found = target(text)
    return trio.run(_visit, found, own_port)


async def _visit(found: Plain, own_port: int) -> Plain:
    facts: Plain = {"target": found, "knocks": await _knocks(found["places"]), "met": None, "agent": "", "protocols": [], "said": None,
                    "ours": {"version": VERSION, "protocols": [names.SESSION, names.BLOB, names.LEDGER, names.JOIN]}}  # fmt: skip
    takes = [one for one in facts["knocks"] if one["outcome"] == "open"]
    with trio.move_on_after(VISIT_S):
        for one in takes:
            async with visiting() as network:
                met = await meet(network, one["ip"], one["port"], found["node"])
                facts["met"] = {**asdict(met), "host": one["host"], "port": one["port"]}
                if met.outcome == "ok":
                    facts["agent"], facts["protocols"] = await program(network, met.node)
                    facts["said"] = await _talk(network, met, found["token"], own_port)
                    break
    return facts


async def _knocks(places: Sequence[tuple[str, int]]) -> list[Plain]:
    results: dict[int, Plain] = {}

    async def one(number: int, host: str, port: int) -> None:
        results[number] = {"host": host, "port": port, **asdict(await knock(host, port))}

    async with trio.open_nursery() as nursery:
        for number, (host, port) in enumerate(places[:_ADDRESSES_MAX]):
            nursery.start_soon(one, number, host, port)
    return [results[number] for number in sorted(results)]


async def _talk(network: Any, met: Met, token: bytes, own_port: int) -> Plain:
    """Introductions and one question. {"error": why not} when it does not come to that."""
    said: Plain = {"error": "", "kind": ""}
    try:
        channel = await network.streams.open(met.node, names.JOIN)
    except Unsupported as error:
        return {"error": error.message, "kind": "unsupported"}
    except CTorrentError as error:
        return {"error": error.message, "kind": "silent"}
    try:
        said |= await _introduced(channel)
        await channel.send(codec.encode_message(Inquiry(token, own_port)))
        asked = time.time()
        answer = codec.decode_message(await channel.receive())
        if isinstance(answer, Findings):
            said |= asdict(answer) | {"asked_unix_s": (asked + time.time()) / 2}
    except CTorrentError as error:  # an older node ends the channel where it does not know the question
        said |= {"error": error.message, "kind": "unsupported" if isinstance(error, Unsupported) else "silent"}
    finally:
        await hang_up(channel)
    return said


async def _introduced(channel: Channel) -> Plain:
    """Say nothing of oneself, and hear who the peer is: name, owner, version, swarms (roots)."""
    await channel.send(codec.encode_message(Introduction(None, (), "", "")))
    heard = codec.decode_message(await channel.receive())
    if not isinstance(heard, Introduction):
        raise Malformed(f"it began with {type(heard).__name__} instead of an introduction")
    owner = codec.open_certificate(heard.certificate).owner if heard.certificate else ""
    swarms = sorted({codec.open_membership(links).swarm for links in heard.memberships if links} | ({owner} if owner else set()))
    return {"name": printable(heard.name, _NAME_CHARS), "owner": owner, "version": printable(heard.version, _NAME_CHARS), "swarms": swarms}


