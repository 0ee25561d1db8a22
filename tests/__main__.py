"""python -m tests: every test, in two halves beside each other.

The first half (tests/conftest.py says which) waits for nodes most of its time and leaves a core idle; the second fills
it. Its words come when both are over. `python -m pytest` runs the same tests one after the other.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from shutil import copyfileobj

NONE_OF_THESE = 5  # pytest's exit code: what was named is all of the other half


def halves(arguments: list[str]) -> int:
    """-> an exit code: 0 when both halves passed."""
    pytest = [sys.executable, "-m", "pytest", *arguments]
    root = Path(__file__).parents[1]
    with tempfile.TemporaryFile() as said:
        beside = subprocess.Popen([*pytest, "--half", "second"], cwd=root, stdout=said, stderr=subprocess.STDOUT)
        code = 2
        with suppress(KeyboardInterrupt):  # both heard it, and end in order
            code = subprocess.call([*pytest, "--half", "first"], cwd=root)
        with suppress(KeyboardInterrupt):
            beside.wait()
        sys.stdout.flush()
        said.seek(0)
        copyfileobj(said, sys.stdout.buffer)
    ended = [one for one in (code, beside.returncode) if one != NONE_OF_THESE]
    return max(ended, key=bool, default=NONE_OF_THESE)


if __name__ == "__main__":
    sys.exit(halves(sys.argv[1:]))
