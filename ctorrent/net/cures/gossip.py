"""Pubsub: nothing lost after a restart, nothing lost in a short burst.

What it cures in libp2p 0.8.1:
  - pubsub/pubsub.py:478 counts messages from int(time.time()): a node that published faster than once a second and
    restarts repeats ids that others still remember, and is not heard for two minutes   -> `continue_counting`
  - pubsub/pubsub.py:124 keeps 32 messages per subscription and drops the rest          -> `install`
"""

from __future__ import annotations

import logging
import time
from typing import Any

from libp2p.pubsub import pubsub as stock
from libp2p.pubsub import rpc_queue

OUTBOUND_QUEUE = 512  # RPCs that wait for a neighbour; stock drops the 33rd of a burst without a word
SUBSCRIPTION_QUEUE = 512  # messages of at most 64 KiB: five seconds of the fastest neighbour; then the newest are lost


def continue_counting(pubsub: Any) -> None:
    """Start above every number an earlier run can have reached."""
    pubsub.counter = time.time_ns()


def install() -> None:
    """For this process, before the first subscription."""
    stock.SUBSCRIPTION_CHANNEL_SIZE = SUBSCRIPTION_QUEUE
    # rpc_queue.py:39, :59: the constant is a default argument, bound when the class was made
    rpc_queue.RpcQueue.__init__.__defaults__ = (OUTBOUND_QUEUE, rpc_queue.DefaultMaxMessageSize)
    # what peers do is not an error of this program; libp2p logs it as one, with tracebacks, line after line
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
