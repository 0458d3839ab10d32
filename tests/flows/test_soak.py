"""What much work leaves behind, and what hostile clients cost others: the short form of ``make soak``, all real."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import soak

SHORT = [
    "sends schemas of 20 MB, and of 1 MB",
    "sends JSON that is 100,000 deep",
    "sends decompression bombs",
    "sends type-checker bombs",
    "sends schemas whose patterns backtrack",
    "never reads while a program prints",
]
"""Acts of hostile clients that take a short time."""


# It collects garbage, sockets that other tests in this process have left among it; its own are counted below.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_many_executions_some_with_their_sandbox_killed_leave_nothing() -> None:
    before, after, ends = asyncio.run(soak.executions(80, warm_up=40))
    assert ends["returned"] + ends["killed"] == 80 and ends["killed"] > 0
    for name in ("descriptors", "tasks", "processes", "files"):
        assert getattr(after, name) <= getattr(before, name), name


def test_cells_with_frames_by_handle_leave_no_frame_no_handle_and_no_memory() -> None:
    before, after = asyncio.run(soak.frames(100, warm_up=40))
    assert (after.frames, after.handles) == (0, 0)
    assert after.tables <= before.tables
    # Their frames have 40 MB together. Every program may keep 0.1 MB of what a busy allocator has not given back yet.
    assert after.resident - before.resident < 100 * 100_000
    assert after.blocks - before.blocks < 100 * 100  # the parts of a frame that is kept are more; caches grow once


@pytest.mark.timeout(480)
def test_what_a_hostile_client_sends_fails_no_program_of_another_and_is_refused_with_a_reason() -> None:
    with soak.measured_server() as server:
        for act in SHORT:
            found = asyncio.run(soak.lag(server, act, within_s=60.0))
            assert found.failed == 0, act
            assert not found.unexpected, (act, found.unexpected)
        assert "Traceback" not in server.log, server.log
