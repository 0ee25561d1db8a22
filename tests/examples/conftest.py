"""One swarm of three real node processes for all examples."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import ctorrent
from examples.demo import prepare_environments
from tests.examples.swarmed import EXAMPLES


@pytest.fixture(scope="session")
def net() -> Iterator[Any]:
    """The first node of three, each of another owner."""
    with ctorrent.swarm(3, environments=prepare_environments()) as swarm:
        yield swarm.net


@pytest.fixture(scope="session")
def load() -> Callable[[str], ModuleType]:
    """A file of examples/ as a module, to compute without the swarm."""

    def loaded(path: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), EXAMPLES / path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return loaded
