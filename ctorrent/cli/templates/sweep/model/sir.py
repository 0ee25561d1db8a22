"""Susceptible, ill, recovered: a chain of binomial draws, day by day (Reed and Frost, 1928)."""

import math


def epidemic(sizes, contacts, beta, days_ill, rng):
    """sizes: people by group. contacts[a][b]: people of group b that one of group a meets a day.

    -> highest share of people who are ill at once
    """
    well, ill = list(sizes), [0] * len(sizes)
    for _ in range(max(1, sum(sizes) // 100)):  # one in a hundred begins ill
        group = rng.choices(range(len(sizes)), well)[0]
        well[group] -= 1
        ill[group] += 1
    total, peak = sum(sizes), 0.0
    while any(ill):
        peak = max(peak, sum(ill) / total)
        caught = []
        for group, people in enumerate(well):
            met = sum(rate * ill[other] / sizes[other] for other, rate in enumerate(contacts[group]) if sizes[other])
            caught.append(binomial(people, 1 - (1 - beta) ** met, rng))
        recovered = [binomial(people, 1 / days_ill, rng) for people in ill]
        well = [people - new for people, new in zip(well, caught)]
        ill = [people + new - gone for people, new, gone in zip(ill, caught, recovered)]
    return peak


def reproduction(contacts, beta, days_ill):
    """How many one ill person infects among people who are all well: the largest eigenvalue, by power iteration."""
    vector, size = [1.0] * len(contacts), 1.0
    for _ in range(100):
        vector = [sum(rate * part for rate, part in zip(row, vector)) for row in contacts]
        size = max(vector)
        vector = [part / size for part in vector]
    return size * beta * days_ill


def binomial(tries, chance, rng):
    """How many of so many tries succeed. It leaps from success to success, so that rare ones cost little."""
    if tries <= 0 or chance <= 0:
        return 0
    if chance >= 1:
        return tries
    if chance > 0.5:
        return tries - binomial(tries, 1 - chance, rng)
    found, at, log_miss = 0, 0, math.log1p(-chance)
    while True:
        at += int(math.log(1 - rng.random()) / log_miss) + 1
        if at > tries:
            return found
        found += 1
