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


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Sharing(Form):
    on: bool = Field(description="lend this machine, or not", examples=[False])


class Address(Form):
    address: str = Field(description="an invite's text, or a multiaddr with /p2p/ID", min_length=1, max_length=20_000)


class Invite(Form):
    uses: int = Field(1, ge=1, le=1000, description="machines it lets in")
    valid_s: int = Field(7 * 86400, ge=60, le=365 * 86400, description="seconds it holds")


class Person(Form):
    who: str = Field(description="an owner's id, or its beginning, or a node's id or name", min_length=1, max_length=200)


class Environment(Form):
    name: str = Field(min_length=1, max_length=64, examples=["science"])
    packages: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(min_length=1, max_length=100, examples=[["scikit-learn"]])


class Reason(Form):
    reason: str = Field("", max_length=500)


class Entries(Form):
    entries: list[Annotated[str, Field(max_length=1 << 20)]] = Field(max_length=256, description="signed entries, base64, in the order of the file that held them")


class MoreBlocks(Form):
    params: list[dict[str, Any]] = Field(min_length=1, max_length=10_000, description="of each new block, a map of its parameters")
    first: int = Field(-1, ge=-1, description="the index that the first must get, so that a call made twice adds once; -1: the next")


class Submission(Form):
    job: str = Field(description="the text of a job.yaml", min_length=1, max_length=_RULES.body_bytes_max)
    files: dict[str, str] = Field(default_factory=dict, description="texts of the files it names, by their path beside it", max_length=1000)
    options: dict[str, Any] = Field(default_factory=dict, description="what replaces the file's fields: replicas, ring, name, seed, price; work: false keeps it off this machine")
    name: str = Field("", max_length=64, description="what to call it, where the file does not say")
