"""What the network is told when it is opened, and its limits, each with the reason for the number."""

from __future__ import annotations

from dataclasses import dataclass, field

from ctorrent.model.ids import NodeId
from ctorrent.net.cures.kad import DhtLimits
from ctorrent.net.cures.swarm import SwarmLimits
from ctorrent.net.cures.yamux import MuxLimits
from ctorrent.wire.names import AGENT, CREDIT_BYTES, GOSSIP_MUTE_BELOW

PORT = 4270


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """Time-outs and limits of channels."""

    open_s: float = 10.0  # dial, negotiate
    hello_s: float = 10.0  # then both Hellos; a silent peer holds a slot no longer
    close_s: float = 5.0  # to send what is queued; then the stream is reset
    linger_s: float = 10.0  # for the peer to finish after we did; then the stream is reset
    inbound_per_peer: int = 64  # a session, a ledger sync and blobs in parallel
    inbound: int = 1_024  # 20 KB each when idle
    outbound_per_peer: int = 128  # of the 256 that a connection carries; identify, gossip and the DHT need some
    credit_bytes: int = CREDIT_BYTES
    batch_bytes: int = 256 << 10  # written at once; more gains nothing, less halves the speed of small frames
    read_bytes: int = 1 << 20  # 400 MB/s, where 64 KiB gives 260
    features: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoreRules:
    """GossipSub's peer score: what a node thinks of a neighbour's *work* (P6), and nothing else.

    The scale is ledger/reputation.py's: 0 for everybody, -20 in quarantine, -100 after a proof. The other parts of the
    score stay at weight 0, libp2p's default, each for a reason:
    P1 time in mesh, P2 first deliveries  a bonus for the near and fast; a cheat buys it with a good line
    P3 deliveries in the mesh             punishes the slow, who are honest (and 0.8.1 counts it as a bonus)
    P4 invalid messages                   blames who relays for what its author wrote; net/gossip.py charges authors instead
    P5 behaviour                          0.8.1 counts a peer that prunes and grafts within ten seconds, as honest ones do when
                                          their mesh shrinks, and it never forgets
    P7 many peers at one address          a household, a campus or a provider's NAT is many honest peers
    """

    application_weight: float = 1.0
    mesh: float = 0.0  # below: no place in a mesh, as GossipSub 1.1 has it
    gossip: float = GOSSIP_MUTE_BELOW  # below: sent no messages, and told of none; between the two above, so that the way back stays open
    graylist: float = -80.0  # libp2p's floor for grafts and messages; here both ended above it


@dataclass(frozen=True, slots=True)
class GossipRules:
    """GossipSub 1.1. Cost: about 1 ms of CPU × messages × degree."""

    degree: int = 6  # of go-libp2p for swarms of any size; with fewer peers it is simply all of them
    degree_low: int = 4
    degree_high: int = 8
    heartbeat_s: int = 1  # stock: 120; a lost message is asked for after one
    rpc_bytes: int = 1 << 20  # what py-libp2p itself sends at most
    topics_per_peer: int = 256  # rings a peer may be in
    score: ScoreRules = field(default_factory=ScoreRules)


@dataclass(frozen=True, slots=True)
class DirectoryRules:
    contacts: int = 4_096  # remembered; unconnected ones with the oldest news go first
    addresses_per_contact: int = 16
    changes: int = 1_024  # that a listener may lag behind
    ban_points: float = 100.0
    half_life_s: float = 600.0  # of points: twenty minutes forgive three quarters
    ban_s: float = 600.0  # the first time; doubles with each further ban
    ban_s_max: float = 86_400.0
    refresh_s: float = 300.0  # between looks into the DHT once neighbours are known
    refresh_first_s: float = 5.0  # after a connect, and while nobody is known
    redial_s: float = 30.0  # between attempts at remembered peers while fewer than `enough` are connected
    enough: int = 8  # neighbours that this node looks for by itself
    hint_dials: int = 4  # at once, from mDNS or the DHT
    connections: int = 300


@dataclass(frozen=True, slots=True)
class NetRules:
    """`listen`: addresses such as "192.168.1.5", "127.0.0.1:4300", "/ip4/…/tcp/…"; empty: every real interface."""

    listen: tuple[str, ...] = ()
    port: int = PORT  # where `listen` names none; the next free one if taken; 0: any
    port_tries: int = 64
    lan_only: bool = False  # dial and accept only this machine and its local networks; no DHT
    vpn: bool = False  # count tun, tap, wg interfaces as real
    mdns: bool = True
    dht: bool = True
    announce: tuple[str, ...] = ()  # further addresses to announce, such as a forwarded port
    known: tuple[tuple[NodeId, tuple[str, ...]], ...] = ()  # from last time
    agent: str = AGENT
    channels: ChannelRules = field(default_factory=ChannelRules)
    gossip: GossipRules = field(default_factory=GossipRules)
    directory: DirectoryRules = field(default_factory=DirectoryRules)
    mux: MuxLimits = field(default_factory=MuxLimits)
    swarm: SwarmLimits = field(default_factory=SwarmLimits)
    kad: DhtLimits = field(default_factory=DhtLimits)
