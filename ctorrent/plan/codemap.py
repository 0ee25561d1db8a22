"""What travels with a job: a canonical map {relative path: bytes | [blob digest, size_bytes]}. Its digest is signed.

Small files ride in the map; each larger one is a blob of its own, which goes from disk to disk. The map is a
stranger's: it is read entry by entry, and no other shape is looked into.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ctorrent import canon
from ctorrent.errors import Malformed
from ctorrent.model.ids import Digest
from ctorrent.plan.folder import is_inside

INLINE_BYTES_MAX = 64 << 10  # one file: smaller ones cost less than a request of their own
INLINE_TOTAL_MAX = 4 << 20  # of all: held in memory at both ends
FILES_MAX = 10_000  # a request and a link for each: together half a minute; more belongs into an archive
FILES_BYTES_MAX = 16 << 30  # of all: an hour on a good home line, and more than most owners lend
MAP_BYTES_MAX = 8 << 20  # INLINE_TOTAL_MAX, and FILES_MAX names with their digests
PATH_BYTES_MAX = 1024  # a folder of the worker's comes before it, and systems take 4096 in all
PARTS_MAX = 64  # of a path, the file's name too: removing a folder holds one descriptor a level
FOLDERS_MAX = FILES_MAX  # in all: each is an inode and a block of the worker's disk, which no file's size tells
ENTRY_BYTES = 4 << 10  # what the smallest file or folder takes on a disk
_CODE = (".py", ".pkl")  # read by the interpreter itself


@dataclass(frozen=True, slots=True)
class Large:
    """A file that is a blob of its own."""

    digest: Digest
    size_bytes: int


Content = bytes | Large


@dataclass(frozen=True, slots=True)
class CodeMap:
    """Every file of a job by its path, with forward slashes."""

    files: Mapping[str, Content]

    def large(self) -> dict[Digest, int]:
        """Blobs that the map names, each once: digest -> bytes."""
        return {content.digest: content.size_bytes for content in self.files.values() if isinstance(content, Large)}

    def large_bytes(self) -> int:
        """What those take together."""
        return sum(self.large().values())

    def laid_bytes(self) -> int:
        """What folders, links and small files take once they are laid out."""
        small = [len(content) for content in self.files.values() if isinstance(content, bytes)]
        links = len(self.files) - len(small) + len(folders(self.files))
        return links * ENTRY_BYTES + sum(max(size, ENTRY_BYTES) for size in small)


def folders(paths: Iterable[str]) -> set[str]:
    """Those that hold these files, and those that hold them in turn; reads on until there are more than FOLDERS_MAX."""
    found: set[str] = set()
    for path in paths:
        above = path.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
        if len(found) > FOLDERS_MAX:
            break
    return found


def ride_inside(sizes: Mapping[str, int]) -> list[str]:
    """Which files of these sizes go into the map itself: code first, then the smallest."""
    left = INLINE_TOTAL_MAX
    chosen = []
    for path in sorted(sizes, key=lambda path: (not path.endswith(_CODE), sizes[path], path)):
        if sizes[path] <= min(INLINE_BYTES_MAX, left):
            left -= sizes[path]
            chosen.append(path)
    return chosen


def encode(code: CodeMap) -> bytes:
    """Canonical bytes of the map."""
    return canon.encode({
        path: content if isinstance(content, bytes) else [content.digest, content.size_bytes]
        for path, content in code.files.items()
    })  # fmt: skip


def decode(data: bytes) -> CodeMap:
    """A stranger's map. Raises Malformed with what is wrong with it."""
    if len(data) > MAP_BYTES_MAX:
        raise Malformed(f"the list of the job's files has {len(data)} bytes: at most {MAP_BYTES_MAX}")
    files: dict[str, Content] = {}
    try:
        for path, content in _entries(data):
            if (wrong := unfit(path)) or path in files:
                raise Malformed(f"the job has a file {path[:100]!r}, {wrong or 'twice'}")
            files[path] = content
        code = CodeMap(files)
        same = encode(code) == data
    except (IndexError, UnicodeDecodeError, canon.CanonError):
        raise Malformed("the list of the job's files is none") from None
    if not same:
        raise Malformed("the list of the job's files is not canonical")
    _check(code)
    return code


def unfit(path: str) -> str:
    """Why no file of a job may be called that; empty when one may."""
    if len(path.encode("utf-8", "surrogateescape")) > PATH_BYTES_MAX:
        return f"whose path is longer than {PATH_BYTES_MAX} bytes"
    if path.count("/") >= PARTS_MAX:
        return f"which is in more than {PARTS_MAX - 1} folders in one another"
    if not path.isprintable():
        return "whose name cannot be printed"
    if not is_inside(path):
        return "which is not inside its folder"
    return ""


def _check(code: CodeMap) -> None:
    """What no single entry can tell."""
    made = folders(code.files)
    if len(made) > FOLDERS_MAX:
        raise Malformed(f"the job's files are in more than {FOLDERS_MAX} folders")
    if clash := next((path for path in code.files if path in made), ""):
        raise Malformed(f"the job has a file {clash[:100]!r}, which is a folder too")
    sizes: dict[Digest, int] = {}
    for path, content in code.files.items():
        if isinstance(content, Large) and sizes.setdefault(content.digest, content.size_bytes) != content.size_bytes:
            raise Malformed(f"the job has a file {path[:100]!r}, and the same bytes of another size")
    total = sum(sizes.values())
    if total > FILES_BYTES_MAX:
        raise Malformed(f"the job's files have {total} bytes: at most {FILES_BYTES_MAX}")


# Its bytes -----------------------------------------------------------------------------------------------------------
# canon.decode would build whatever a stranger wrote, in up to 75 times its size. IndexError: it ends early, or is no map.


def _entries(data: bytes) -> Iterator[tuple[str, Content]]:
    count, at = _size(data, 0, {0xDE: 2, 0xDF: 4}, 0x80, 16)
    if count > FILES_MAX:
        raise Malformed(f"the job has {count} files: at most {FILES_MAX}")
    for _ in range(count):
        size, at = _size(data, at, {0xD9: 1, 0xDA: 2}, 0xA0, 32)
        path, at = _cut(data, at, size).decode(), at + size
        if data[at] == 0x92:  # a list of two
            size, at = _size(data, at + 1, {0xC4: 1})
            digest, at = _cut(data, at, size), at + size
            if size != 32:
                raise IndexError
            number, at = _number(data, at)
            yield path, Large(Digest(digest), number)
        else:
            size, at = _size(data, at, {0xC4: 1, 0xC5: 2, 0xC6: 4})
            yield path, _cut(data, at, size)
            at += size
    if at != len(data):
        raise IndexError


def _size(data: bytes, at: int, widths: Mapping[int, int], fixed: int = -1, fixed_count: int = 0) -> tuple[int, int]:
    """-> a length, and where what follows it begins."""
    first = data[at]
    if 0 <= fixed <= first < fixed + fixed_count:
        return first - fixed, at + 1
    if first not in widths:
        raise IndexError
    end = at + 1 + widths[first]
    return int.from_bytes(_cut(data, at + 1, widths[first]), "big"), end


def _number(data: bytes, at: int) -> tuple[int, int]:
    if data[at] < 0x80:
        return data[at], at + 1
    return _size(data, at, {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8})


def _cut(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise IndexError
    return data[at : at + size]
