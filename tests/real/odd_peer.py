"""A peer that is not as it should be, over the real network: `python -m tests.real.odd_peer IP PORT old|clock|strange`.

old: an earlier major version of every protocol. clock: three hours behind. strange: a libp2p program of another kind.
Prints its peer id when it listens.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace

import trio

from ctorrent.model.session import Findings, Introduction
from ctorrent.net import NetRules, open_network
from ctorrent.ports import Channel
from ctorrent.wire import codec, names

AGENTS = {"old": "ctorrent/0.0.1", "clock": "ctorrent/0.1.0", "strange": "filecoin/1.2"}


async def answer(channel: Channel) -> None:
    await channel.send(codec.encode_message(Introduction(None, (), "odd", "0.1.0")))
    await channel.receive()
    await channel.receive()
    await channel.send(codec.encode_message(Findings(int(time.time()) - 3 * 3600)))
    await channel.receive()


async def main(ip: str, port: str, kind: str) -> None:
    rules = replace(NetRules(), listen=(f"{ip}:{port}",), mdns=False, dht=False, agent=AGENTS[kind])
    async with open_network(os.urandom(32), rules) as network:
        if kind == "old":
            for name in ("session", "blob", "ledger", "join"):
                network.streams.serve(f"/ctorrent/{name}/0", answer)
        elif kind == "clock":
            network.streams.serve(names.JOIN, answer)
        print(network.directory.addresses()[0].rpartition("/")[2], flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:4])
