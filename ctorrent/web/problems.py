"""Errors as answers: application/problem+json (RFC 9457), with the hint that says what to do."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount

from ctorrent import errors
from ctorrent.door import Door

log = logging.getLogger(__name__)

MEDIA = "application/problem+json"
WORDS_MAX = 2000  # of a detail: it may quote what the caller sent
SHOWN_MAX = 20  # faults of one body that are named

# The first class of a row that fits; by whose fault, as errors.py draws it.
_STATUS: tuple[tuple[type[errors.CTorrentError], int], ...] = (
    (errors.JobFileError, 422),
    (errors.NoSuchPackage, 422),
    (errors.DiskFull, 507),
    (errors.KeyFileError, 500),
    (errors.JournalError, 500),
    (errors.LocalError, 400),
    (errors.LimitExceeded, 413),
    (errors.Unsupported, 501),
    (errors.Malformed, 400),
    (errors.BadSignature, 400),
    (errors.PeerError, 502),
    (errors.WorkError, 409),
    (errors.Unavailable, 503),
)
_TITLES = {
    400: "That cannot be done", 401: "Who is calling?", 403: "Not from there", 404: "Nothing of that name",
    405: "Not with this method", 408: "Too slow", 409: "Not as things stand", 411: "How long is it?", 413: "Too large",
    415: "Not in this form", 421: "Not this host", 422: "Something in it is wrong", 429: "Too many calls",
    500: "The node failed", 501: "Not supported", 502: "A peer failed", 503: "Nobody can, now", 505: "HTTP/1.1 only",
    507: "No room",
}  # fmt: skip


class Problem(HTTPException):
    """An error of HTTP's own; raised in routes and before them."""

    def __init__(self, status: int, message: str, hint: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(status, message, headers)
        self.hint = hint


def body(status: int, message: str, hint: str = "", kind: str = "", **more: Any) -> dict[str, Any]:
    """The map of a problem. kind: the class of errors.py, where it is one."""
    named = f"urn:ctorrent:error:{kind}" if kind else "about:blank"
    found = {"type": named, "title": _TITLES.get(status, "Refused"), "status": status, "detail": message[:WORDS_MAX], **more}
    return found | ({"hint": hint[:WORDS_MAX]} if hint else {})


def answer(status: int, message: str, hint: str = "", kind: str = "", headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    return JSONResponse(body(status, message, hint, kind, **more), status, headers, media_type=MEDIA)


def status_of(error: errors.CTorrentError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def ours(error: BaseException) -> errors.CTorrentError | None:
    """The error of ours that it is, or that tasks running together wrapped."""
    if isinstance(error, errors.CTorrentError):
        return error
    if isinstance(error, BaseExceptionGroup):
        mine, rest = error.split(errors.CTorrentError)
        if mine is not None and rest is None:
            return errors.leaves(mine)[0]
    return None


def _fault(one: Mapping[str, Any]) -> dict[str, str]:
    if one["type"] == "json_invalid":  # its place is a character, which reads as a field
        return {"where": "body", "what": f"it is no JSON: {one.get('ctx', {}).get('error', one['msg'])} (character {one['loc'][-1]})"}
    return {"where": ".".join(map(str, one["loc"])), "what": str(one["msg"])}


def _methods(app: FastAPI, request: Request) -> str:
    """What all calls at this path take together; "" where there are none."""
    calls = [route for route in app.routes if not isinstance(route, Mount)]  # but for the page's files

    def takes(method: str) -> bool:
        return any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in calls)

    return ", ".join(filter(takes, ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")))


def install(app: FastAPI, door: Door) -> None:
    """Have every error of a route answered so."""

    async def of_ours(request: Request, error: Exception) -> JSONResponse:
        mine = ours(error)
        if mine is None:
            return await of_bug(request, error)
        status = status_of(mine)
        if status == 400 and await _names_nothing(door, request):
            status = 404
        headers = {"Retry-After": "5"} if status == 503 else None
        return answer(status, mine.message, mine.hint, type(mine).__name__, headers)

    async def of_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code in (404, 405) and not isinstance(error, Problem):
            if takes := _methods(app, request):
                error = Problem(405, f"{request.url.path!r:.200} takes no {request.method:.20}.", f"It takes {takes}.", {"Allow": takes})
            else:
                error = Problem(404, f"There is nothing at {request.url.path!r:.200}.", "The calls are listed in /api/v1/openapi.json.")
        return answer(error.status_code, str(error.detail), getattr(error, "hint", ""), headers=dict(error.headers or {}))

    async def of_request(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        faults = [_fault(one) for one in error.errors()[:SHOWN_MAX]]
        said = "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults[:3])
        unread = any(fault["where"] == "body" for fault in faults) and "json" not in request.headers.get("content-type", "")
        hint = "Send JSON and say so: Content-Type: application/json; curl --json does both." if unread else "Its form is in /api/v1/openapi.json."
        return answer(422, f"The request is not as this call takes it: {said}.", hint, errors=faults)

    async def of_bug(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed inside the node", request.method, request.url.path, exc_info=error)
        return answer(500, f"The node failed: {type(error).__name__}.", "Its log has the whole trace.")

    app.add_exception_handler(errors.CTorrentError, of_ours)
    app.add_exception_handler(ExceptionGroup, of_ours)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_request)
    app.add_exception_handler(Exception, of_bug)


async def _names_nothing(door: Door, request: Request) -> bool:
    """Does the path name a job or a file that this node has not?"""
    job, file = request.path_params.get("job"), request.path_params.get("which")
    if job is None and file is None:
        return False
    try:
        await (door.job(str(job)) if job is not None else door.blob_find(str(file)))
    except errors.CTorrentError:
        return True
    return False
