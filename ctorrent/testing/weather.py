"""What the network does to what is sent over it. All chances are per event, from one seeded dice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weather:
    """Defaults are a calm wide-area network: nothing is lost, frames take 5 to 50 ms."""

    latency_s: tuple[float, float] = (0.005, 0.05)  # drawn per frame: streams overtake each other, frames of one do not
    bandwidth_bytes_s: float = 12.5e6  # 100 Mbit/s, per direction of a channel
    gossip_loss: float = 0.0  # per hop
    gossip_duplication: float = 0.0  # per delivery: the same message comes a second time
    channel_loss: float = 0.0  # per frame: the frame is cut off in the middle and the channel with it
    dial_failure: float = 0.0  # per dial
    detect_s: float = 10.0  # a channel across a partition is lost after this: the health check of net/cures
    slow_factor: float = 20.0  # what latency is multiplied and bandwidth divided by at a slow peer


CALM = Weather()
ROUGH = Weather(
    latency_s=(0.001, 0.4), gossip_loss=0.1, gossip_duplication=0.1, channel_loss=0.002, dial_failure=0.05
)
