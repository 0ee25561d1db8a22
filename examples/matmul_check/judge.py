"""Is a stripe the product of its factors? Found out with three random probes, without computing it again."""

from matmul import factors

from ctorrent.verify.freivalds import product_is_right


def right(output, stripe, size, draw):
    """True, or what is wrong. `draw` is a number that whoever made the output could not know."""
    a, b = factors(stripe, size)
    return product_is_right(a, b, output, draw)
