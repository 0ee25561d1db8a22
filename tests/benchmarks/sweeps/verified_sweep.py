import random

import ctorrent


def epidemic(beta, run):  # how many are ill at worst, of a thousand
    dice = random.Random(run)
    ill, well, worst = 5, 995, 5
    for _ in range(50):
        new = sum(dice.random() < beta * ill / 1000 for _ in range(well))
        ill, well = ill + new - ill // 10, well - new
        worst = max(worst, ill)
    return worst


settings = [(beta / 100, run) for beta in range(10, 50) for run in range(10)]
with ctorrent.connect() as net:
    worst = list(net.map(epidemic, settings))  # each by two owners, who must agree
print(len(worst), sum(worst))
