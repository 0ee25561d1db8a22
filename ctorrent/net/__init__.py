"""Everything that knows libp2p. Rooms above see three ports (ports.Streams, Directory, Gossip) and `open_network`.

    network     open_network: the three ports, opened and closed together
    host        one key, TCP, Noise, Yamux, every cure applied          rules     what it is told, and every limit
    streams     channels by protocol id        channel   frames over one stream, credit, two tasks
    directory   contacts, dialling, charges    contacts, standing, records, addresses: its parts
    discovery   last time, DHT                 mdns      the local network
    gossip      GossipSub 1.1                  cures/    the library's defects and what helps, each with its test

Only node/ imports this room, and only this room imports libp2p.
"""

from ctorrent.net.network import Network, open_network
from ctorrent.net.rules import NetRules

__all__ = ["NetRules", "Network", "open_network"]
