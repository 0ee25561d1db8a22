"""What `ctorrent credit` shows: accounts with persons, and the receipts behind one, as plain maps (model/status.py)."""

from __future__ import annotations

from ctorrent.errors import LocalError
from ctorrent.ledger.credit import Amount, Receipt
from ctorrent.market.pay import Earned
from ctorrent.model.ids import OwnerId
from ctorrent.model.status import CreditAmount, CreditRow, ReceiptRow
from ctorrent.node.credit import Credit
from ctorrent.node.people import People

RECEIPTS_SHOWN = 1000  # the latest, of one person
TAIL_CHARS = 4  # of an id that a person may type: tables show ends


class CreditWords:
    """Of one node."""

    def __init__(self, credit: Credit, people: People) -> None:
        self._credit, self._people = credit, people

    def rows(self, who: str = "") -> list[CreditRow]:
        """Everybody there is something to say of; who: that person only, with its receipts. Raises LocalError."""
        named = [self._find(who)] if who else self._persons()
        return [self._row(person, bool(who)) for person in named]

    def _persons(self) -> list[str]:
        credit = self._credit
        found = {*credit.accounts().with_me, *credit.unpaid(), *credit.withheld(), *self._people.friends()}
        return sorted(person for person in found if person != self._people.owner)

    def _row(self, person: str, whole: bool) -> CreditRow:
        credit = self._credit
        account, room = credit.account(person), credit.room(person)
        mine, theirs = credit.withheld().get(person, Earned()), credit.unpaid().get(person, Earned())
        row = CreditRow(
            person=person, name=self._name(person), friend=self._people.is_friend(OwnerId(person)),
            nodes=sorted(node for node, known in self._people.known.items() if known.owner == person),
            for_me=_amount(account.for_me), for_them=_amount(account.for_them), balance=account.balance,
            waits_for_me=_earned(mine), waits_for_them=_earned(theirs), limit=room.limit, backed=room.backed, left=room.left,
            receipts=[],
        )  # fmt: skip
        if whole:
            row["receipts"] = [self._receipt(one, person) for one in credit.receipts_of(person)[-RECEIPTS_SHOWN:]]
        return row

    def _receipt(self, receipt: Receipt, person: str) -> ReceiptRow:
        work = receipt.work
        theirs = self._credit.person(work.worker) == person
        return ReceiptRow(
            job=work.job_tag.hex()[:16], number=work.number, requester=work.requester, worker=work.worker, for_me=theirs,
            blocks=work.blocks, core_hours=work.core_hours, gpu_hours=work.gpu_hours, credits=work.credits,
            issued_unix=receipt.issued_unix_s, entry=f"{receipt.incarnation}.{receipt.seq}",
        )  # fmt: skip

    def _name(self, person: str) -> str:
        known = self._people.persons.get(OwnerId(person))
        if known is not None and known.name:
            return known.name
        return next((peer.name for peer in self._people.known.values() if peer.owner == person and peer.name), "")

    def _find(self, who: str) -> str:
        """A person by name, owner id or the beginning or end of it, or by a node of theirs."""
        word = who.strip().lstrip("…")
        found = {person for person in self._persons() if self._is(person, word)}
        for node, known in self._people.known.items():
            if known.owner and known.owner != self._people.owner and word in (node, known.name):
                found.add(known.owner)
        if len(found) != 1:
            what = "nobody" if not found else f"{len(found)} persons"
            raise LocalError(f"{who!r} names {what} with an account here", "`ctorrent credit` shows who has one; use a name or an id of it.")
        return found.pop()

    def _is(self, person: str, word: str) -> bool:
        long = len(word) >= TAIL_CHARS
        return word in (person, self._name(person)) or (long and (person.startswith(word) or person.endswith(word)))


def _amount(amount: Amount) -> CreditAmount:
    return CreditAmount(
        receipts=amount.receipts, blocks=amount.blocks, core_hours=amount.core_hours, gpu_hours=amount.gpu_hours, credits=amount.credits
    )


def _earned(earned: Earned) -> CreditAmount:
    return CreditAmount(
        receipts=0, blocks=earned.blocks, core_hours=earned.core_hours, gpu_hours=earned.gpu_hours, credits=earned.credits
    )
