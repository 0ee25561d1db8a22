"""Chains of membership, and invites that people retype."""

from __future__ import annotations

import dataclasses

import pytest

from ctorrent.errors import BadSignature, LimitExceeded, Malformed
from ctorrent.model.identity import Link
from ctorrent.model.ids import owner_id
from ctorrent.seal import Sealed, Signer
from ctorrent.wire import codec
from tests.wire import samples
from tests.wire.samples import INVITE, LINK, LINK2, MEMBER, OWNER, ROOT


def test_a_chain_leads_from_the_root_to_the_member() -> None:
    links = (codec.seal_link(LINK, ROOT), codec.seal_link(LINK2, OWNER))
    membership = codec.open_membership(links)
    assert (membership.swarm, membership.member) == (owner_id(ROOT.public), owner_id(MEMBER.public))
    assert membership.links == links


def test_a_chain_without_its_beginning_or_order_is_none() -> None:
    one, two = codec.seal_link(LINK, ROOT), codec.seal_link(LINK2, OWNER)
    for links in ((), (two,), (two, one), (one, one)):
        with pytest.raises((Malformed, BadSignature)):
            codec.open_membership(links)


def test_nobody_invites_in_the_name_of_another() -> None:
    one = codec.seal_link(LINK, ROOT)
    stranger = dataclasses.replace(LINK2, inviter=owner_id(MEMBER.public))
    with pytest.raises(BadSignature, match="not signed by the member before"):
        codec.open_membership((one, codec.seal_link(stranger, MEMBER)))


def test_a_self_made_root_is_another_swarm() -> None:
    forged = dataclasses.replace(LINK, inviter=owner_id(OWNER.public))
    with pytest.raises(BadSignature):
        codec.open_membership((codec.seal_link(forged, OWNER),))


def test_a_chain_has_sixteen_links_at_most() -> None:
    signers = [Signer(bytes([n]) * 32) for n in range(100, 118)]
    swarm = owner_id(signers[0].public)
    chain: list[Sealed] = []
    for depth in range(1, 17):
        inviter, member = signers[depth - 1], signers[depth]
        link = Link(swarm, owner_id(inviter.public), owner_id(member.public), depth, 0, 0)
        chain.append(codec.seal_link(link, inviter))
    assert codec.open_membership(chain).member == owner_id(signers[16].public)
    with pytest.raises(LimitExceeded):
        codec.open_membership([*chain, chain[-1]])


def test_an_invite_is_one_line_and_comes_back() -> None:
    line = codec.encode_invite(INVITE)
    assert line.startswith("ctorrent1:")
    assert len(line.split()) == 1
    assert line == line.lower()
    assert codec.decode_invite(line) == INVITE
    assert codec.decode_invite("  " + line.upper()[:80] + "\n  " + line[80:]) == INVITE


def test_a_mistyped_invite_says_so() -> None:
    line = codec.encode_invite(INVITE)
    for at in range(len("ctorrent1:"), len(line), 5):
        other = "a" if line[at] != "a" else "b"
        with pytest.raises(Malformed, match="cut or mistyped"):
            codec.decode_invite(line[:at] + other + line[at + 1 :])
    for wrong in (line[:-4], line[:60], "ctorrent1:", "ctorrent1:ü", "hello", ""):
        with pytest.raises(Malformed):
            codec.decode_invite(wrong)


def test_a_very_long_invite_is_not_decoded() -> None:
    with pytest.raises(LimitExceeded):
        codec.decode_invite("ctorrent1:" + "a" * 10_000)


def test_samples_are_distinct() -> None:
    keys = {k.public for k in (samples.REQUESTER, samples.WORKER, OWNER, MEMBER, ROOT)}
    assert len(keys) == 5
