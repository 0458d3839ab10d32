"""Memory of a pod: files as the system shows them, and what they mean for the number of sandboxes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pctx_jupyter.memory import cgroup_limit, needed, shortage
from pctx_jupyter.settings import MIB, Limits, Settings

GROUP = "kubepods/pod1/container1"


@pytest.mark.parametrize(
    ("said", "files", "limit"),
    [
        (f"0::/{GROUP}", {f"{GROUP}/memory.max": "max", "kubepods/pod1/memory.max": str(512 * MIB)}, 512 * MIB),
        (f"0::/{GROUP}", {f"{GROUP}/memory.max": str(256 * MIB), "kubepods/memory.max": str(512 * MIB)}, 256 * MIB),
        ("0::/", {"memory.max": str(300 * MIB)}, 300 * MIB),  # a container sees its own group as the root
        ("0::/../of/the/host", {"memory.max": str(300 * MIB)}, 300 * MIB),
        (f"5:cpu:/x\n3:cpuset,memory:/{GROUP}", {"memory/memory.limit_in_bytes": str(300 * MIB)}, 300 * MIB),
        ("3:memory:/a", {"memory/a/memory.limit_in_bytes": "9223372036854771712"}, None),  # what version 1 has for none
        ("5:cpu:/x", {"memory.max": str(MIB)}, None),
        ("0::/a", {"a/memory.max": "nonsense"}, None),
        ("0::/a", {}, None),
        ("", {}, None),
    ],
)
def test_the_smallest_limit_of_a_group_and_of_those_around_it_counts(
    tmp_path: Path, said: str, files: dict[str, str], limit: int | None
) -> None:
    (tmp_path / "of_process").write_text(said)
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text)
    assert cgroup_limit(tmp_path / "groups", tmp_path / "of_process") == limit


def test_a_system_without_control_groups_has_no_limit(tmp_path: Path) -> None:
    assert cgroup_limit(tmp_path, tmp_path / "missing") is None


@pytest.mark.parametrize("limit_mb", [293, 400, 1_000, 2_048, 8_192])
def test_what_is_recommended_for_a_small_pod_fits(limit_mb: int) -> None:
    found = shortage(Settings(), limit_mb * MIB)
    assert found is not None
    state, cure = found
    assert f"{limit_mb:,} MiB" in state and "16 programs of up to 512 MiB" in state
    recommended = dict(part.split(" = ") for part in cure.split("c.Pctx.")[1:] if " = " in part)
    numbers = {name: int(value.split(",")[0].removesuffix(" and ")) for name, value in recommended.items()}
    memory_mb = numbers.get("max_memory_mb", 512)
    better = Settings(max_running=numbers["max_running"], limits=Limits(max_memory_mb=memory_mb))
    assert shortage(better, limit_mb * MIB) is None


def test_the_pods_of_the_page_on_hubs_have_room_for_their_sandboxes() -> None:
    page = Path(__file__).parent.parent / "docs/howto/jupyterhub.md"
    pods = re.findall(r"^\| (\d) GB \| (\d+) \| (\d+) \|", page.read_text("utf-8"), re.MULTILINE)
    assert len(pods) == 3
    for size_gb, running, memory_mb in pods:
        profile = Settings(max_running=int(running), limits=Limits(max_memory_mb=int(memory_mb)))
        assert shortage(profile, int(size_gb) * 1_000 * MIB) is None


def test_a_pod_without_room_for_one_program_needs_more_memory() -> None:
    found = shortage(Settings(), 128 * MIB)
    assert found is not None and found[1] == "give it more memory"


def test_nothing_is_said_where_all_sandboxes_fit_or_there_is_no_limit() -> None:
    assert shortage(Settings(), needed(Settings())) is None and shortage(Settings(), None) is None
