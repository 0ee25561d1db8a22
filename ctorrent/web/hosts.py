"""Is a request meant for us, and does it come from our own page? By its Host, Origin and Sec-Fetch headers."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import cookie_parser

from ctorrent.web import caller
from ctorrent.web.place import Place
from ctorrent.web.problems import Problem

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
COOKIES_MAX = 8192  # characters of the header: other pages of 127.0.0.1 leave theirs with us too


class Seen:
    """A request's head, as the checks read it. Of a header that came twice, both; no check takes such a one."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope
        self.path: str = scope["path"]
        self.method: str = scope.get("method", "GET")
        self.version: str = scope.get("http_version", "1.1")
        client = scope.get("client")
        self.address: str = client[0] if client else ""
        self.caller = caller.of(scope)
        self._headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            name, value = name.decode("latin-1").lower(), value.decode("latin-1")
            self._headers[name] = f"{self._headers[name]}, {value}" if name in self._headers else value

    def user(self) -> str:
        """Whose program calls: caller.Caller.user."""
        client, server = self.scope.get("client"), self.scope.get("server")
        return self.caller.user(client, server) if client and server else ""

    def header(self, name: str) -> str:
        return self._headers.get(name, "")

    def cookies(self) -> dict[str, str]:
        text = self.header("cookie")
        return cookie_parser(text) if len(text) <= COOKIES_MAX else {}


class Hosts:
    """The names that a place goes by."""

    def __init__(self, place: Place) -> None:
        self._place = place
        own = socket.gethostname().lower()
        self._names = {"localhost"} if not place.secure else {"localhost", own, f"{own}.local", place.host.lower()}

    def check(self, seen: Seen) -> None:
        """Raises Problem for what another site's page or name could have sent."""
        host = seen.header("host").lower()
        if not self._is_ours(host):
            raise Problem(421, f"This node is not {host!r:.80}.", f"Call it by its address: {self._place.url}")
        origin = seen.header("origin").lower()
        if origin and origin != f"{'https' if self._place.secure else 'http'}://{host}":
            raise Problem(403, f"The call comes from another site: {origin!r:.80}.", "Programs need send no Origin; pages of other sites are not let in.")
        if seen.header("sec-fetch-site") in ("cross-site", "same-site") and not _is_visit(seen):
            raise Problem(403, "The call comes from another site's page.", "Pages of other sites are not let in.")

    def check_page(self, seen: Seen) -> None:
        """Of a request that shows a cookie, which a browser adds by itself: the page says where it comes from. Raises Problem."""
        said = seen.header("origin") or seen.header("sec-fetch-site") in ("same-origin", "none")
        if not said and (seen.method in UNSAFE or seen.scope["type"] == "websocket"):
            raise Problem(403, "A cookie is for the page, and the page says where a call comes from.", "Programs show the token: Authorization: Bearer …")

    def _is_ours(self, host: str) -> bool:
        """An address, of which no site can make another; or a name of ours. Its port may be that of a tunnel."""
        if any(sign in host for sign in "/@?#,\\ "):
            return False
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:  # an odd bracket
            return False
        try:
            return ipaddress.ip_address(name).is_loopback or self._place.secure
        except ValueError:
            return name in self._names


def _is_visit(seen: Seen) -> bool:
    """A person who follows a link to the page, which shows nothing by itself."""
    return seen.method == "GET" and seen.header("sec-fetch-mode") == "navigate" and seen.header("sec-fetch-dest") == "document"
