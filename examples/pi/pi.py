"""Pi by throwing points at a square and counting those inside the quarter circle."""

import math
import random


def throw(points, seed):
    """One block. The seed is the block's own, so that whoever runs it throws the same points."""
    draw = random.Random(seed).random
    inside = sum(draw() ** 2 + draw() ** 2 < 1.0 for _ in range(points))
    return {"inside": inside, "points": points}


def estimate(values):
    """The answer from all blocks: pi, and one standard error of it."""
    inside = sum(value["inside"] for value in values)
    points = sum(value["points"] for value in values)
    share = inside / points
    return {"pi": 4 * share, "error": 4 * math.sqrt(share * (1 - share) / points), "points": points}
