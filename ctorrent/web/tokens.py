"""Who may call: whoever has the token (a file of this user's own), the cookie made from it, or a link made with it.

The token is 32 random bytes, in text. A cookie is a time, a serial with whose it is (caller.py), and a signature with a
key drawn from the token, so that nothing is kept for it, a node that starts again knows it, and a renewed token ends
every one. What is kept, in http.ended, are the serials of those that were given back.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import pathlib
import secrets
import stat
import time
from collections.abc import Callable

from ctorrent.door import HTTP_ENDED, HTTP_TOKEN
from ctorrent.errors import LocalError
from ctorrent.web.caller import GONE
from ctorrent.web.ended import Ended
from ctorrent.web.place import write_private
from ctorrent.web.rules import WebRules

TOKEN_BYTES = 32
TEXT_MAX = 256  # of what a stranger shows as token, cookie or link: longer ones are not looked at


def make(folder: pathlib.Path) -> str:
    """A new token: the one before, and every cookie made from it, are worth nothing any more. Raises LocalError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    write_private(folder / HTTP_TOKEN, token + "\n")
    return token


def read(folder: pathlib.Path) -> str:
    """The token of this data folder, made now if there is none. Raises LocalError when others can read it."""
    path = folder / HTTP_TOKEN
    try:
        with path.open() as file:
            found = os.fstat(file.fileno())
            token = file.read(TEXT_MAX).strip()
    except FileNotFoundError:
        return make(folder)
    except (OSError, ValueError) as error:
        raise LocalError(f"{path} cannot be read: {error}.", "ctorrent token --renew makes a new one.") from None
    if os.name == "posix" and stat.S_IMODE(found.st_mode) & 0o077:
        raise LocalError(f"Others can read {path}, so it protects nothing.", "ctorrent token --renew makes a new one that only you can read.")
    if len(token) < TOKEN_BYTES or not token.isascii():
        raise LocalError(f"{path} holds no token.", "ctorrent token --renew makes a new one.")
    return token


def proof(token: str, url: str, nonce: str) -> str:
    """What only who knows the token can answer to a nonce. url: where; another's answer from elsewhere is none for here."""
    return hmac.digest(token.encode(), f"ctorrent/web/proof/1 {url} {nonce[:TEXT_MAX]}".encode(errors="replace"), "sha256").hex()


class Tokens:
    """The token as the file has it now: renewed by another process, it holds at the next request."""

    def __init__(self, folder: pathlib.Path, rules: WebRules) -> None:
        self._folder, self._rules = folder, rules
        self._read = read(folder)
        self._stamp = self._look()
        self._ended = Ended(folder / HTTP_ENDED, rules.ended_max, rules.session_s)
        self._links: dict[str, float] = {}  # digest -> until when, by time.monotonic()

    def _look(self) -> tuple[int, int, int]:
        found = (self._folder / HTTP_TOKEN).stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _now(self) -> str:
        """"" while the file is gone or open to others: then nobody is let in."""
        try:
            if (stamp := self._look()) != self._stamp:
                self._read, self._stamp = read(self._folder), stamp
                self._links.clear()
        except (OSError, LocalError):
            self._stamp = (0, 0, 0)
            return ""
        return self._read

    def is_token(self, shown: str) -> bool:
        token = self._now()
        return bool(token) and len(shown) <= TEXT_MAX and hmac.compare_digest(_digest(shown), _digest(token))

    # -- the page's cookie ---------------------------------------------------------------------------------------------

    def cookie(self, user: str = "") -> str:
        """A new one, for session_s. user: whose programs alone may show it (caller.user); "": anybody's."""
        head = f"{int(time.time() + self._rules.session_s)}.{secrets.token_urlsafe(12)}.{user}"
        return f"{head}.{self._sign(head)}"

    def is_cookie(self, shown: str, user: Callable[[], str]) -> bool:
        """user: whose program shows it; asked only for one that is ours."""
        found = self._ours(shown)
        if found is None:
            return False
        bound = found[1].partition(".")[2]
        return not bound or (bound == user() and bound != GONE)

    def end(self, shown: str) -> None:
        """Let this cookie in no more, wherever a copy of it is. What is none is nothing. Raises LocalError."""
        if found := self._ours(shown):
            self._ended.add(*found)

    def _ours(self, shown: str) -> tuple[int, str] | None:
        """Until when, and the serial, of a cookie of ours that holds."""
        head, _, signed = shown[:TEXT_MAX].rpartition(".")
        if not hmac.compare_digest(_digest(signed), _digest(self._sign(head))) or not self._now():
            return None
        until, _, serial = head.partition(".")  # as cookie() wrote them: the signature is ours
        if int(until) <= time.time() or self._ended.has(int(until), serial):
            return None
        return int(until), serial

    def _sign(self, head: str) -> str:
        key = hmac.digest(self._now().encode(), b"ctorrent/web/cookie/1", "sha256")
        return base64.urlsafe_b64encode(hmac.digest(key, head.encode(errors="replace"), "sha256")).decode().rstrip("=")

    def proof(self, url: str, nonce: str) -> str:
        """Shows whoever has the token that we have it too, and are at `url`."""
        return proof(self._now(), url, nonce)

    # -- the link that `ctorrent open` makes ---------------------------------------------------------------------------

    def link(self) -> str:
        """A word that use() takes once, within link_s."""
        word = secrets.token_urlsafe(TOKEN_BYTES)
        while len(self._links) >= self._rules.links_max:
            del self._links[next(iter(self._links))]
        self._links[_digest(word).hex()] = time.monotonic() + self._rules.link_s
        return word

    def use(self, word: str) -> bool:
        """Is it a link that nobody used, and young enough? Then it is used."""
        self._now()
        until = self._links.pop(_digest(word[:TEXT_MAX]).hex(), 0.0)
        return until > time.monotonic()


def _digest(text: str) -> bytes:
    """Of one length, so that comparing says nothing of how long the right one is."""
    return hashlib.sha256(text.encode(errors="replace")).digest()
