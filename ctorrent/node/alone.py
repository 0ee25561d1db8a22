"""A node that knows nobody: after ten seconds it says so, once, with an invite for the first who comes."""

from __future__ import annotations

from collections.abc import Callable

import trio

from ctorrent.door import Plain
from ctorrent.node.node import Node

ALONE_S = 10.0  # a neighbour is found by multicast within two, and a remembered one answers at once
INVITE_USES = 4  # the machines of one evening; `ctorrent invite --uses N` makes more
INVITE_VALID_S = 86_400


async def say_if_alone(node: Node, say: Callable[[Plain], None], invited: bool) -> None:
    """`say` gets {"waited_s", "invite", "uses", "valid_s", "here_only"}; "invite" is "" unless `invited`."""
    await trio.sleep(ALONE_S)
    if node.world.directory.contacts():
        return
    line = await node.door.invite(INVITE_USES, INVITE_VALID_S) if invited else ""
    here_only = all(address.startswith(("/ip4/127.", "/ip6/::1/")) for address in node.world.directory.addresses())
    say({"waited_s": ALONE_S, "invite": line, "uses": INVITE_USES, "valid_s": INVITE_VALID_S, "here_only": here_only})
