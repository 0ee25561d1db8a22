"""Counts the words of one piece of a text: count.py PIECE OUTPUT. Standard library only.

A piece may begin or end inside a word. What touches its ends is not counted but handed on, for merge.py to join.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

WORD = re.compile(rb"[A-Za-z]+")


def count(piece):
    """-> {"head": letters at the start, "tail": letters at the end, "counts": {word: times}}."""
    end = re.search(rb"[^A-Za-z]", piece)
    if end is None:  # one long word, or nothing
        return {"head": piece.decode().lower(), "tail": None, "counts": {}}
    head = piece[: end.start()]
    tail = re.search(rb"[A-Za-z]*\Z", piece).group()
    words = WORD.findall(piece[len(head) : len(piece) - len(tail)].lower())
    counts = Counter(word.decode() for word in words)
    return {"head": head.decode().lower(), "tail": tail.decode().lower(), "counts": dict(sorted(counts.items()))}


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(json.dumps(count(source.read_bytes())))
