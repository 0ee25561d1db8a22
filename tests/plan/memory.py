"""A folder in memory."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from ctorrent.errors import LocalError


@dataclass(slots=True)
class MemoryFolder:
    files: dict[str, bytes] = field(default_factory=dict)
    most_read: int = 0  # largest single read, to show that planning holds no whole file

    def size(self, path: str) -> int | None:
        return len(self.files[path]) if path in self.files else None

    def read(self, path: str, offset: int = 0, size: int = -1) -> bytes:
        if path not in self.files:
            raise LocalError(f"{path} is gone")
        data = self.files[path][offset:] if size < 0 else self.files[path][offset : offset + size]
        self.most_read = max(self.most_read, len(data))
        return data

    def inside(self, path: str) -> int:
        return len(self.files[path])

    def below(self, path: str, skipped: Collection[str]) -> Iterator[tuple[str, int]]:
        found = ((name, len(data)) for name, data in self.files.items() if path == "." or name.startswith(path + "/"))
        return (one for one in found if not set(one[0].split("/")) & set(skipped))

    def glob(self, pattern: str) -> list[tuple[str, int]]:
        parts = re.split(r"(\*\*/|\*)", pattern)
        regex = "".join({"**/": "(?:.*/)?", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
        return [(path, len(data)) for path, data in reversed(self.files.items()) if re.fullmatch(regex, path)]
