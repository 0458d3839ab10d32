"""What a model pays for reading of 200 tools: the benchmark's own table, whose goals have to be met."""

from __future__ import annotations

import pytest

from benchmarks import tokens


async def test_every_goal_of_the_token_economy_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "counter", lambda: (tokens.estimate, "estimated"))  # the same figures everywhere
    rows = await tokens.rows()
    assert len(rows) == 4
    assert [str(row) for row in rows if not row.is_met] == []


@pytest.mark.parametrize(("fields", "known"), [((), 0), (("outputSchema",), 1)])
def test_the_estimate_is_close_to_what_is_known(fields: tuple[str, ...], known: int) -> None:
    assert tokens.estimate(tokens.as_mcp_lists(tokens.tools(), *fields)) == pytest.approx(
        tokens.TRUE_COUNTS[known], rel=0.03
    )
