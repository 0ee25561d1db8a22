"""What bodies may say. Each field with its limits; what is not named here is refused."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from ctorrent.web.rules import WebRules

_RULES = WebRules()
Job = Annotated[str, Path(description="a job's id, an unambiguous beginning of it, or its name", min_length=1, max_length=200, examples=["k3f9abcd"])]
Limit = Annotated[int, Query(ge=1, le=_RULES.page_rows_max, description="rows of one page at most")]
Who = Annotated[str, Query(max_length=200, description="a node or an owner, by id or name; all where it is left out")]
NAME_MAX = 200
BLOCKS_MAX = 4096  # appended by one call: what node/growth.py takes


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _such_as(**said: Any) -> ConfigDict:
    """A body's example, for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": [said]})


class Sharing(Form):
    model_config = _such_as(on=False)
    on: bool = Field(description="lend this machine, or not")


class Address(Form):
    model_config = _such_as(address="ctorrent1:biqaqaisea7m…")  # the beginning of one: who tries the example dials nobody
    address: str = Field(description="an invite's text, or a multiaddr with /p2p/ID", min_length=1, max_length=20_000)


class Invite(Form):
    model_config = _such_as(uses=3, valid_s=86400)
    uses: int = Field(1, ge=1, le=1000, description="machines it lets in")
    valid_s: int = Field(7 * 86400, ge=60, le=365 * 86400, description="seconds it holds")


class Person(Form):
    model_config = _such_as(who="own_95FTnVYww5oGdmoSqrcRcYMf4CQFtrKSPU4GCSE7LUhQ")
    who: str = Field(description="an owner's id, or its beginning, or a node's id or name", min_length=1, max_length=200)


class Environment(Form):
    model_config = _such_as(name="science", packages=["scikit-learn"])
    name: str = Field(min_length=1, max_length=64)
    packages: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(min_length=1, max_length=100)


class Reason(Form):
    model_config = _such_as(reason="the wrong table")
    reason: str = Field("", max_length=500)


class Entries(Form):
    model_config = _such_as(entries=["CvYBCAES"])  # the beginning of one: it is refused
    entries: list[Annotated[str, Field(max_length=1 << 20)]] = Field(max_length=256, description="signed entries, base64, in the order of the file that held them")


class MoreBlocks(Form):
    model_config = _such_as(params=[{"x": 4}, {"x": 5}], inputs=[{"table.csv": "9e07" * 16}, {}], first=3)
    params: list[dict[str, Any]] = Field(min_length=1, max_length=BLOCKS_MAX, description="of each new block, a map of its parameters")
    inputs: list[dict[str, str]] = Field(
        default_factory=list, max_length=BLOCKS_MAX, description="of each new block, the files that it reads: a plain name each, and the hash or name of what POST /api/v1/blobs brought; empty: none reads any"
    )
    first: int = Field(-1, ge=-1, description="the index that the first must get, so that a call made twice adds once; -1: the next")


class Submission(Form):
    job: str = Field(description="the text of a job.yaml", min_length=1, max_length=_RULES.body_bytes_max)
    files: dict[str, str] = Field(default_factory=dict, description="texts of the files it names, by their path beside it", max_length=1000)
    options: dict[str, Any] = Field(default_factory=dict, description="what replaces the file's fields: replicas, ring, name, seed, price; work: false keeps it off this machine")
    name: str = Field("", max_length=64, description="what to call it, where the file does not say")
