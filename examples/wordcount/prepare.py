"""Writes text.txt: the Python sources of this machine's own standard library, one after another, up to a size.

    python examples/wordcount/prepare.py [MEGABYTES]
"""

import sys
import sysconfig
from pathlib import Path

TEXT = Path(__file__).parent / "text.txt"


def prepare(megabytes: float = 8.0, target: Path = TEXT) -> Path:
    """-> the text file, of at most so many million bytes."""
    room = int(megabytes * 1e6)
    with target.open("wb") as text:
        for source in sorted(Path(sysconfig.get_path("stdlib")).glob("**/*.py")):
            if "site-packages" in source.parts or room <= 0:
                continue
            words = source.read_bytes()[:room]
            text.write(words)
            room -= len(words)
    return target


if __name__ == "__main__":
    print(prepare(*map(float, sys.argv[1:2])))
