"""What a node has allotted, to whom, and what is left. Whole cores, bytes, and GPUs by device; never oversold."""

from __future__ import annotations

from dataclasses import dataclass

from ctorrent.market.fit import fitting_gpus
from ctorrent.model.job import Needs
from ctorrent.model.offer import Gpu
from ctorrent.model.trade import No, NoReason


@dataclass(frozen=True, slots=True)
class Allotment:
    """A token for what was taken. `gpus`: uuids, `needs.gpu` for each slot in turn."""

    number: int
    needs: Needs
    slots: int
    gpus: tuple[str, ...]


class Capacity:
    """What the owner shares: `cores`, `memory_bytes`, devices; lent as allotments and given back once."""

    def __init__(self, cores: int, memory_bytes: int, gpus: tuple[Gpu, ...] = ()) -> None:
        self.cores, self.memory_bytes, self.gpus = max(0, cores), max(0, memory_bytes), gpus
        self._lent: dict[int, Allotment] = {}
        self._next = 0

    @property
    def cores_free(self) -> int:
        return self.cores - sum(a.needs.cpu * a.slots for a in self._lent.values())

    @property
    def memory_free_bytes(self) -> int:
        return self.memory_bytes - sum(a.needs.memory_bytes * a.slots for a in self._lent.values())

    @property
    def gpus_free(self) -> tuple[str, ...]:
        """Uuids of devices that nobody has, in the machine's order."""
        taken = {uuid for a in self._lent.values() for uuid in a.gpus}
        return tuple(g.uuid for g in self.gpus if g.uuid not in taken)

    def slots_for(self, needs: Needs) -> int:
        """How many slots of this size are free now."""
        if needs.cpu < 1 or needs.memory_bytes < 0 or needs.gpu < 0:
            return 0
        counts = [self.cores_free // needs.cpu]
        if needs.memory_bytes:
            counts.append(self.memory_free_bytes // needs.memory_bytes)
        if needs.gpu:
            counts.append(len(self._able(needs)) // needs.gpu)
        return max(0, min(counts))

    def take(self, needs: Needs, slots: int = 1) -> Allotment | No:
        """Lend `slots` slots at once, or say what is lacking. Devices: the smallest that fit."""
        free = self.slots_for(needs)
        if slots < 1 or free < slots:
            return No(NoReason.BUSY, f"{free} of {slots} slots free")
        able = sorted(self._able(needs), key=lambda g: (g.memory_bytes, g.index))
        gpus = tuple(g.uuid for g in able[: needs.gpu * slots])
        allotment = Allotment(self._next, needs, slots, gpus)
        self._next += 1
        self._lent[allotment.number] = allotment
        self.check()
        return allotment

    def release(self, allotment: Allotment) -> bool:
        """Give back. False: it was given back already."""
        return self._lent.pop(allotment.number, None) is not None

    def lent(self) -> tuple[Allotment, ...]:
        return tuple(self._lent.values())

    def check(self) -> None:
        """Never oversold: an error here is ours."""
        devices = [uuid for a in self._lent.values() for uuid in a.gpus]
        assert len(devices) == len(set(devices)), "a GPU is lent twice"
        assert self.cores_free >= 0 and self.memory_free_bytes >= 0, "cores or memory are oversold"

    def _able(self, needs: Needs) -> list[Gpu]:
        free = self.gpus_free
        return [g for g in fitting_gpus(needs, self.gpus) if g.uuid in free]
