"""Files of blocks, under names that can do no harm.

What the job file calls a block's file is taken as it is. Names inside a result (the files that a command made, the fields
of a map) are a worker's to choose: they keep letters, digits and ._-+=,()@ and blanks, never leave the folder of their
block, never hide (.bashrc), never look like an option (-rf), and never differ by case alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from ctorrent.cli.columns import parts

Plain = dict[str, Any]
PART_CHARS_MAX = 60  # of a name: file systems take 255 bytes, and a character may be four
PARTS_MAX = 8  # folders within folders
_KEPT = frozenset("._-+=,()@ ")
_DEVICES = frozenset(("con", "prn", "aux", "nul", *(f"{word}{n}" for word in ("com", "lpt") for n in range(10))))
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpg"), (b"GIF8", "gif"), (b"P6", "ppm"), (b"P5", "pgm"), (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"), (b"\x1f\x8b", "gz"), (b"RIFF", "riff"), (b"\x00\x00\x00\x18ftyp", "mp4"), (b"\x00\x00\x00\x20ftyp", "mp4"),
)  # fmt: skip


class Names:
    """Names given out so far, of one folder; `changed` counts those that could not be kept as they were."""

    def __init__(self, *taken: str) -> None:
        self._files = {_folded(name) for name in taken}
        self._folders: set[str] = set()
        self._tried: dict[str, int] = {}  # a name that is wanted often is not tried from its beginning each time
        self.changed = 0

    def of(self, row: Plain) -> Iterator[tuple[str, str, bytes]]:
        """(field of the result, relative path, content) of each file that a row holds."""
        given, held = row.get("output"), [(name, value) for name, value in parts(row) if isinstance(value, bytes)]
        for name, content in held:
            whole = not isinstance(row.get("value"), dict)
            yield name, self._free(self._wanted(row["index"], given, name, content, whole)), content

    def _wanted(self, index: int, given: str | None, name: str, content: bytes, whole: bool) -> str:
        if given and whole:
            return self._given(given)
        folder = self._given(given) if given else f"outputs/{index:05d}"
        if whole:
            return f"{folder}.{suffix(content)}"
        inside = self._kept(name)
        return f"{folder}/{inside}" if "." in inside else f"{folder}/{inside}.{suffix(content)}"

    def _given(self, name: str) -> str:
        """The job file's own words stay as they are, as long as they stay inside."""
        inside = name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(name.split("/"))
        return name if inside else self._kept(name)

    def _kept(self, name: str) -> str:
        safe = safe_path(name)
        self.changed += safe != name
        return safe

    def _free(self, path: str) -> str:
        stem, dot, ending = path.rpartition(".") if "." in path.rsplit("/", 1)[-1] else (path, "", "")
        wanted, number = path, self._tried.get(_folded(path), 1)
        while self._in_the_way(path):
            number += 1
            path = f"{stem}~{number}{dot}{ending}"
        if path != wanted:
            self.changed += 1
            self._tried[_folded(wanted)] = number
        folded = _folded(path)
        self._files.add(folded)
        while "/" in folded:
            folded = folded.rpartition("/")[0]
            self._folders.add(folded)
        return path

    def _in_the_way(self, path: str) -> bool:
        folded = _folded(path)
        if folded in self._files or folded in self._folders:
            return True
        return any(folded[:at] in self._files for at, one in enumerate(folded) if one == "/")


def _folded(path: str) -> str:
    """As file systems that ignore case and composition see it."""
    return unicodedata.normalize("NFC", path).casefold()


def safe_path(name: str) -> str:
    """A relative path below wherever it is put; a name that is fine comes back as it was."""
    found = [safe_part(part) for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(found[-PARTS_MAX:]) or "_"


def safe_part(part: str) -> str:
    """One name. Nothing hidden, no option, no device, nothing that is cut off or forbidden elsewhere."""
    kept = "".join(c if c.isalnum() or c in _KEPT else "_" for c in unicodedata.normalize("NFC", part)).rstrip(". ")
    if len(kept) > PART_CHARS_MAX:
        stem, dot, ending = kept.rpartition(".")
        kept = f"{stem[: PART_CHARS_MAX - 14]}{dot}{ending[:12]}" if dot else kept[: PART_CHARS_MAX - 1]
        kept = kept.rstrip(". ")
    if not kept or kept[0] in ".- " or _is_device(kept):
        kept = f"_{kept.lstrip('.- ')}"
    return kept


def _is_device(name: str) -> bool:
    """As Windows sees it, which takes "NUL .txt" and "COM¹" for devices too."""
    return unicodedata.normalize("NFKC", name.partition(".")[0]).strip().lower() in _DEVICES


def plain_part(part: str) -> str:
    """One name as a shell takes it unquoted: of other characters each run is a dash."""
    kept = "".join(c if c.isalnum() or c in "._-" else " " for c in unicodedata.normalize("NFC", part))
    return safe_part("-".join(kept.split()))


def suffix(content: bytes) -> str:
    """What a file is called by its first bytes; only a name, nothing is opened by it."""
    for magic, name in _MAGIC:
        if content.startswith(magic):
            return name
    try:
        content[:1000].decode()
    except UnicodeDecodeError as error:
        return "bin" if error.start < min(len(content), 1000) - 4 else "txt"
    return "txt" if b"\0" not in content[:1000] else "bin"
