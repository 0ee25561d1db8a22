import random

import ray


@ray.remote
def epidemic(beta, run):  # how many are ill at worst, of a thousand
    dice = random.Random(run)
    ill, well, worst = 5, 995, 5
    for _ in range(50):
        new = sum(dice.random() < beta * ill / 1000 for _ in range(well))
        ill, well = ill + new - ill // 10, well - new
        worst = max(worst, ill)
    return worst


settings = [(beta / 100, run) for beta in range(10, 50) for run in range(10)]
ray.init(address="auto")
worst = ray.get([epidemic.remote(*one) for one in settings])
print(len(worst), sum(worst))
