"""How answers look: lists with their next page, and their shapes for the OpenAPI, from model/status.py and model/live.py."""

from __future__ import annotations

import types
import typing
from functools import cache
from typing import Any, Literal, NotRequired, get_args, get_origin, get_type_hints

from fastapi.responses import Response

from ctorrent.model import live, status
from ctorrent.web.jsonable import Json

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", bytes: "", type(None): "null", object: ""}


def items(found: list[Any], following: str | int | None = None, **more: Any) -> Json:
    """A list. following: what `after` gets the next page; null when there is none."""
    return Json({"items": found, "next": following, **more})


def of(name: str, code: int = 200) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: one map of this shape."""
    return {code: {"description": "As it is now", "content": {"application/json": {"schema": schema(_shape(name))}}}}


def rows(name: str, paged: bool = False, **more: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """A list of them; of any maps where name is "". more: schemas of what is beside the list."""
    each = schema(_shape(name)) if name else {"type": "object"}
    following = {"type": ["string", "integer", "null"], "description": "`after` of the next page" if paged else "always null: this is all"}
    fields = {"items": {"type": "array", "items": each}, "next": following, **more}
    shape = {"type": "object", "required": list(fields), "properties": fields}
    return {200: {"description": "As it is now", "content": {"application/json": {"schema": shape}}}}


def raw(media: str) -> dict[str, Any]:
    """For a route whose answer is no JSON: its `response_class` and `responses`."""
    return {"response_class": Response, "responses": {200: {"description": "As it is", "content": {media: {}}}}}


def _shape(name: str) -> Any:
    return getattr(status, name, None) or getattr(live, name)


BYTES, EVENTS = "application/octet-stream", "text/event-stream"


@cache
def schema(kind: Any) -> dict[str, Any]:
    """JSON schema of a type as the models use them."""
    if typing.is_typeddict(kind):
        hints = get_type_hints(kind, vars(live) | vars(status), include_extras=True)
        needed = [name for name, hint in hints.items() if get_origin(hint) is not NotRequired]
        return {"type": "object", "title": kind.__name__, "required": needed, "properties": {name: schema(hint) for name, hint in hints.items()}}
    origin, inside = get_origin(kind), get_args(kind)
    if origin is NotRequired:
        return schema(inside[0])
    if origin is list:
        return {"type": "array", "items": schema(inside[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema(inside[1])}
    if origin is Literal:
        return {"type": "string", "enum": list(inside)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema(one) for one in inside]}
    word = _PLAIN.get(kind, "")
    return {"type": "number"} if kind is float else {"type": word} if word else {}


