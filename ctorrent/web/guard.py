"""What every request passes before a route sees it. An ASGI application around the real one.

A page of any site that this user visits can make their browser send requests to 127.0.0.1, and can make a name of its
own mean 127.0.0.1 (DNS rebinding). So: the Host must be an address or one of this machine's names, the Origin (browsers
send it with what could do harm) must be that host, and a cookie counts only in requests that the page itself made, from a program of the user it was given to.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from ctorrent.web import problems
from ctorrent.web.exchange import Exchange, Receive, Send, too_large
from ctorrent.web.hosts import Hosts, Seen
from ctorrent.web.problems import Problem
from ctorrent.web.rates import Rates
from ctorrent.web.rules import WebRules
from ctorrent.web.streams import HOLDS
from ctorrent.web.tokens import Tokens

OPENS = "/open"
POLICY = 1008  # of RFC 6455: the message is not what this end takes
GUARDED = ("/api/", "/metrics", "/submit-job", "/job-status", "/results")  # the rest is the page's own files, no secret
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        b"connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
)
_ASK = "ctorrent token prints the token, for the header Authorization: Bearer …; ctorrent open opens the page with it."


class Guard:
    """app: an ASGI application. upload: paths whose bodies may be longer, with how long."""

    def __init__(self, app: Any, tokens: Tokens, hosts: Hosts, rules: WebRules, upload: dict[str, int], cookie: str, metrics_open: bool) -> None:
        self._app, self._tokens, self._hosts, self._rules = app, tokens, hosts, rules
        self._upload, self._cookie, self._metrics_open = upload, cookie, metrics_open
        self._calls = Rates(rules.calls_burst, rules.calls_s, rules.clients_max)
        self._failures = Rates(rules.failures_burst, rules.failures_s, rules.clients_max)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        seen = Seen(scope)
        try:
            self._check(seen)
        except Problem as problem:
            await self._refuse(seen, problem, receive, send)
            return
        scope[HOLDS] = partial(self._held, seen)
        if scope["type"] == "http":
            exchange = self._exchange(seen, receive, send)
            await self._app(scope, exchange.receive, exchange.send)
        else:
            await self._app(scope, receive, send)

    def _exchange(self, seen: Seen, receive: Receive, send: Send) -> Exchange:
        bodiless = not seen.header("content-length").strip("0") and not seen.header("transfer-encoding")
        return Exchange(receive, send, self._limit(seen), self._rules, _headers(seen), bodiless)

    # -- who, and from where -------------------------------------------------------------------------------------------

    def _check(self, seen: Seen) -> None:
        """Raises Problem."""
        if seen.version not in ("1.0", "1.1"):
            raise Problem(505, "Only HTTP/1.1 is spoken here.")
        self._hosts.check(seen)
        if not seen.path.startswith(GUARDED) or (self._metrics_open and seen.path == "/metrics"):
            if seen.method not in ("GET", "HEAD"):
                raise Problem(405, "The page's files can only be read.", headers={"Allow": "GET, HEAD"})
            self._count(self._calls, f"page {seen.address}")
            return
        self._count(self._calls, self._credential(seen))
        size = seen.header("content-length")
        if size and (not size.isascii() or not size.isdigit() or int(size) > self._limit(seen)):
            raise too_large(self._limit(seen))

    def _credential(self, seen: Seen) -> str:
        """Whose calls these are, for the rates. Raises Problem unless the token or a cookie was shown."""
        if held := self._held(seen):
            if held != "token":
                self._hosts.check_page(seen)
            seen.caller.known = True
            return held
        kind, cookie = seen.header("authorization").partition(" ")[0], seen.cookies().get(self._cookie, "")
        wait = self._failures.wait_s(seen.address) if kind or cookie else 0.0
        if wait:
            raise Problem(429, "Too many wrong tokens came from there.", "Wait a little, then show the right one.", _after(wait))
        said = "That is not this node's token" if kind else "That cookie holds no longer" if cookie else "No token was shown"
        raise Problem(401, f"{said}.", _ASK, {"WWW-Authenticate": 'Bearer realm="ctorrent"'})

    def _held(self, seen: Seen) -> str:
        """"token", or the cookie that was shown; "" of neither, or of one that holds no more: a stream asks again and again."""
        kind, _, shown = seen.header("authorization").partition(" ")
        if kind.lower() == "bearer" and self._tokens.is_token(shown.strip()):
            return "token"
        cookie = seen.cookies().get(self._cookie, "")
        return cookie if cookie and not kind and self._tokens.is_cookie(cookie, seen.user) else ""

    @staticmethod
    def _count(rates: Rates, client: str) -> None:
        if wait := rates.wait_s(client):
            raise Problem(429, "These are more calls than this node answers in a second.", "Wait as long as Retry-After says; /api/v1/events brings what changes without asking.", _after(wait))

    def _limit(self, seen: Seen) -> int:
        return self._upload.get(seen.path, self._rules.body_bytes_max)

    async def _refuse(self, seen: Seen, problem: Problem, receive: Receive, send: Send) -> None:
        answer = problems.answer(problem.status_code, str(problem.detail), problem.hint, headers=dict(problem.headers or {}))
        if seen.scope["type"] == "http":
            exchange = self._exchange(seen, receive, send)
            await answer(seen.scope, exchange.receive, exchange.send)
        elif "websocket.http.response" in seen.scope.get("extensions", {}):
            await answer(seen.scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": POLICY})


def _headers(seen: Seen) -> tuple[tuple[bytes, bytes], ...]:
    """Of every answer; the page's files are looked at again, and found the same by their etag."""
    private = seen.path.startswith(GUARDED) or seen.path == OPENS
    return (*_HEADERS, (b"cache-control", b"no-store" if private else b"no-cache"))


def _after(wait: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(wait)))}
