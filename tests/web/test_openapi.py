"""The OpenAPI document is true: schemathesis calls what it says, rightly and wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import validate
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from ctorrent.web.examples import ANSWERS
from tests.real.herd import herd, until
from tests.workloads.tables import write

from .conftest import Site, opened
from .document import bodies, whole
from .jobs import ended, submitted

pytestmark = pytest.mark.real

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# Not called: what ends the node, takes minutes, or never ends.
LEFT_OUT = {
    "/api/v1/stop", "/api/v1/drain", "/api/v1/environments", "/api/v1/hardware/measure", "/api/v1/events",
    *(f"/api/v1/jobs/{{job}}/{stream}" for stream in ("watch", "logs", "outcomes")),
}  # fmt: skip
EXAMPLES = 100  # calls in all, two of each: found faults in the first dozen


def test_every_call_says_what_it_is(api: httpx.Client) -> None:
    document = api.get("/api/v1/openapi.json").json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"] and operation["responses"]["401"], (method, path)
            for media, wanted, examples in bodies(document, operation):
                assert examples or wanted.get("format") == "binary", (method, path, media)
                for example in examples:
                    validate(example, whole(document, wanted))
    assert document["components"]["responses"]["Problem404"]["content"]["application/problem+json"]["example"]["hint"]


def test_the_examples_look_like_the_answers(api: httpx.Client, tmp_path: Path) -> None:
    name = submitted(api)
    ended(api, name)
    run = api.post("/submit-job", json={"model": "softmax", "dataset": str(write(tmp_path, "iris")), "epochs": 1, "replicas": 1}).json()["id"]
    until(lambda: api.get("/job-status", params={"id": run}).json()["status"] == "done", "it is trained", 120.0)
    for (method, path), example in ANSWERS.items():
        if method == "get":
            found = api.get(path.format(job=name), params={"id": run} if path in ("/job-status", "/results") else {}).json()
            assert shape(example) == shape(found), path


def shape(value: Any) -> Any:
    """The names of its fields, all the way down; of a list those of its first row."""
    if isinstance(value, dict):
        return {key: shape(inside) for key, inside in value.items() if key not in ("works_for", "gpus", "isolation", "params", "value")}
    return shape(value[0]) if isinstance(value, list) and value and isinstance(value[0], dict) else None


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A node of this module's own: what is called at random turns sharing off and more."""
    with herd() as make:
        node = make("ann", "--http", "127.0.0.1:0", "--no-dht")
        node.start()
        yield opened(node)


@pytest.fixture(scope="module")
def operations(site: Site) -> list[Any]:
    with site.caller() as api:
        document = api.get("/api/v1/openapi.json").json()
    document["paths"] = {path: found for path, found in document["paths"].items() if path not in LEFT_OUT}
    return [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]


@settings(max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None, derandomize=True)
@given(data=st.data())
def test_calls_as_the_document_says(site: Site, operations: list[Any], data: Any) -> None:
    case = data.draw(data.draw(st.sampled_from(operations)).as_strategy())
    answer = case.call(base_url=site.url, headers={"Authorization": f"Bearer {site.token}"})
    case.validate_response(answer, checks=CHECKS)
