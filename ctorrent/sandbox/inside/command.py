"""Runs argv."""

from __future__ import annotations

from typing import Any, Dict

from .lockdown import Prepared
from .seeds import Seeder


def prepare(spec: Dict[str, Any]) -> Prepared:
    raise NotImplementedError


def main(spec: Dict[str, Any], serial: int, code: bytes, seeder: Seeder, ready: Prepared) -> None:
    raise NotImplementedError
