"""What much work leaves behind, and what hostile clients cost others: the short form of ``make soak``, all real."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import soak

from ..server.process import server_process

ACTS = [
    soak.sends_a_schema,
    soak.nests,
    soak.sends_large_frames,
    soak.bombs_the_checker,
    soak.never_reads,
]


# It collects garbage, sockets that other tests in this process have left among it; its own are counted below.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(240)
def test_many_executions_some_with_their_sandbox_killed_leave_nothing() -> None:
    before, after, ends = asyncio.run(soak.executions(80, warm_up=40))
    assert ends["returned"] + ends["killed"] == 80 and ends["killed"] > 0
    for name in ("descriptors", "tasks", "processes", "files"):
        assert getattr(after, name) <= getattr(before, name), name


@pytest.mark.timeout(240)
def test_what_a_hostile_client_sends_fails_no_program_of_another() -> None:
    with server_process() as server:
        for act in ACTS:
            found = asyncio.run(soak.lag(server, act, within_s=1.0))
            assert found["failed"] == 0, act.__name__
        assert "Traceback" not in server.log, server.log
