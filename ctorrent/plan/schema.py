"""The table of fields as a JSON schema, for editors: `ctorrent job schema`."""

from __future__ import annotations

from typing import Any

from ctorrent.plan.fields import FIELDS
from ctorrent.plan.kinds import section


def job_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12. What needs two fields at once is checked when the file is read."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A ctorrent job",
        "description": "A program, the blocks it is run on, and how their values become an answer.",
        **section(FIELDS, need=("blocks",)).schema,
        "oneOf": [{"required": ["python"]}, {"required": ["command"]}],
    }
