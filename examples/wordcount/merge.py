"""Adds up what count.py wrote for each piece, and joins the words that a cut went through."""

import json
from collections import Counter


def merge(values):
    """values: the output files in order. -> {"words", "different", "most": [[word, times]…]}."""
    total = Counter()
    open_word = ""
    for value in values:
        piece = json.loads(value)
        total.update(piece["counts"])
        open_word += piece["head"]
        if piece["tail"] is not None:
            total.update([open_word] if open_word else [])
            open_word = piece["tail"]
    total.update([open_word] if open_word else [])
    most = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    return {"words": sum(total.values()), "different": len(total), "most": [list(item) for item in most[:1000]]}
