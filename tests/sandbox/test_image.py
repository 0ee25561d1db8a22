"""Images: the one of this interpreter, and the Dockerfiles."""

from __future__ import annotations

import os
from pathlib import Path

import docker
import pytest
import trio

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.model.job import Isolation
from ctorrent.sandbox import SandboxRules, image, tidy
from ctorrent.sandbox.docker import knock
from tests.sandbox.cells import block, sandbox_of, spec_of

pytestmark = [pytest.mark.real, pytest.mark.docker]

_EMPTY_TAR = bytes(1024)


def _client() -> docker.APIClient:
    try:
        knock()
        return docker.from_env(timeout=60).api
    except (LocalError, docker.errors.DockerException) as error:
        if os.environ.get("CTORRENT_REQUIRE_DOCKER") == "1":
            raise
        pytest.skip(f"NO DOCKER HERE, NOT TESTED: {error}")


def test_the_own_image_is_made_once_and_holds_nobodys_packages() -> None:
    client = _client()
    tag = image.ensure(client)
    made = client.inspect_image(tag)["Created"]
    assert image.ensure(client) == tag and client.inspect_image(tag)["Created"] == made
    assert not any("site-packages" in name for name in image._contents(None))
    client.close()


def test_cpu_is_built_for_real_and_runs_a_block(tmp_path: Path) -> None:
    client = _client()
    built = image.build("cpu", base="own", client=client)
    assert built.startswith("sha256:")

    async def main() -> None:
        sandbox = await sandbox_of("docker", tmp_path, SandboxRules(image=built))
        (environment,) = sandbox.environments()
        assert sandbox.level is Isolation.DOCKER and environment.image == built and environment.python.startswith("3.")
        cell = await sandbox.open(spec_of(sandbox, "def block(index):\n    return index\n"))
        outcomes = await cell.run([block(i) for i in range(3)])
        assert [o.value for o in outcomes] == [canon.encode(i) for i in range(3)]
        await cell.aclose()
        await sandbox.aclose()

    trio.run(main)
    client.close()


def test_every_recipe_takes_its_base_as_an_argument() -> None:
    assert image.names() == ("cpu", "cuda", "node", "render")
    for name in image.names():
        lines = (image.recipes() / name / "Dockerfile").read_text().splitlines()
        code = [line for line in lines if line and not line.startswith("#")]
        assert code[0].startswith("ARG BASE=") and code[1] == "FROM ${BASE}"
    assert "nvidia/cuda:12.2.0-base-ubuntu22.04" in (image.recipes() / "cuda" / "Dockerfile").read_text()


def test_an_unknown_recipe_is_refused_with_the_known() -> None:
    with pytest.raises(LocalError, match="cpu, cuda, node, render"):
        image.build("x")


def test_collecting_leaves_images_that_are_young_or_of_this_python(tmp_path: Path) -> None:
    client = _client()
    tag = image.ensure(client)
    changes = [f'LABEL {image.LABEL}="/gone/python 3.1.0"']
    client.import_image(src=iter([_EMPTY_TAR]), repository=image.REPOSITORY, tag="collected", stream_src=True, changes=changes)
    theirs = f"{image.REPOSITORY}:collected"

    def gone(keep_days: float) -> set[str]:
        return {name for left in tidy.leftovers(tmp_path, True, keep_days) if left.what == "images" for name in left.names}

    assert theirs not in gone(30.0) | gone(0.0)
    old = gone(-1.0)  # as of tomorrow: every image is older
    assert theirs in old and tag not in old
    client.remove_image(theirs)
    client.close()
