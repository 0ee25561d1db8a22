"""A hook of mkdocs: links of a page to files outside of docs/ become their names; the site has docs/ only."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
_CODE = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with such links as code; what is code already stays as it is."""
    folder = posixpath.dirname(page.file.src_uri)

    def told(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, match[2]))
        if target.startswith("docs/") and not target.endswith(".py"):
            return match[0]
        return match[1] if match[1].startswith("`") else f"{match[1]} (`{target}`)" if match[1] != target else f"`{target}`"

    parts = _CODE.split(markdown)
    return "".join(part if at % 2 else _LINK.sub(told, part) for at, part in enumerate(parts))
