"""Would this machine's own firewall let a caller in? Read from its rules, as text; pure.

Only rules that would meet any caller count: those for one address, one interface or connections that are under way
are passed over. An answer is "open", "closed", or "" where the rules do not say.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

_DEPTH = 8  # of chains that jump to one another; real ones have three
_NARROW = ("-s", "--source", "-i", "--in-interface", "-d", "--destination", "--sport", "--src-range", "--mac-source", "!")
_END = {"ACCEPT": "open", "DROP": "closed", "REJECT": "closed"}


def iptables(rules: str, port: int, protocol: str = "tcp") -> str:
    """Of `iptables -S`."""
    chains: dict[str, list[list[str]]] = {}
    policies: dict[str, str] = {}
    for line in rules.splitlines():
        words = shlex.split(line, comments=False) if line.count('"') % 2 == 0 else []
        if words[:1] == ["-P"] and len(words) > 2:
            policies[words[1]] = words[2]
        elif words[:1] == ["-A"] and len(words) > 2:
            chains.setdefault(words[1], []).append(words[2:])
    return _walk(chains, "INPUT", port, protocol, 0) or _END.get(policies.get("INPUT", ""), "")


def _walk(chains: dict[str, list[list[str]]], name: str, port: int, protocol: str, depth: int) -> str:
    for rule in chains.get(name, ()) if depth < _DEPTH else ():
        if not _meets(rule, port, protocol):
            continue
        jump = _after(rule, "-j") or _after(rule, "-g")
        if jump == "RETURN":
            return ""
        found = _END.get(jump) or _walk(chains, jump, port, protocol, depth + 1)
        if found:
            return found
    return ""


def _meets(rule: Sequence[str], port: int, protocol: str) -> bool:
    """Does a rule meet every new caller at the port?"""
    if any(word in rule for word in _NARROW) or _after(rule, "-p") not in ("", "all", protocol):
        return False
    state = _after(rule, "--ctstate") or _after(rule, "--state")
    if state and "NEW" not in state.split(","):
        return False
    if "-m" in rule and {"limit", "recent", "set", "addrtype", "owner", "pkttype", "hashlimit"} & set(rule):
        return False
    ports = _after(rule, "--dport") or _after(rule, "--dports")
    return not ports or any(_within(one, port) for one in ports.split(","))


def _within(text: str, port: int) -> bool:
    low, _, high = text.partition(":")
    return low.isdecimal() and int(low) <= port <= int(high if high.isdecimal() else low)


def _after(rule: Sequence[str], flag: str) -> str:
    return rule[rule.index(flag) + 1] if flag in rule[:-1] else ""


def nft(ruleset: str, port: int, protocol: str = "tcp") -> str:
    """Of `nft -j list ruleset`. Every base chain of input has its say; one that refuses is enough."""
    try:
        items = json.loads(ruleset)["nftables"]
    except (ValueError, KeyError, TypeError):
        return ""
    chains = [item["chain"] for item in items if isinstance(item, dict) and "chain" in item]
    rules: dict[tuple[str, str, str], list[list[Any]]] = {}
    for item in items:
        if isinstance(item, dict) and "rule" in item:
            rule = item["rule"]
            rules.setdefault((rule["family"], rule["table"], rule["chain"]), []).append(rule.get("expr", []))
    answers = []
    for chain in chains:
        if chain.get("hook") == "input" and chain.get("type") == "filter" and chain["family"] in ("ip", "inet"):
            found = _walk_nft(rules, (chain["family"], chain["table"], chain["name"]), port, protocol, 0)
            answers.append(found or ("closed" if chain.get("policy") == "drop" else "open"))
    return "closed" if "closed" in answers else "open" if answers else ""


def _walk_nft(rules: dict[tuple[str, str, str], list[list[Any]]], chain: tuple[str, str, str], port: int, protocol: str, depth: int) -> str:
    for rule in rules.get(chain, ()) if depth < _DEPTH else ():
        if not all(_meets_nft(part, port, protocol) for part in rule):
            continue
        for part in rule:
            if "accept" in part:
                return "open"
            if "drop" in part or "reject" in part:
                return "closed"
            if "return" in part:
                return ""
            target = (part.get("jump") or part.get("goto") or {}).get("target")
            if target and (found := _walk_nft(rules, (*chain[:2], target), port, protocol, depth + 1)):
                return found
    return ""


def _meets_nft(part: dict[str, Any], port: int, protocol: str) -> bool:
    """A statement that is no condition meets everyone; a condition on anything but the port is passed over as narrow."""
    match = part.get("match")
    if match is None:
        return "limit" not in part and "xt" not in part
    left, right = match.get("left", {}), match.get("right")
    payload = left.get("payload", {}) if isinstance(left, dict) else {}
    if payload.get("protocol") == protocol and payload.get("field") == "dport":
        return match.get("op", "==") == "==" and _holds(right, port)
    if isinstance(left, dict) and left.get("meta", {}).get("key") == "l4proto":
        return protocol in (right if isinstance(right, list) else [right])
    if isinstance(left, dict) and left.get("ct", {}).get("key") == "state":
        return "new" in (right if isinstance(right, list) else [right])
    return False


def _holds(right: Any, port: int) -> bool:
    if isinstance(right, dict) and "set" in right:
        return any(_holds(one, port) for one in right["set"])
    if isinstance(right, dict) and "range" in right:
        return bool(right["range"][0] <= port <= right["range"][1])
    return bool(right == port)
