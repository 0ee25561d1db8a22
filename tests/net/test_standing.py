"""Points decay, bans end, and identities that cost nothing cannot fill memory."""

from __future__ import annotations

from ctorrent.model.ids import NodeId
from ctorrent.net.rules import DirectoryRules
from ctorrent.net.standing import _KEPT, Standing

RULES = DirectoryRules(ban_points=100, half_life_s=600, ban_s=600, ban_s_max=86_400)
EVE = NodeId("eve")


def test_points_add_up_to_a_ban_that_ends() -> None:
    standing = Standing(RULES)
    assert [standing.charge(EVE, 40, "garbage", 0) for _ in range(3)] == [False, False, True]
    assert standing.banned(EVE, 599) and not standing.banned(EVE, 600)
    assert standing.points(EVE, 600) == 0 and standing.why(EVE) == "garbage"


def test_points_halve_with_time() -> None:
    standing = Standing(RULES)
    standing.charge(EVE, 80, "", 0)
    assert standing.points(EVE, 600) == 40
    assert not standing.charge(EVE, 59, "", 600) and standing.charge(EVE, 2, "", 600)


def test_each_further_ban_is_twice_as_long_up_to_a_day() -> None:
    standing, now, lengths = Standing(RULES), 0.0, []
    for _ in range(10):
        assert standing.charge(EVE, 100, "", now)
        length = next(s for s in (600 * 2**n for n in range(12)) if not standing.banned(EVE, now + min(s, 86_400)))
        lengths.append(min(length, 86_400))
        now += lengths[-1]
    assert lengths[:3] == [600, 1_200, 2_400] and lengths[-1] == 86_400


def test_charges_during_a_ban_do_not_extend_it() -> None:
    standing = Standing(RULES)
    standing.charge(EVE, 100, "", 0)
    assert not standing.charge(EVE, 500, "", 10)
    assert not standing.banned(EVE, 600)


def test_a_flood_of_identities_does_not_grow_the_book_nor_free_the_banned() -> None:
    standing = Standing(RULES)
    standing.charge(EVE, 100, "", 0)
    for number in range(_KEPT * 2):
        standing.charge(NodeId(f"sybil{number}"), 1, "", 1)
    assert len(standing._records) <= _KEPT and standing.banned(EVE, 2)


def test_strangers_are_in_good_standing() -> None:
    assert Standing(RULES).points(EVE, 0) == 0 and not Standing(RULES).banned(EVE, 0)
