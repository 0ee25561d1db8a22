"""One run of an epidemic among n people of three age groups."""

import csv
import random

from model.sir import epidemic, reproduction

DAYS_ILL = 5.0


def run(beta, n, seed):
    """beta: chance to catch it at one contact. -> highest share of people ill at once, in percent, and R0."""
    with open("contacts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    groups = [row["group"] for row in rows]
    contacts = [[float(row[group]) for group in groups] for row in rows]
    sizes = [round(n * float(row["share"])) for row in rows]
    peak = epidemic(sizes, contacts, beta, DAYS_ILL, random.Random(seed))
    return {"peak": round(100 * peak, 2), "r0": round(reproduction(contacts, beta, DAYS_ILL), 2)}
