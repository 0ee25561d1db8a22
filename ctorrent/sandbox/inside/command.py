"""Runs argv."""

from __future__ import annotations

from typing import Any, Dict

from .seeds import Seeder


def main(spec: Dict[str, Any], serial: int, code: bytes, seeder: Seeder) -> None:
    raise NotImplementedError
