"""Jobs with large files, and what moving them costs the processes that move them."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.real.herd import Tended, write_job

MIB = 1 << 20
PROGRAM = """
import hashlib
import model.net

def run(n):
    seen = hashlib.sha256()
    with open("model/weights.bin", "rb") as file:
        while part := file.read(1 << 20):
            seen.update(part)
    return [model.net.double(n), seen.hexdigest(), open("contacts.csv").read()]
"""
JOB = """
python: work.py:run
files: [model/, contacts.csv]
blocks: {count: 1}
params: {n: 21}
verify: {replicas: 1}
"""


def laden(folder: Path, size_bytes: int) -> Path:
    """A job whose folder has a large file in it, of bytes that nothing can shorten. -> the job file."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "net.py").write_text("def double(n):\n    return 2 * n\n")
    (folder / "contacts.csv").write_text("a,b\n1,2\n")
    with (folder / "model" / "weights.bin").open("wb") as file:
        for start in range(0, size_bytes, MIB):
            file.write(os.urandom(min(MIB, size_bytes - start)))
    return write_job(folder, PROGRAM, JOB)


def arrived(machine: Tended) -> int:
    """Bytes of unfinished blobs in a machine's store."""
    folder = machine.data / "blobs" / "partial"
    sizes = []
    for item in folder.iterdir() if folder.exists() else ():
        try:
            sizes.append(item.stat().st_size)
        except FileNotFoundError:  # it is whole now
            continue
    return max(sizes, default=0)


class Weight:
    """Memory of some processes: at first, and the most since."""

    def __init__(self, *machines: Tended) -> None:
        self._pids = {one.name: one.process.pid for one in machines if one.process is not None}
        self.first = {name: _resident(pid) for name, pid in self._pids.items()}
        self.most = dict(self.first)

    def look(self) -> None:
        for name, pid in self._pids.items():
            self.most[name] = max(self.most[name], _resident(pid))

    def grown(self) -> dict[str, float]:
        """MiB added at the worst moment."""
        return {name: (self.most[name] - self.first[name]) / MIB for name in self._pids}


def _resident(pid: int) -> int:
    """All that `top` counts, mapped files too."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0


@contextmanager
def weighed(*machines: Tended) -> Iterator[Weight]:
    """Look every 20 ms while the block runs."""
    weight, over = Weight(*machines), threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            weight.look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield weight
    finally:
        over.set()
        watcher.join()


def copied(source: Path, target: Path) -> None:
    """What `cp` does, every byte of it."""
    with source.open("rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer, MIB)
