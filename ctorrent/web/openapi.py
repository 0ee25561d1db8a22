"""The OpenAPI document: what FastAPI gathers, with our errors, the token, and a list of what may come back."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from ctorrent.web import problems
from ctorrent.web.examples import ANSWERS, PROBLEMS

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "urn:ctorrent:error: and a class of ctorrent.errors, or about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "one sentence: what is wrong"},
        "hint": {"type": "string", "description": "what to do about it"},
        "errors": {"type": "array", "items": {"type": "object"}, "description": "of a body: each field that is wrong"},
    },
}  # fmt: skip
_WORDS = {
    "400": "It cannot be done so", "401": "The token is missing or wrong", "403": "From another site, or not with a cookie",
    "404": "Nothing of that name", "405": "Not with this method", "408": "The body stopped coming", "409": "The program failed",
    "413": "Too large", "415": "Not in this form", "421": "The Host is not this node", "422": "Something in the request is wrong",
    "429": "Too many calls: see Retry-After", "500": "The node failed; its log says how", "501": "Not supported here", "502": "A peer failed",
    "503": "Nobody can, now: see Retry-After", "507": "The disk or the quota is full",
}  # fmt: skip


def install(app: FastAPI) -> None:
    """Have the document made so, once."""
    gather = app.openapi

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(gather())
        return app.openapi_schema

    app.openapi = made  # type: ignore[method-assign]


def completed(found: dict[str, Any]) -> dict[str, Any]:
    parts = found.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "description": "what `ctorrent token` prints"}}
    parts["responses"] = {f"Problem{code}": _problem(int(code), words) for code, words in _WORDS.items()}
    found["security"] = [{"token": []}]
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            if (method, path) in ANSWERS:
                (right,) = (answer for code, answer in answers.items() if code.startswith("2"))
                right["content"]["application/json"]["example"] = ANSWERS[method, path]
            answers.update({code: {"$ref": f"#/components/responses/Problem{code}"} for code in _WORDS})
    return found


def _problem(code: int, words: str) -> dict[str, Any]:
    said: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Problem"}}
    if code in PROBLEMS:
        said["example"] = problems.body(code, *PROBLEMS[code])
    return {"description": words, "content": {problems.MEDIA: said}}
