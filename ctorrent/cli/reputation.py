"""`reputation`: what this node concludes about others from the entries it holds."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ctorrent.cli import complete, show
from ctorrent.cli.options import DataDir, Json, any_node

Plain = dict[str, Any]

ALONE_AFTER = "ten"  # verify.audit's established_after
ME = "me"  # this node, to its owner
AGAINST_MAX = 20  # votes against this node shown, the latest


def register(app: typer.Typer) -> None:
    app.command()(reputation)


def reputation(
    who: Annotated[str, typer.Argument(metavar="[PEER]", help="One peer, by name or by its node's id, or `me`; without, all that are known.", show_default=False, autocompletion=complete.peers)] = "",
    why: Annotated[bool, typer.Option("--why", help="Every entry behind the number, what it weighs, and how trust comes to its signer.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show what this node concludes about others, from the entries it holds."""
    if why and not who:
        raise typer.BadParameter("say whose: `ctorrent reputation PEER --why`", param_hint="--why")
    with any_node(data_dir) as net:
        status = net.status()
        rows, here = net.reputation(status["node"] if who == ME else who), status["node"]
    show.emit(as_json, rows, lambda: _show_one(rows[0], here, why) if who else _show_all(rows, here))
    if not as_json and (not who or rows[0]["node"] == here):
        show_held_against(status, f"The votes, and what this node answered: ctorrent reputation {ME}" if not who else "")


def show_held_against(status: Plain, more: str = f"More of it: ctorrent reputation {ME}") -> None:
    """What others hold against this node's owner, as far as the ledger here tells."""
    if lines := status.get("against", []):
        console = show.stdout()
        console.print(show.plain("Held against you, by the ledger that this node holds:", "bold yellow"))
        for line in lines:
            console.print(show.plain(f"  {line}"))
        console.print(show.plain(f"If nobody here lies, look for bad memory, overclocking or a driver: ctorrent doctor. {more}".rstrip(), "dim"))


def _show_all(rows: list[Plain], here: str) -> None:
    console = show.stdout()
    if not rows:
        console.print("Nothing is known about anybody yet: reputation comes with work that was checked.")
        return
    ranked = sorted(rows, key=lambda row: (-row["lower_bound"], row["node"]))
    lines = [
        (_name(row, here), show.short(row["node"]), _weight(row["agreed"]), _wrong(row), f"{row['lower_bound']:.2f}", _state(row))
        for row in ranked
    ]
    console.print(show.table(("name", "node", "agreed", "disputed", "at least", ""), lines, right=("agreed", "disputed", "at least")))
    _explain()
    if any(row["held"] for row in rows):
        console.print(show.plain("Why somebody is quarantined, and the way back: ctorrent reputation PEER --why", "dim"))


def _show_one(row: Plain, here: str, why: bool) -> None:
    console = show.stdout()
    known = bool(row["agreed"] or row["disputed"] or row["established"] or row["why"])
    facts = [
        ("node", f"{row['node']}{' (you)' if row['node'] == here else ''}"), ("name", row["name"] or "–"),
        ("agreed", _weight(row["agreed"])), ("disputed", _wrong(row)),
        ("right, at least", f"{row['lower_bound']:.0%} of its results (95 % sure)" if known else "nothing is known: none of its results was checked"),
        ("in a row", f"{show.number(row['established'], 'right block')} by your own verdicts"),
        ("its own word", f"weighs {row['trust']:.3f} of yours" if row["trust"] else "weighs nothing here: no path of trust reaches it"),
        ("state", _state(row) or "welcome"),
    ]  # fmt: skip
    console.print(show.pairs(facts))
    if row["held"]:
        console.print(show.plain(f"Its bids are refused: {row['held']}.", "bold red"))
    elif row["past"]:
        console.print(show.plain(f"{row['past'][0].upper()}{row['past'][1:]}.", "yellow"))
    elif row["newcomer"]:
        console.print(
            f"The market counts it as a newcomer until {row['dues']:,.0f} of its blocks were checked by you or by friends. "
            f"A job trusts it alone after {ALONE_AFTER} checks in a row: see docs/verification.md."
        )
    _show_against(row.get("against") or [])
    if not why:
        if row["why"]:
            console.print(show.plain("The entries and weights behind this: add --why", "dim"))
        return
    console.print()
    for line in row["why"] or ["No entry says anything of it."]:
        console.print(show.plain(line))
    _explain()


def _show_against(votes: list[Plain]) -> None:
    """What others hold against this node, beside what it answered."""
    if not votes:
        return
    console = show.stdout()
    console.print(f"{show.number(len(votes), 'vote')} against this node; its answers:")
    for vote in votes[-AGAINST_MAX:]:
        console.print(show.plain(f"  {show.short(vote['author'])} found {show.number(vote['disputed'] + vote['invalid'], 'block')} wrong: {vote['words']}"))
        if vote["answered"]:
            which = "a block" if vote["block"] is None else f"block {vote['block']}"
            others = ", ".join(f"{show.short(one['worker'])} {one['answered'][:8]}" for one in vote["others"])
            console.print(show.plain(f"    {which}: answered {vote['answered'][:8]}; {others or 'its coordinator says otherwise'}", "dim"))
    if len(votes) > AGAINST_MAX:
        console.print(show.plain(f"  … and {len(votes) - AGAINST_MAX} older ones", "dim"))


def _explain() -> None:
    console = show.stdout()
    console.print(show.plain("“Agreed” and “disputed” are weights, not counts: older entries weigh less, and so does the word of nodes less trusted.", "dim"))
    console.print(show.plain("“At least” is the share of right results that this node counts on (95 % sure).", "dim"))


def _name(row: Plain, here: str) -> str:
    return f"{row['name'] or '–'}{' (you)' if row['node'] == here else ''}"


def _wrong(row: Plain) -> Any:
    return show.plain(_weight(row["disputed"]), "bold red" if row["disputed"] >= 0.05 else "dim")


def _state(row: Plain) -> Any:
    return show.plain(row["state"], "bold red") if row["held"] else row["state"]


def _weight(found: float) -> str:
    """Blocks, after what is old or doubtful was taken down: 363, 0.4."""
    return f"{found:,.0f}" if found >= 10 or found < 0.05 else f"{found:.1f}"
