"""A js-libp2p peer, which shares no code with us, connects, identifies, pings, gossips, and uses our DHT."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel

from ctorrent.net import Network
from tests.net.nodes import DHT, id_of, networks, run, until

HERE = Path(__file__).parent / "interop"
PACKAGES = Path(os.environ.get("CTORRENT_JS_LIBP2P", HERE))
TOPIC = "test/interop"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed: interoperability is NOT tested"),
    pytest.mark.skipif(
        not (PACKAGES / "node_modules" / "libp2p").exists(),
        reason=f"js-libp2p is not installed (npm install in {HERE}, or CTORRENT_JS_LIBP2P): interoperability is NOT tested",
    ),
]


async def collect(network: Network, got: list[tuple[str, bytes]]) -> None:
    async for author, message in network.gossip.subscribe(TOPIC, lambda author, data: True):
        got.append((author, message))


class JsPeer:
    """The other program: what it said, step by step."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.said: dict[str, Any] = {}
        self.errors = b""

    async def listen(self) -> None:
        assert self.process.stdout is not None
        buffer = b""
        async for data in self.process.stdout:
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                step = json.loads(line)
                self.said[step["step"]] = step["value"]

    async def complaints(self) -> None:
        assert self.process.stderr is not None
        async for data in self.process.stderr:
            self.errors += data

    async def step(self, name: str) -> Any:
        try:
            await until(lambda: name in self.said or self.process.returncode is not None, 60)
        except trio.TooSlowError:
            pytest.fail(f"js said {list(self.said)} and not {name}: {self.errors.decode()[-2_000:]}")
        assert name in self.said, self.errors.decode()[-2_000:]
        return self.said[name]


def test_js_libp2p_can_do_everything_with_us(tmp_path: Path) -> None:
    program = shutil.copy(HERE / "peer.mjs", tmp_path)  # Node looks for packages beside the program
    (tmp_path / "node_modules").symlink_to((PACKAGES / "node_modules").resolve())

    async def main() -> None:
        async with networks(DHT, DHT) as (hub, other), trio.open_nursery() as nursery:
            got: list[tuple[str, bytes]] = []
            nursery.start_soon(collect, hub, got)
            await until(lambda: hub.directory.host.libp2p and TOPIC in other.gossip.pubsub.peer_topics)
            command = ["node", str(program), hub.directory.addresses()[0], id_of(other), TOPIC]
            process = await trio.lowlevel.open_process(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            try:
                js = JsPeer(process)
                nursery.start_soon(js.listen)
                nursery.start_soon(js.complaints)
                await _everything(js, hub, other, got)
            finally:
                process.kill()
                await process.wait()
                nursery.cancel_scope.cancel()

    run(main, 240)


async def _everything(js: JsPeer, hub: Network, other: Network, got: list[tuple[str, bytes]]) -> None:
    name = await js.step("id")
    identity = await js.step("identify")
    assert identity["agent"] == "ctorrent" and "/ctorrent/kad/1.0.0" in identity["protocols"]
    assert [a.partition("/p2p/")[0] for a in identity["addresses"]] == [str(a) for a in hub.directory.host.listening]
    await js.step("published")
    await until(lambda: (name, b"from js") in got)
    await hub.gossip.publish(TOPIC, b"from py")
    assert await js.step("heard") == {"from": id_of(hub), "data": "from py"}
    (where,) = map(str, other.directory.host.listening)
    assert [address for address in await js.step("found") if where in address]
    assert await js.step("ping") >= 0
    assert hub.directory.standing(name)[0] == 0  # type: ignore[arg-type]
    (contact,) = [one for one in hub.directory.contacts() if one.node == name]
    assert "libp2p" in contact.agent and contact.connected
