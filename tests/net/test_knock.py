"""What one TCP connection tells, on loopback."""

from __future__ import annotations

import pytest
import trio

from ctorrent.net.knock import Knock, knock
from tests.net.nodes import run

pytestmark = pytest.mark.real


def test_open_refused_and_nameless() -> None:
    async def test() -> None:
        with trio.socket.socket() as door:
            await door.bind(("127.0.0.1", 0))
            port = door.getsockname()[1]
            assert await knock("127.0.0.1", port) == Knock("refused", "Connection refused", "127.0.0.1")
            door.listen(1)
            assert await knock("127.0.0.1", port) == Knock("open", "", "127.0.0.1")
        for name in ("nowhere.invalid", "a" * 300, "ü" * 80):
            assert (await knock(name, 1)).outcome == "nameless"

    run(test)


def test_a_full_queue_is_silence() -> None:
    async def test() -> None:
        with trio.socket.socket() as door:
            await door.bind(("127.0.0.1", 0))
            door.listen(0)
            held = []
            for _ in range(4):  # the queue of a listener that accepts nobody
                held.append(trio.socket.socket())
                with trio.move_on_after(0.2):
                    await held[-1].connect(door.getsockname())
            found = await knock("127.0.0.1", door.getsockname()[1], 0.5)
            assert (found.outcome, found.detail) == ("silent", "no answer within 0.5 s")
            for one in held:
                one.close()

    run(test)
