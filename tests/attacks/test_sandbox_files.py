"""A job's files are links to blobs that other jobs read too: no block may change, replace, remove or re-mode them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from ctorrent import canon
from ctorrent.model.job import Needs
from ctorrent.store import trees
from tests.sandbox.cells import block, sandbox_of, spec_of

pytestmark = pytest.mark.real
CONTENT = b"what every block must find here\n"
ATTACKS = """
import ctypes, fcntl, mmap, os, shutil

F, D = "model/w.bin", "model"

def reopened(mode):
    with open(F, "rb") as file:
        return open("/proc/self/fd/%d" % file.fileno(), mode).write(b"x")

def raw(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def mapped():
    with open(F, "rb") as file:
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_WRITE, flags=mmap.MAP_SHARED)[:1] = b"x"

def descriptor(change):
    fd = os.open(F, os.O_RDONLY)
    try:
        change(fd)
    finally:
        os.close(fd)

TRIES = {
    "write": lambda: open(F, "r+b").write(b"x"),
    "append": lambda: open(F, "ab").write(b"x"),
    "empty": lambda: open(F, "wb"),
    "truncate": lambda: os.truncate(F, 0),
    "ftruncate": lambda: descriptor(lambda fd: os.ftruncate(fd, 0)),
    "fallocate": lambda: descriptor(lambda fd: os.posix_fallocate(fd, 0, 1 << 20)),
    "chmod": lambda: os.chmod(F, 0o777),
    "fchmod": lambda: descriptor(lambda fd: os.fchmod(fd, 0o777)),
    "chmod of the folder": lambda: os.chmod(D, 0o777),
    "chown": lambda: os.chown(F, os.getuid(), os.getgid()),
    "utime": lambda: os.utime(F, (0, 0)),
    "xattr": lambda: os.setxattr(F, "user.x", b"x"),
    "flags": lambda: descriptor(lambda fd: fcntl.ioctl(fd, 0x40086602, bytes(8))),
    "remove": lambda: os.remove(F),
    "rename": lambda: os.rename(F, D + "/v.bin"),
    "rename the folder": lambda: (os.rename(D, "other"), os.rename("other", D)),
    "replace": lambda: os.replace("work.txt", F),
    "replace by one's own": lambda: os.replace("mine.txt", F),
    "write through the link": lambda: open("work.txt", "w").write("mine"),
    "rmtree": lambda: shutil.rmtree(D),
    "a new file": lambda: open(D + "/new", "w"),
    "a new folder": lambda: os.mkdir(D + "/sub"),
    "a link beside it": lambda: os.link(F, D + "/other"),
    "a symlink beside it": lambda: os.symlink("/etc", D + "/etc"),
    "map it": mapped,
    "reopened for writing": lambda: reopened("r+b"),
    "reopened for appending": lambda: reopened("ab"),
    "remount": lambda: raw("mount", None, b"/job", None, 4096 | 32, None),
    "unmount": lambda: raw("umount2", b"/job", 2),
    "O_PATH and chmod": lambda: os.chmod("/proc/self/fd/%d" % os.open(F, os.O_PATH), 0o777),
}

def block():
    done = []
    for name, attempt in TRIES.items():
        try:
            attempt()
            done.append(name)
        except (OSError, ValueError):
            pass
    return [done, open(F, "rb").read()]

if __name__ == "__main__":
    open("mine.txt", "w").write("mine")
    done, read = block()
    open("said", "w").write(repr((done, read)))
"""


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(CONTENT)
    path.chmod(0o444)
    return path


def laid(tmp_path: Path, blob: Path) -> str:
    target = tmp_path / "tree"
    trees.lay_out(target, {"program.py": ATTACKS.encode(), "work.txt": b"job's"}, {"model/w.bin": blob})
    assert (target / "model" / "w.bin").samefile(blob)
    return str(target)


CASES = [
    pytest.param("jail", False), pytest.param("jail without walls", False), pytest.param("docker", False, marks=pytest.mark.docker),
    pytest.param("jail", True), pytest.param("docker", True, marks=pytest.mark.docker),
]  # fmt: skip


@pytest.mark.parametrize(("level", "command"), CASES)
def test_no_block_changes_what_others_read(level: str, command: bool, tmp_path: Path, blob: Path) -> None:
    async def main() -> None:
        sandbox = await sandbox_of(level, tmp_path)
        spec = spec_of(sandbox, "", argv=("python3", "program.py") if command else (), needs=Needs(memory_bytes=256 << 20))
        cell = await sandbox.open(replace(spec, folder=laid(tmp_path, blob)))
        (outcome,) = await cell.run([block(0)])
        await cell.aclose()
        await sandbox.aclose()
        assert outcome.failure is None, outcome
        value = canon.decode(outcome.value or b"")
        if command:
            value = list(eval(value["said"], {}))
        own = {"rename the folder"} if command else set()  # the link to it in the block's own work folder
        assert set(value[0]) <= own and value[1] == CONTENT, value

    before = blob.stat()
    trio.run(main)
    after = blob.stat()
    same = ("st_ino", "st_mode", "st_uid", "st_size", "st_mtime_ns")
    assert [getattr(before, name) for name in same] == [getattr(after, name) for name in same]
    assert blob.read_bytes() == CONTENT and names(tmp_path / "tree") == ["model", "program.py", "work.txt"]
    assert names(tmp_path / "tree" / "model") == ["w.bin"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
