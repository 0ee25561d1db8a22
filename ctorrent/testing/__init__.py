"""Simulated worlds for programs built on ctorrent: the ports of a node as fakes, on one seed. Public; for tests only.

simulate       run(seed, main): a deterministic trio run, mock clock, no threads
weather        what the network does to what is sent
fake_net       open_net(): hosts with Streams, Directory and Gossip (fake_streams, fake_directory, fake_gossip)
fake_swarm     open_swarm(): whole nodes, the real code of node/, on fake ports; crashes and restarts
fake_journal   a disk that forgets what was not synced; fake_blobs likewise
fake_sandbox   cells that call functions, and may lie, crash, dawdle or waver
fake_clock, fake_keys, fake_hardware
post, feed     what the fakes stand on

May import every room below; imported by tests.
"""
