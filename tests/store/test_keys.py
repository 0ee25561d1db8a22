"""A key is loaded as it is, or refused with words; a new identity is made only for somebody who has none."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctorrent.errors import KeyFileError
from ctorrent.model.ids import owner_id
from ctorrent.store import keyfile
from ctorrent.store import keys as owner_keys
from ctorrent.store.keys import NodeKeys, export_owner, import_owner, load_or_create, make_owner

pytestmark = pytest.mark.real


def identity(keys: NodeKeys) -> tuple[bytes, bytes]:
    return keys.node.public, keys.owner.public


def test_the_second_start_is_the_same_node(tmp_path: Path) -> None:
    made = load_or_create(tmp_path / "data", tmp_path / "me")
    assert identity(load_or_create(tmp_path / "data", tmp_path / "me")) == identity(made)
    assert made.node.public != made.owner.public
    for path in (tmp_path / "data" / "node.key", tmp_path / "me" / "owner.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_one_owner_many_nodes(tmp_path: Path) -> None:
    first, second = (load_or_create(tmp_path / name, tmp_path / "me") for name in ("a", "b"))
    assert first.owner.public == second.owner.public
    assert first.node.public != second.node.public
    inside = load_or_create(tmp_path / "c", tmp_path / "c")
    assert inside.owner.public != first.owner.public


def test_two_starters_agree(tmp_path: Path) -> None:
    found: list[tuple[bytes, bytes]] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        found.append(identity(load_or_create(tmp_path, tmp_path)))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["node.key", "owner.key"]


@pytest.mark.parametrize("name", ["node.key", "owner.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_open_to_others_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    load_or_create(tmp_path, tmp_path)
    (tmp_path / name).chmod(mode)
    with pytest.raises(KeyFileError, match="read by others") as caught:
        load_or_create(tmp_path, tmp_path)
    assert f"chmod 600 {tmp_path / name}" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    load_or_create(tmp_path, tmp_path)
    os.chown(tmp_path / "node.key", 12345, -1)
    with pytest.raises(KeyFileError, match="belongs to user 12345"):
        load_or_create(tmp_path, tmp_path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "node.key", 0o600)
    load_or_create(tmp_path / "other", tmp_path)
    with pytest.raises(KeyFileError, match="not a plain file"):
        load_or_create(tmp_path, tmp_path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_is_told_and_never_mended(data: st.DataObject) -> None:
    raw = keyfile.encode(keyfile.KeyFile("node", SIGNER_PUBLIC, SECRET))
    cut = data.draw(st.integers(0, len(raw) - 1))
    flip = data.draw(st.integers(0, len(raw) - 1))
    noise = bytes((raw[flip] ^ data.draw(st.integers(1, 255)),))
    for damaged in (raw[:cut], raw[:flip] + noise + raw[flip + 1 :], data.draw(st.binary(max_size=300)), raw + b"\n"):
        with pytest.raises(KeyFileError) as caught:
            keyfile.decode(damaged, Path("node.key"), "node")
        assert SECRET.hex() not in str(caught.value)
    assert keyfile.decode(raw, Path("node.key"), "node").secret == SECRET


SECRET = bytes(range(32))
SIGNER_PUBLIC = keyfile.Signer(SECRET).public


def test_a_damaged_key_file_stays_as_it_is(tmp_path: Path) -> None:
    load_or_create(tmp_path, tmp_path)
    (tmp_path / "node.key").write_bytes(b"")
    with pytest.raises(KeyFileError, match="damaged") as caught:
        load_or_create(tmp_path, tmp_path)
    assert "No new identity was made" in caught.value.hint
    assert (tmp_path / "node.key").read_bytes() == b""


def test_a_key_in_the_wrong_place_is_refused(tmp_path: Path) -> None:
    load_or_create(tmp_path, tmp_path)
    (tmp_path / "owner.key").replace(tmp_path / "node.key")
    make_owner(tmp_path)
    with pytest.raises(KeyFileError, match="kind 'owner'"):
        load_or_create(tmp_path, tmp_path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    load_or_create(tmp_path, tmp_path)
    path = tmp_path / "node.key"
    path.write_text(path.read_text().replace("ctorrent-key 1", "ctorrent-key 2"))
    with pytest.raises(KeyFileError, match="newer format"):
        load_or_create(tmp_path, tmp_path)


@pytest.mark.parametrize("left", ["journal.db", "journal.db-wal", "blobs/ab/abcdef"])
def test_a_missing_node_key_beside_its_data_is_refused(tmp_path: Path, left: str) -> None:
    (tmp_path / left).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / left).write_bytes(b"x")
    with pytest.raises(KeyFileError, match="is missing") as caught:
        load_or_create(tmp_path, tmp_path)
    assert "No new identity was made" in caught.value.hint
    assert not (tmp_path / "node.key").exists()
    assert not (tmp_path / "owner.key").exists()


def test_what_may_be_there_before_the_first_start_does_not_hinder_it(tmp_path: Path) -> None:
    (tmp_path / "environments" / "science").mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    (tmp_path / "settings.toml").write_text("")
    load_or_create(tmp_path, tmp_path)


def test_a_missing_owner_key_is_refused_until_a_person_decides(tmp_path: Path) -> None:
    before = load_or_create(tmp_path / "data", tmp_path / "me")
    (tmp_path / "me" / "owner.key").unlink()
    with pytest.raises(KeyFileError, match="owner key") as caught:
        load_or_create(tmp_path / "data", tmp_path / "me")
    assert "ctorrent owner" in caught.value.hint
    made = make_owner(tmp_path / "me")
    after = load_or_create(tmp_path / "data", tmp_path / "me")
    assert owner_id(after.owner.public) == made
    assert after.node.public == before.node.public
    with pytest.raises(KeyFileError, match="already"):
        make_owner(tmp_path / "me")


@pytest.mark.parametrize("passphrase", ["", "correct horse"])
def test_an_owner_key_goes_to_a_second_machine(tmp_path: Path, passphrase: str) -> None:
    first = load_or_create(tmp_path / "a", tmp_path / "me")
    copy = tmp_path / "copy"
    assert export_owner(tmp_path / "me", copy, passphrase) == owner_id(first.owner.public)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert (keyfile.read(copy, "owner").secret == b"") == bool(passphrase)
    with pytest.raises(KeyFileError, match="exists"):
        export_owner(tmp_path / "me", copy)

    there = load_or_create(tmp_path / "b", tmp_path / "you")
    with pytest.raises(KeyFileError, match="Another owner's key is here"):
        import_owner(copy, tmp_path / "you", passphrase)
    import_owner(copy, tmp_path / "you", passphrase, replace_other=True)
    after = load_or_create(tmp_path / "b", tmp_path / "you")
    assert (after.node.public, after.owner.public) == (there.node.public, first.owner.public)
    (old,) = (tmp_path / "you").glob("owner.key.old-*")
    assert keyfile.read(old, "owner").public == there.owner.public
    import_owner(copy, tmp_path / "you", passphrase)  # again: the same key is no other's


def test_a_wrong_passphrase_is_said(tmp_path: Path) -> None:
    make_owner(tmp_path)
    export_owner(tmp_path, tmp_path / "copy", "right")
    for wrong in ("", "wrong"):
        with pytest.raises(KeyFileError, match="passphrase"):
            import_owner(tmp_path / "copy", tmp_path / "there", wrong)
    assert not (tmp_path / "there" / "owner.key").exists()


def test_a_sealed_copy_does_not_start_a_node(tmp_path: Path) -> None:
    make_owner(tmp_path / "me")
    (tmp_path / "you").mkdir(mode=0o700)
    export_owner(tmp_path / "me", tmp_path / "you" / "owner.key", "secret")
    with pytest.raises(KeyFileError, match="passphrase"):
        load_or_create(tmp_path / "data", tmp_path / "you")


def test_a_secret_is_in_no_repr(tmp_path: Path) -> None:
    keys = load_or_create(tmp_path, tmp_path)
    secret = keyfile.read(tmp_path / "node.key", "node")
    assert secret.secret.hex() not in repr(secret) + repr(keys)
    assert repr(secret.secret) not in repr(secret) + repr(keys)


def test_a_rotated_owner_key_is_signed_for_by_the_one_before_it(tmp_path: Path) -> None:
    from ctorrent.wire.codec import open_rotation

    first = owner_id(owner_keys.load_or_create(tmp_path / "data", tmp_path / "owner").owner.public)
    assert owner_keys.rotations(tmp_path / "owner", owner_keys.load_or_create(tmp_path / "data", tmp_path / "owner").owner.public) == []
    old, second = owner_keys.rotate_owner(tmp_path / "owner", 1_700_000_000)
    also_old, third = owner_keys.rotate_owner(tmp_path / "owner", 1_700_000_001)
    assert (old, also_old) == (first, second)
    held = owner_keys.load_or_create(tmp_path / "data", tmp_path / "owner").owner.public
    said = [open_rotation(body) for body in owner_keys.rotations(tmp_path / "owner", held)]
    assert [(one.old, one.new) for one in said] == [(first, second), (second, third)]
    assert len(list((tmp_path / "owner").glob("owner.key.old-*"))) == 2, "old keys are kept"
    with pytest.raises(KeyFileError, match="no owner key"):
        owner_keys.rotate_owner(tmp_path / "nobody", 0)
    (tmp_path / "owner" / owner_keys.ROTATIONS_NAME).write_text("nonsense")
    with pytest.raises(KeyFileError, match="damaged"):
        owner_keys.rotations(tmp_path / "owner", held)
