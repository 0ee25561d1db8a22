"""What the OpenAPI document says of a call's body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]


def bodies(document: Document, operation: Document) -> Iterator[tuple[str, Document, list[Any]]]:
    """(media type, schema, examples) of each form that a call's body may have."""
    for media, said in operation.get("requestBody", {}).get("content", {}).items():
        found = _meant(document, said["schema"])
        yield media, found, [*([said["example"]] if "example" in said else []), *found.get("examples", [])]


def _meant(document: Document, schema: Document) -> Document:
    """The schema behind a $ref, and of a body that may be left out what it is where it is not."""
    if "$ref" in schema:
        for step in schema["$ref"].removeprefix("#/").split("/"):
            document = document[step]
        return document
    wanted = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    return _meant(document, wanted[0]) if len(wanted) == 1 else schema


def whole(document: Document, schema: Document) -> Document:
    """A schema with what its own $refs point to."""
    return {**schema, "components": document["components"]}
