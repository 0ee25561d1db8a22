"""What `ctorrent top` shows, as lines that fit a terminal of a given size. Decides nothing else: state in, lines out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from ctorrent.cli import show

Plain = dict[str, Any]

BAR, BAR_PLAIN = ("█", "░"), ("#", ".")
SPARKS = "▁▂▃▄▅▆▇█"
GPUS_SHOWN, WORK_SHOWN, PEERS_SHOWN = 4, 3, 30  # of each in a full list; a screen has room for fewer
_LIVE = ("running", "waiting", "paused")
_SORTED = {state: place for place, state in enumerate(_LIVE)}


@dataclass(slots=True)
class Seen:
    """The newest that the node told of each. jobs: by name."""

    status: Plain
    machine: Plain
    pool: Plain
    jobs: dict[str, Plain] = field(default_factory=dict)
    peers: list[Plain] = field(default_factory=list)

    @classmethod
    def of(cls, snapshot: Plain) -> Seen:
        """What top.snapshot() found."""
        jobs = {row["job"]: row for row in snapshot["jobs"]}
        return cls(snapshot["status"], snapshot["machine"], snapshot["pool"], jobs, snapshot["peers"])

    def take(self, event: Plain) -> None:
        """One item of net.events()."""
        match event["kind"]:
            case "job":
                self.jobs[event["job"]["job"]] = event["job"]
            case "gone":
                self.jobs.pop(event["job"], None)
            case "peers":
                self.peers = event["peers"]
            case "machine":
                self.machine = event["machine"]
            case "pool":
                self.pool = event["pool"]

    def order(self) -> list[Plain]:
        """Jobs: those under way first, then the newest."""
        return sorted(self.jobs.values(), key=lambda job: (_SORTED.get(job["state"], len(_LIVE)), -job["submitted_unix"], job["job"]))


def everything(seen: Seen, width: int, fancy: bool = True) -> list[Text]:
    """All of it, for a pipe or a file."""
    lines = [_pool(seen.pool), _node(seen), *_machine(seen.machine, width, fancy), *_works_for(seen.machine, WORK_SHOWN)]
    jobs, peers = seen.order(), _connected(seen)
    lines += [Text(), _jobs_head(len(jobs)), *(_job(job, width, False, fancy) for job in jobs)]
    lines += [Text(), _peers_head(seen), *(_peer(peer) for peer in peers[:PEERS_SHOWN])]
    if len(peers) > PEERS_SHOWN:
        lines.append(show.plain(f"  and {len(peers) - PEERS_SHOWN} more: ctorrent peers", "dim"))
    return lines


def screen(seen: Seen, width: int, height: int, chosen: str, footer: str, fancy: bool = True) -> list[Text]:
    """Exactly `height` lines of at most `width` cells. chosen: the job that keys are about. footer: the last line."""
    head = [_pool(seen.pool), _node(seen), *_machine(seen.machine, width, fancy), *_works_for(seen.machine, WORK_SHOWN if height > 24 else 1)]
    jobs, peers = seen.order(), _connected(seen)
    room = max(0, height - len(head) - 1 - 4)  # the footer; two headings, each with a blank above
    for_peers = min(len(peers), max(room // 3, room - max(1, len(jobs))))
    for_jobs = room - for_peers
    lines = [*head, Text(), _jobs_head(len(jobs))]
    lines += [_job(job, width, job["job"] == chosen, fancy) for job in _window(jobs, chosen, for_jobs)]
    lines += [] if jobs else [show.plain("  none yet: ctorrent submit job.yaml", "dim")]
    lines += [Text(), _peers_head(seen), *(_peer(peer) for peer in peers[:for_peers])]
    lines = lines[: height - 1]
    lines += [Text() for _ in range(height - 1 - len(lines))]
    lines.append(show.plain(footer, "reverse" if fancy else ""))
    for line in lines:
        line.truncate(width, overflow="ellipsis" if fancy else "crop")
    return lines[-height:]


def _window(jobs: list[Plain], chosen: str, room: int) -> list[Plain]:
    """As many jobs as there is room for, the chosen one among them."""
    place = next((n for n, job in enumerate(jobs) if job["job"] == chosen), 0)
    first = max(0, min(place - room + 1, len(jobs) - room)) if place >= room else 0
    return jobs[first : first + room]


def _pool(pool: Plain) -> Text:
    """4 machines · 28 cores (12 free) · 64 GB RAM · 32 GB VRAM on 2 GPUs · 410 GB disk."""
    parts = [show.number(pool["machines"], "machine"), f"{show.number(pool['cores'], 'core')} ({pool['cores_free']} free)", f"{_giga(pool['memory_bytes'])} RAM"]
    if pool["gpus"]:
        parts.append(f"{_giga(pool['gpu_memory_bytes'])} VRAM on {show.number(pool['gpus'], 'GPU')}")
    parts.append(f"{_giga(pool['disk_bytes'])} disk")
    return show.plain(" · ".join(parts), "bold")


def _giga(count: int) -> str:
    return f"{count / 1e9:.0f} GB" if count >= 1e10 or not count else f"{count / 1e9:.1f} GB"


def _node(seen: Seen) -> Text:
    machine, status = seen.machine, seen.status
    taken = machine["slots"] - machine["slots_free"]
    lends = f"lends {show.number(machine['slots'], 'slot')}, {taken} taken" if machine["sharing"] else "lends nothing"
    return show.plain(f"{status['name']} · {lends} · earned {machine['earned_credits']:.2f} credits", "dim")


def _machine(now: Plain, width: int, fancy: bool) -> list[Text]:
    history = now["history"]
    wide = max(8, min(30, width - 60))
    memory = now["memory_used"] / now["memory_bytes"] if now["memory_bytes"] else 0.0
    heat = f"  {now['temperature_c']:.0f} °C" if now["temperature_c"] is not None else ""
    lines = [
        _gauge("CPU", now["cpu"], f"of {show.number(now['cores'], 'core')}{heat}", [row[1] for row in history], wide, fancy),
        _gauge("memory", memory, f"{_giga(now['memory_used'])} of {_giga(now['memory_bytes'])}", [row[2] for row in history], wide, fancy),
    ]
    for gpu in now["gpus"][:GPUS_SHOWN]:
        heat = f"  {gpu['temperature_c']:.0f} °C" if gpu["temperature_c"] is not None else ""
        words = f"{_giga(gpu['memory_used'])} of {_giga(gpu['memory_bytes'])}{heat}  {gpu['name']}"
        lines.append(_gauge("GPU", gpu["load"], words, [], wide, fancy))
    lines.append(show.plain(f"  {'network':<8} in {_rate(now['net_in_bytes_s'])}   out {_rate(now['net_out_bytes_s'])}   disk free {_giga(now['disk_free_bytes'])}"))
    return lines


def _gauge(name: str, share: float, words: str, history: list[float], wide: int, fancy: bool) -> Text:
    share = min(1.0, max(0.0, share))
    style = "red" if share > 0.9 else "yellow" if share > 0.7 else "green"
    made = show.plain(f"  {name:<8} ")
    made.append_text(_bar(share, wide, style, fancy))
    made.append(f" {share:4.0%}  ")
    made.append_text(show.plain(words))
    if fancy and history:
        marks = "".join(SPARKS[min(7, max(0, int(value * 8)))] for value in history[-20:])
        made.append(f"  {marks}", "dim")
    return made


def _bar(share: float, wide: int, style: str, fancy: bool) -> Text:
    full, empty = BAR if fancy else BAR_PLAIN
    filled = round(share * wide)
    made = Text(full * filled, style=style)
    made.append(empty * (wide - filled), "dim")
    return made


def _rate(bytes_s: float) -> str:
    return f"{show.size(bytes_s)}/s" if bytes_s >= 1 else "0 B/s"


def _works_for(now: Plain, shown: int) -> list[Text]:
    """For whom this machine works."""
    rows = now["works_for"]
    lines = [
        show.plain(f"  works for {row['name'] or show.short(row['owner'])}: {show.number(row['blocks'], 'block')} of job {row['job'][:8]}, for {show.duration(row['since_s'])}")
        for row in rows[:shown]
    ]
    if len(rows) > shown:
        lines[-1].append(f", and for {len(rows) - shown} more", "dim")
    return lines or [show.plain("  works for nobody now", "dim")]


def _jobs_head(count: int) -> Text:
    return show.plain(f"Jobs ({count})", "bold underline")


def _job(job: Plain, width: int, chosen: bool, fancy: bool) -> Text:
    total, settled = max(1, job["blocks"]), job["settled"]
    mark = ("▶" if fancy else ">") if chosen else " "
    made = show.plain(f"{mark} {job['job']}  ")
    made.append_text(show.plain(f"{job['state']:<9} ", show.STATE_STYLES.get(job["state"], "")))
    made.append_text(_bar(settled / total, 10, "red" if job["failed"] or job["disputed"] else "green", fancy))
    made.append(f" {settled / total:4.0%} {settled:>6}/{job['blocks']:<6} ")
    if job["state"] == "running":
        made.append(f"{'left ' + show.duration(job['eta_s']) if job['eta_s'] is not None else show.duration(job['elapsed_s']):<13} ")
    wrong = [f"{job[kind]} {kind}" for kind in ("disputed", "failed") if job[kind]]
    words = " ".join([job["name"] if job["name"] != job["job"] else "", *wrong, f"– {job['reason']}" if job["reason"] and job["state"] != "settled" else ""])
    made.append_text(show.plain(" ".join(words.split()), "bold" if chosen else ""))
    return made


def _connected(seen: Seen) -> list[Plain]:
    """Friends first, then the nearest."""
    there = [peer for peer in seen.peers if peer["connected"]]
    return sorted(there, key=lambda peer: (not peer["friend"], peer["latency_s"] is None, peer["latency_s"] or 0.0, peer["node"]))


def _peers_head(seen: Seen) -> Text:
    there = sum(peer["connected"] for peer in seen.peers)
    return show.plain(f"Peers ({there} connected of {len(seen.peers)} known)", "bold underline")


def _peer(peer: Plain) -> Text:
    latency = "–" if peer["latency_s"] is None else f"{peer['latency_s'] * 1000:.1f} ms"
    speed = "" if peer["bandwidth_bytes_s"] is None else f"{show.size(peer['bandwidth_bytes_s'])}/s"
    offer = peer.get("offer") or {}
    cores, free, memory = (int(offer.get(name, 0)) for name in ("cores", "slots_free", "memory_bytes"))  # a peer may say some and not others
    lends = f"{show.number(free, 'slot')} free of {show.number(cores, 'core')}, {_giga(memory)}" if cores else "lends nothing"
    name = (peer["name"] or show.short(peer["node"]))[:16]
    made = show.plain(f"  {name:<16} ")
    whose = "stranger" if not peer["friend"] else "friend" if peer.get("accepted", True) else "asked"
    made.append_text(show.plain(f"{whose:<9}", "green" if whose == "friend" else "dim"))
    made.append_text(show.plain(f"{latency:>9} {speed:>12}  {lends}"))
    return made
