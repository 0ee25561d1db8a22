"""Bytes recorded once: what was signed yesterday is signed the same today, and still opens."""

from __future__ import annotations

import json

import pytest

from ctorrent.seal import Sealed
from ctorrent.wire import codec
from tests.wire import samples
from tests.wire.record import NAMES, VECTORS, written


@pytest.mark.parametrize("name", NAMES)
def test_the_same_model_gives_the_recorded_bytes(name: str) -> None:
    assert written(name) == json.loads((VECTORS / f"{name}.json").read_text())


@pytest.mark.parametrize("name", samples.SIGNED)
def test_recorded_seals_open(name: str) -> None:
    vector = {key: bytes.fromhex(value) for key, value in json.loads((VECTORS / f"{name}.json").read_text()).items()}
    model, _, open_ = samples.SIGNED[name]
    assert open_(Sealed(vector["body"], vector["public"], vector["signature"])) == model


@pytest.mark.parametrize("name", samples.MESSAGES)
def test_recorded_frames_decode(name: str) -> None:
    frame = bytes.fromhex(json.loads((VECTORS / f"message-{name}.json").read_text())["frame"])
    assert codec.decode_message(frame) == samples.MESSAGES[name]
