"""One seed, one story: the same events and the same task steps, in every run and under every PYTHONHASHSEED."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest
import trio

from ctorrent.errors import Unavailable
from ctorrent.ports import Channel
from ctorrent.testing import simulate
from ctorrent.testing.fake_keys import keys
from ctorrent.testing.fake_net import FakeHost, FakeNet, open_net
from ctorrent.testing.weather import ROUGH


async def stormy(simulation: simulate.Simulation) -> list:
    """Ten nodes in rough weather talk, gossip, crash and come back."""
    async with open_net(simulation.dice("net"), ROUGH) as net, trio.open_nursery() as nursery:
        hosts = []
        for number in range(10):
            home = await nursery.start(household)
            hosts.append(net.host(keys(f"node {number}").node, home))
        for host in hosts:
            nursery.start_soon(live, simulation, net, host)
        net.mesh(4)
        await trio.sleep(5)
        net.partition([h.node for h in hosts[:5]], [h.node for h in hosts[5:]])
        await trio.sleep(15)
        net.heal()
        net.crash(hosts[3].node)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    return simulation.events


async def household(task_status) -> None:
    async with trio.open_nursery() as nursery:
        task_status.started(nursery)
        await trio.sleep_forever()


async def live(simulation: simulate.Simulation, net: FakeNet, host: FakeHost) -> None:
    dice = simulation.dice(host.node)

    async def echo(channel: Channel) -> None:
        while True:
            await channel.send(await channel.receive())

    host.streams.serve("/echo/1", echo)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, simulation, host)
        while True:
            await trio.sleep(dice.random())
            await host.gossip.publish("news", dice.randbytes(8))
            peer = dice.choice(list(net.hosts))
            try:
                with trio.move_on_after(3):
                    channel = await host.streams.open(peer, "/echo/1")
                    for _ in range(5):
                        await channel.send(dice.randbytes(dice.randrange(1000)))
                        simulation.note((host.node, "echoed", peer, len(await channel.receive())))
                    await channel.aclose()
            except Unavailable as error:
                simulation.note((host.node, peer, str(error)))


async def listen(simulation: simulate.Simulation, host: FakeHost) -> None:
    async for author, message in host.gossip.subscribe("news", lambda _, message: message[0] > 20):
        simulation.note((host.node, "heard", author, message))


def story(seed: int) -> tuple[list, list]:
    steps: list[tuple[float, str]] = []
    return simulate.run(seed, stormy, trace=steps), steps


def test_a_seed_gives_the_same_trace_twice() -> None:
    first, second = story(7), story(7)
    assert len(first[0]) > 500 and len(first[1]) > 3000, "the story must be worth comparing"
    assert first[0] == second[0]
    assert first[1] == second[1]


def test_another_seed_gives_another() -> None:
    assert story(7)[0] != story(8)[0]


def test_the_clock_alone_would_not_do() -> None:
    """What simulate.run is for: without its dice, trio orders tasks that wake together as it likes."""

    async def race() -> list[int]:
        order: list[int] = []

        async def runner(number: int) -> None:
            await trio.sleep(1)
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(runner, number)
        return order

    async def races(_: object = None) -> list[list[int]]:
        return [await race() for _ in range(8)]

    plain = [trio.run(races, clock=trio.testing.MockClock(autojump_threshold=0)) for _ in range(5)]
    assert any(one != plain[0] for one in plain)
    seeded = [simulate.run(1, races) for _ in range(5)]
    assert all(one == seeded[0] for one in seeded)
    assert len({tuple(order) for order in seeded[0]}) > 1, "and the order still varies within a run"


@pytest.mark.real
def test_hash_seeds_do_not_matter() -> None:
    program = f"from {__name__} import story; import hashlib; print(hashlib.sha256(repr(story(3)).encode()).hexdigest())"
    path = os.pathsep.join(p for p in sys.path if p)
    digests = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
        digests.add(subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout)
    digests.add(hashlib.sha256(repr(story(3)).encode()).hexdigest().encode() + b"\n")
    assert len(digests) == 1


def test_a_hang_a_spin_and_a_thread_are_stopped_and_a_failure_names_its_seed() -> None:
    async def hang(_: simulate.Simulation) -> None:
        await trio.sleep_forever()

    async def spin(_: simulate.Simulation) -> None:
        while True:
            await trio.lowlevel.checkpoint()

    async def thread(_: simulate.Simulation) -> None:
        await trio.to_thread.run_sync(print)

    with pytest.raises(trio.TooSlowError) as failure:
        simulate.run(4711, hang, limit_s=60)
    assert "seed=4711" in failure.value.__notes__[0]
    with pytest.raises(simulate.Spinning):
        simulate.run(1, spin, steps_max=1000)
    with pytest.raises(RuntimeError, match="no threads"):
        simulate.run(1, thread)
