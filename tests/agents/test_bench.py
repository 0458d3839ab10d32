"""The agents' benchmark in short: the recorded conversations against the real endpoint and real MCP servers."""

from __future__ import annotations

from benchmarks import agents


async def test_nine_tasks_are_answered_rightly_after_little_discovery() -> None:
    found, done = await agents.here()
    assert len(done) == len(agents.plain_calls()) == 9
    assert agents.losses(done) == []
    assert found.tokens <= agents.MOST_DISCOVERY
    assert sum(tally.tokens for tally in done) < 3_000
