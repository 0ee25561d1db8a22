"""Puts the counts of all texts together."""


def merge(values):
    """values: the bytes that each block wrote. -> the ten words that are used most, each with its count."""
    total = {}
    for value in values:
        for line in value.decode().splitlines():
            count, _, word = line.strip().partition(" ")
            if word:
                total[word] = total.get(word, 0) + int(count)
    most = sorted(total, key=lambda word: (-total[word], word))
    return [[word, total[word]] for word in most[:10]]
