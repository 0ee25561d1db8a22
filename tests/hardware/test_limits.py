"""Cores and memory within cgroups of both versions, read from trees of real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctorrent.hardware.limits import Groups, cpu_quotas, memory, usable_cores

GIB = 1 << 30


def tree(root: Path, cgroup: str, files: dict[str, str]) -> Groups:
    """A /proc and a /sys/fs/cgroup with this text in /proc/self/cgroup and these files."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(cgroup)
    (root / "cgroup").mkdir()
    for name, text in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Groups(root / "proc", root / "cgroup")


def test_version_2_the_tightest_group_on_the_way_up_holds(tmp_path: Path) -> None:
    files = {
        "cpu.max": "max 100000\n",
        "user.slice/cpu.max": "350000 100000\n",
        "user.slice/me.scope/cpu.max": "max 100000\n",
        "user.slice/memory.max": str(4 * GIB),
        "user.slice/memory.current": str(3 * GIB),
        "user.slice/memory.stat": f"anon 5\ninactive_file {GIB}\n",
        "user.slice/me.scope/memory.max": "max",
    }
    groups = tree(tmp_path, "0::/user.slice/me.scope\n", files)
    assert cpu_quotas(groups) == [3.5]
    assert usable_cores(groups, physical=1) == 1
    assert memory(groups, 64 * GIB, 50 * GIB) == (4 * GIB, 2 * GIB)
    assert memory(groups, 64 * GIB, GIB) == (4 * GIB, GIB)


def test_version_1(tmp_path: Path) -> None:
    files = {
        "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "150000\n",
        "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
        "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "memory/docker/abc/memory.limit_in_bytes": str(2 * GIB),
        "memory/docker/abc/memory.usage_in_bytes": str(GIB),
        "memory/memory.limit_in_bytes": "9223372036854771712",
    }
    groups = tree(tmp_path, "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n", files)
    assert cpu_quotas(groups) == [1.5]
    assert usable_cores(groups, None) == 1
    assert memory(groups, 64 * GIB, 50 * GIB) == (2 * GIB, GIB)


def test_in_a_container_the_named_group_is_outside_of_what_is_mounted(tmp_path: Path) -> None:
    groups = tree(tmp_path, "0::/../../docker/abc\n", {"cpu.max": "50000 100000", "memory.max": str(GIB)})
    assert cpu_quotas(groups) == [0.5]
    assert usable_cores(groups, None) == 1
    assert memory(groups, 64 * GIB, 50 * GIB) == (GIB, GIB)


@pytest.mark.parametrize("cgroup", ["", "garbage\n0::\n", "0::/nowhere\n"])
def test_without_limits_the_machines_own_figures_stand(tmp_path: Path, cgroup: str) -> None:
    groups = tree(tmp_path, cgroup, {"cpu.max": "garbage", "memory.max": "", "memory.stat": "\nx"})
    assert cpu_quotas(groups) == []
    assert memory(groups, 64 * GIB, 50 * GIB) == (64 * GIB, 50 * GIB)
