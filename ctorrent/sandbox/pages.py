"""The other files of a version, read from the index pages that pip itself has just read (PEP 503 and PEP 691).

pip's log says where it looked; a page lists every file with its hash, so that one look replaces a run of pip for each
kind of machine. A page that cannot be read here (its index wants a password, say) is left to pip.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion

PAGE_S = 10.0
PAGE_BYTES_MAX = 32 << 20  # the longest there are have about 10 MB
_READ = re.compile(r"Fetched page (\S+) as ")
_UNREAD = re.compile(r"Could not fetch URL (\S+): (.*)")
_NONE = ("404 ", "410 ")  # the index answers, and has no such page
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
_SHA256 = re.compile(r"sha256=([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of a page. size_bytes: 0 where the page does not say."""

    url: str
    filename: str
    sha256: bytes
    size_bytes: int


def pages(log: str, name: str) -> list[str]:
    """Where pip read of this package, in its own words."""
    found = dict.fromkeys(_READ.findall(log))
    return [url for url in found if canonicalize_name(_folder(url)) == name]


def unknown(log: str, name: str) -> bool:
    """Did every index that pip asked answer that it has no package of this name? One out of reach may have it."""
    answers = [why for url, why in _UNREAD.findall(log) if canonicalize_name(_folder(url)) == name]
    return bool(answers) and all(why.startswith(_NONE) for why in answers) and not pages(log, name)


def _folder(url: str) -> str:
    parts = [part for part in urlsplit(url).path.split("/") if part and part != "index.html"]
    return unquote(parts[-1]) if parts else ""


def wheels(url: str, version: str, pythons: tuple[str, ...], machines: tuple[str, ...]) -> list[Listed]:
    """Wheels of one version for these Pythons on Linux. Blocking. Raises OSError or ValueError for what is no page."""
    trusted = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or None)
    request = urllib.request.Request(url, headers={"Accept": _ACCEPT})
    with urllib.request.urlopen(request, timeout=PAGE_S, context=trusted) as answer:
        text, kind = answer.read(PAGE_BYTES_MAX), answer.headers.get_content_type()
        files = _of_json(answer.url, json.loads(text)) if kind.endswith("json") else _of_html(answer.url, text.decode("utf-8", "replace"))
    return [one for one in files if _is_for(one.filename, version, pythons, machines)]


def _of_json(base: str, page: Any) -> Iterator[Listed]:
    for file in page.get("files", ()):
        sha256 = file.get("hashes", {}).get("sha256", "")
        if len(sha256) == 64 and not file.get("yanked"):
            yield Listed(urljoin(base, file["url"]), file["filename"], bytes.fromhex(sha256), int(file.get("size") or 0))


def _of_html(base: str, text: str) -> Iterator[Listed]:
    reader = _Anchors()
    reader.feed(text)
    for link in reader.found:
        parts, sha256 = urlsplit(urljoin(base, link)), _SHA256.search(link)
        if sha256:
            url = parts._replace(fragment="").geturl()
            yield Listed(url, unquote(parts.path.rsplit("/", 1)[-1]), bytes.fromhex(sha256.group(1)), 0)


class _Anchors(HTMLParser):
    """Links of a page, but for files that were taken back."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "a" and told.get("href") and "data-yanked" not in told:
            self.found.append(told["href"] or "")


def _is_for(filename: str, version: str, pythons: tuple[str, ...], machines: tuple[str, ...]) -> bool:
    try:
        _, of_version, _, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        return False
    return str(of_version) == version and any(_is_one(tag, pythons, machines) for tag in tags)


def _is_one(tag: Tag, pythons: tuple[str, ...], machines: tuple[str, ...]) -> bool:
    if tag.platform == "any":
        return tag.abi == "none"
    interpreters = {f"cp{python.replace('.', '')}" for python in pythons}
    if not (tag.platform.startswith("manylinux") and tag.platform.endswith(machines)):
        return False
    return (tag.interpreter in interpreters and tag.abi == tag.interpreter) or tag.abi == "abi3" or tag.abi == "none"
