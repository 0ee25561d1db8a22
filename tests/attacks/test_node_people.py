"""What a peer may try to get in, or to be a friend: guesses are charged, a use is used once, lists do not fill."""

from __future__ import annotations

import os

import pytest
import trio

from ctorrent.errors import Unavailable
from ctorrent.model.session import Findings, FriendRequest, Inquiry, JoinAnswer, JoinRequest
from ctorrent.seal import Signer
from ctorrent.wire import codec, names
from tests.attacks.hostile import Eve, Siege, besieged, run, until

pytestmark = pytest.mark.real


async def redeem(siege: Siege, eve: Eve, token: bytes) -> JoinAnswer:
    talk = await eve.talk(siege.victim, names.JOIN)
    await talk.say(JoinRequest(token, eve.certificate()))
    answer = await talk.hear(JoinAnswer)
    await talk.channel.aclose()
    return answer


def test_guessing_tokens_ends_in_a_ban() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter()
            guesses = 0
            with pytest.raises(Unavailable):
                while guesses < 50:
                    assert not (await redeem(siege, eve, os.urandom(16))).links
                    guesses += 1
            assert guesses <= 10 and siege.points(eve) == 1000
            assert not siege.victim.people.is_friend(eve.owner_id)

    run(main)


async def ask(siege: Siege, eve: Eve, inquiry: Inquiry) -> Findings:
    talk = await eve.talk(siege.victim, names.JOIN)
    await talk.say(inquiry)
    answer = await talk.hear(Findings)
    await talk.channel.aclose()
    return answer


def test_asking_about_invites_tells_no_token_and_uses_nothing_up() -> None:
    async def main() -> None:
        async with besieged() as siege:
            invite = codec.decode_invite(await siege.victim.door.invite(1, 3600))
            ann, eve = await siege.enter(), await siege.enter()
            for _ in range(20):
                assert (await ask(siege, ann, Inquiry(invite.token))).invite == "good"
            assert siege.points(ann) == 0
            assert (await redeem(siege, ann, invite.token)).links, "it is still there"
            assert (await ask(siege, ann, Inquiry(invite.token))).invite == "used up"
            guesses = 0
            with pytest.raises(Unavailable):
                while guesses < 50:
                    assert (await ask(siege, eve, Inquiry(os.urandom(16)))).invite == "unknown"
                    guesses += 1
            assert guesses <= 10, "a guess by a question costs as much as one by a request"

    run(main)


def test_asking_how_one_is_seen_is_no_way_to_search_for_open_ports() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve, again = await siege.enter(), await siege.enter()
            began = trio.current_time()
            tried = [port for port in range(40_000, 40_030) if (await ask(siege, eve, Inquiry(port=port))).knock]
            tried += [port for port in range(40_030, 40_040) if (await ask(siege, again, Inquiry(port=port))).knock]
            assert tried[:3] == [40_000, 40_001, 40_002], "a person's few questions are answered"
            assert len(tried) <= 3 + (trio.current_time() - began) / 10, "another key from the same address changes nothing"
            assert siege.points(eve) == 0

    run(main)


def test_no_other_service_is_knocked_at() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter()
            assert [(await ask(siege, eve, Inquiry(port=port))).knock for port in (22, 443, 1023)] == ["", "", ""]
            assert (await ask(siege, eve, Inquiry(port=1024))).knock, "they cost nothing"

    run(main)


def test_the_last_use_of_an_invite_is_one_peers() -> None:
    async def main() -> None:
        async with besieged() as siege:
            invite = codec.decode_invite(await siege.victim.door.invite(1, 3600))
            peers = [await siege.enter() for _ in range(6)]
            let_in: list[Eve] = []

            async def one(eve: Eve) -> None:
                if (await redeem(siege, eve, invite.token)).links:
                    let_in.append(eve)

            async with trio.open_nursery() as nursery:
                for eve in peers:
                    nursery.start_soon(one, eve)
            assert len(let_in) == 1
            assert [eve for eve in peers if siege.victim.people.is_friend(eve.owner_id)] == let_in
            assert not (await redeem(siege, let_in[0], invite.token)).links  # a replay
            assert all(siege.points(eve) == 0 for eve in peers)  # a used invite is no guess

    run(main)


def test_a_request_with_anothers_certificate_is_charged() -> None:
    async def main() -> None:
        async with besieged() as siege:
            invite = codec.decode_invite(await siege.victim.door.invite(3, 3600))
            eve = await siege.enter()
            for message in (
                JoinRequest(invite.token, siege.friend.people.certificate),
                FriendRequest(siege.friend.people.certificate, "friend"),
            ):
                talk = await eve.talk(siege.victim, names.JOIN)
                await talk.say(message)
                await talk.ended()
            await until(lambda: siege.points(eve) >= 20)

    run(main)


def test_a_flood_of_friend_requests_leaves_one_line() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter()
            for number in range(40):
                twin = Eve(eve.network, eve.keys, Signer(os.urandom(32)))  # another owner of the same node, each time
                talk = await twin.talk(siege.victim, names.JOIN)
                await talk.say(FriendRequest(twin.certificate(), f"eve {number}\x1b[2J"))
                await talk.ended()
            asks = [row for row in await siege.victim.door.friends() if row["state"] == "asks"]
            assert len(asks) == 1
            assert "\x1b" not in asks[0]["name"]
            assert not siege.victim.people.is_friend(twin.owner_id)

    run(main)


def test_strangers_words_are_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        from ctorrent.node import people

        monkeypatch.setattr(people, "KNOWN_MAX", 6)
        async with besieged() as siege:
            friend = siege.friend.world.node
            await until(lambda: friend in siege.victim.people.known)
            for _ in range(10):
                await (await siege.enter()).talk(siege.victim)
            assert len(siege.victim.people.known) <= 6
            assert friend in siege.victim.people.known

    run(main)
