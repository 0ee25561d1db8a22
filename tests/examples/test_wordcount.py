"""examples/wordcount on three nodes, against one regular expression over the whole text."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.examples.swarmed import EXAMPLES, finished


@pytest.mark.real
@pytest.mark.slow
def test_wordcount(net: Any, load: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLES / "wordcount", tmp_path / "wordcount", ignore=shutil.ignore_patterns("text.txt", "__pycache__"))
    text = load("wordcount/prepare.py").prepare(4, folder / "text.txt").read_bytes()
    job = net.start(folder / "job.yaml")
    rows = finished(job)
    assert len(rows) == 16
    answer = job.answer()
    counted = Counter(word.decode() for word in re.findall(rb"[a-z]+", text.lower()))
    assert answer["words"] == sum(counted.values())
    assert answer["different"] == len(counted)
    assert dict(answer["most"]) == dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:1000])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_cuts_through_words_are_mended(load: Any, size: int) -> None:
    count, merge = load("wordcount/count.py"), load("wordcount/merge.py")
    for text in (b"", b"word", b"two words", b"  An A, a\nANT; x_y 'tis ", "n\u00e4he bei".encode()):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        answer = merge.merge([json.dumps(count.count(piece)).encode() for piece in pieces])
        assert dict(answer["most"]) == Counter(word.decode() for word in re.findall(rb"[a-z]+", text.lower()))
