"""The page: its files, the link that opens it, and the cookie it calls with."""

from __future__ import annotations

import pathlib

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse
from starlette.staticfiles import StaticFiles

from ctorrent.web.hosts import Seen
from ctorrent.web.problems import Problem
from ctorrent.web.rules import WebRules
from ctorrent.web.tokens import Tokens

STATIC = pathlib.Path(__file__).parent / "static"
_FORGET = '<script type="module" src="/opened.js"></script>'  # takes the key out of the address bar and this entry of the history
# Not a redirect: of a link that was followed from another program a browser would not send the new cookie along.
_OPENED = f'<!doctype html><meta charset="utf-8"><title>ctorrent</title>{_FORGET}<meta http-equiv="refresh" content="0;url=/"><p><a href="/">Open the page</a></p>'
_STALE = (
    f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>ctorrent</title>{_FORGET}'
    "<h1>This link was used, or is too old</h1><p>A link opens the page once, within a minute. Make another one in a terminal:</p>"
    "<pre>ctorrent open</pre>"
)


def router(tokens: Tokens, rules: WebRules, cookie: str, url: str) -> APIRouter:
    routes = APIRouter()
    secure = url.startswith("https:")

    def give(request: Request, response: Response) -> None:
        response.set_cookie(cookie, tokens.cookie(Seen(request.scope).user()), int(rules.session_s), path="/", secure=secure, httponly=True, samesite="strict")

    @routes.post("/api/v1/links", status_code=201, tags=["page"], summary="Make a link that opens the page once, within a minute")
    async def make_link(request: Request) -> dict[str, object]:
        """The browser that follows it gets the page's cookie. `ctorrent open` calls this."""
        _check_token(request)
        return {"url": f"{url}/open?key={tokens.link()}", "valid_s": rules.link_s}

    @routes.post("/api/v1/session", status_code=204, tags=["page"], summary="Exchange the token for the page's cookie")
    async def make_session(request: Request) -> Response:
        """For a page into which a person pasted the token. The cookie is HttpOnly and SameSite=Strict, holds for a week; only the token makes another."""
        _check_token(request)
        response = Response(status_code=204)
        give(request, response)
        return response

    @routes.delete("/api/v1/session", status_code=204, tags=["page"], summary="End this browser's cookie")
    async def end_session(request: Request) -> Response:
        """The browser forgets it, and a copy of it is let in no more."""
        tokens.end(request.cookies.get(cookie, ""))
        response = Response(status_code=204)
        response.delete_cookie(cookie, path="/", secure=secure, httponly=True, samesite="strict")
        return response

    @routes.get("/open", include_in_schema=False)
    async def open_page(request: Request, key: str = "") -> Response:
        response = HTMLResponse(_OPENED)
        if tokens.use(key):
            give(request, response)
        elif not tokens.is_cookie(request.cookies.get(cookie, ""), Seen(request.scope).user):  # who is in already is not sent back to the terminal
            return HTMLResponse(_STALE, 403)
        return response

    @routes.get("/proof", include_in_schema=False)
    async def show_proof(nonce: str = "") -> Response:
        """For this user's own commands: they show the token to nobody who cannot answer this."""
        return PlainTextResponse(tokens.proof(url, nonce))

    @routes.get("/", include_in_schema=False)
    async def index() -> Response:
        return FileResponse(STATIC / "index.html", media_type="text/html")

    return routes


def _check_token(request: Request) -> None:
    """Not a cookie alone, which would go on for ever. The guard looked whether it is the right one. Raises Problem."""
    if not request.headers.get("authorization"):
        raise Problem(403, "Only who has the token may let a browser in.", "In a terminal: ctorrent open")


def files() -> StaticFiles:
    """Modules, styles and pictures, with etags."""
    return StaticFiles(directory=STATIC, check_dir=False)
