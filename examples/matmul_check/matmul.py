"""A large product, stripe by stripe, in single precision."""

import numpy as np

ROWS = 256  # of one stripe


def factors(stripe, size):
    """The two matrices of one block, made anew wherever they are needed: they need not travel."""
    a = np.random.default_rng([1, stripe]).standard_normal((ROWS, size), dtype=np.float32)
    b = np.random.default_rng(2).standard_normal((size, size), dtype=np.float32)
    return a, b


def multiply(stripe, size):
    """One block: other libraries and processors add up in another order, and give other last bits."""
    a, b = factors(stripe, size)
    return a @ b


def length(values):
    """The answer from all blocks: the length of the whole product, as one vector."""
    return float(np.sqrt(sum((value.astype("f8") ** 2).sum() for value in values)))
