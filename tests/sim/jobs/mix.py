"""What the simulated sandbox calls `mix.py:mix` for is ctorrent.testing.fake_sandbox.mix; this file is its code bundle."""


def mix(index, seed):
    return (index * 2654435761 + seed) % 2**32


def total(values):
    return sum(values)
