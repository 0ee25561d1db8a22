"""What this user's own commands ask of a node that serves HTTP: its address, its token, a link that opens the page."""

from __future__ import annotations

import hmac
import html
import http.client
import json
import pathlib
import secrets
import ssl
from typing import Any
from urllib.parse import urlsplit

from ctorrent.door import HTTP_ADDRESS, HTTP_CERTIFICATE, HTTP_OPEN
from ctorrent.errors import LocalError, Unavailable
from ctorrent.web import tokens
from ctorrent.web.place import write_private

ANSWER_S = 10.0  # a node on this machine answers in milliseconds


def address(folder: pathlib.Path) -> str:
    """Where the node of this folder serves HTTP, or did when it was killed; "" where none does."""
    try:
        return (folder / HTTP_ADDRESS).read_text().strip()
    except (OSError, ValueError):
        return ""


def token(folder: pathlib.Path, renew: bool) -> str:
    """Raises LocalError."""
    if not folder.is_dir():
        raise LocalError(f"There is no data folder {folder}.", "ctorrent node makes it; is its name spelt right?")
    return tokens.make(folder) if renew else tokens.read(folder)


def link(folder: pathlib.Path) -> dict[str, Any]:
    """{"url", "valid_s"} of a link that opens the page once. Raises Unavailable."""
    no_way(folder)
    url = urlsplit(address(folder))
    secure = url.scheme == "https"
    host, port = url.hostname or "127.0.0.1", url.port or 0
    calling = http.client.HTTPSConnection(host, port, timeout=ANSWER_S, context=_ours(folder)) if secure else http.client.HTTPConnection(host, port, timeout=ANSWER_S)
    token = tokens.read(folder)
    try:
        _prove(calling, token, url.geturl())
        calling.request("POST", "/api/v1/links", headers={"Authorization": f"Bearer {token}"})
        answer = calling.getresponse()
        said = json.loads(answer.read(1 << 16))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unavailable(f"No node answers at {url.geturl()}: {error}.", "Does it still run? See: ctorrent status") from None
    finally:
        calling.close()
    if answer.status != 201:
        raise LocalError(f"The node made no link: {said.get('detail', answer.status)}", str(said.get("hint", "")))
    return dict(said)


def _prove(calling: http.client.HTTPConnection, token: str, url: str) -> None:
    """Raises Unavailable unless the other end of this connection, which stays the same, knows the token.

    A node that was killed leaves its address behind, and another user's program may have taken the port.
    """
    nonce = secrets.token_urlsafe(tokens.TOKEN_BYTES)
    calling.connect()
    calling.auto_open = 0
    calling.request("GET", f"/proof?nonce={nonce}")
    answer = calling.getresponse()
    shown = answer.read(tokens.TEXT_MAX)
    if answer.status == 429:  # by whoever it is, it was shown nothing
        raise Unavailable(f"What answers at {url} is asked too often now.", "Again in a few seconds.")
    if not hmac.compare_digest(shown, tokens.proof(token, url, nonce).encode()):
        raise Unavailable(f"What answers at {url} is not your node: it was shown nothing.", "Is your node running? See: ctorrent status. One of an older version must be started again.")


def way(folder: pathlib.Path, url: str) -> pathlib.Path:
    """A file that leads a browser to the link, to be shown to it instead. Raises LocalError.

    What a program is given as an argument every user of this machine reads (/proc/PID/cmdline), and the first who follows
    the link is let in; the file is this user's alone.
    """
    path = folder.absolute() / HTTP_OPEN
    to = html.escape(url)
    write_private(
        path,
        f'<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0;url={to}">'
        f'<title>ctorrent</title><p><a href="{to}">Open the page</a></p>\n',
    )
    return path


def no_way(folder: pathlib.Path) -> None:
    """Take away the file of an earlier link, which is used or too old."""
    (folder / HTTP_OPEN).unlink(missing_ok=True)


def _ours(folder: pathlib.Path) -> ssl.SSLContext:
    """Trusts the certificate in the data folder and no other; names do not matter then."""
    made = ssl.create_default_context(cafile=str(folder / HTTP_CERTIFICATE))
    made.check_hostname = False
    return made
