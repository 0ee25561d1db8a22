"""The defects of libp2p 0.8.1 that concern us, and their cures. Only this room patches the library.

    yamux, yamux_stream, pipe   our own multiplexer over its Noise: safe to cancel, bounded, honest about ends, fast
    swarm                       inbound slots, dialling, auto-connecting, port sharing, closing
    guard                       exceptions and garbage stay inside the stream that carried them
    identify                    the agent's name, limits on what a peer claims
    gossip                      sequence numbers, queues, log
    kad                         own protocol id, fair and bounded service, providers once

Each names the defect with file and line; tests/net/test_cures*.py shows the stock library failing, so that an upgrade
tells which cure can go. `install` is for the whole process and is called once, before the first host is made.
"""

from __future__ import annotations

import os


def install(agent: str) -> None:
    """Apply what can only be cured for the whole process. Safe to call again. agent: what identify calls this program."""
    from ctorrent.net.cures import gossip, guard, identify, kad, swarm

    os.environ.setdefault("PY_YAMUX_RELEASE_ON_READ", "0")  # only matter should a stock Yamux ever be made
    os.environ.setdefault("PY_YAMUX_DISABLE_HYSTERESIS", "1")
    for cure in (guard, swarm, kad, gossip):
        cure.install()
    identify.install(agent)
