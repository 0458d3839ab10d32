"""The state of MCP servers in words. Nothing but text."""

from __future__ import annotations

from typing import Any

import pytest

from pctx_jupyter.session.upstreams import Upstream, missing_in_words, state_in_words


def server(**more: Any) -> Upstream:
    return Upstream(**{"name": "my wiki", "namespace": "MyWiki", "transport": "stdio", "where": "wiki"} | more)


@pytest.mark.parametrize(
    ("known", "words", "missing"),
    [
        ({"state": "ready"}, "ready", "MyWiki is the MCP server my wiki: ready"),
        ({"state": "ready", "tools": 1}, "ready; 1 tool as MyWiki", None),
        (
            {"state": "ready", "tools": 1200, "withheld": ["a", "b"]},
            (
                "ready; 1,200 tools as MyWiki; "
                "2 tools withheld, changed since approved: jupyter pctx mcp approve 'my wiki'"
            ),
            None,
        ),
        ({"state": "connecting"}, "connecting", "MyWiki is an MCP server that is connecting"),
        ({"state": "connecting", "error": "it ended"}, "connecting; before that: it ended", None),
        (
            {"state": "down", "error": "it ended with status 1: ValueError: no key", "retry_s": 250},
            "down: it ended with status 1: ValueError: no key (the next attempt is in 4 min)",
            (
                "MyWiki is an MCP server that is down: it ended with status 1: ValueError: no key "
                "(the next attempt is in 4 min)"
            ),
        ),
        ({"state": "down", "retry_s": 2}, "down (the next attempt is in 2 s)", None),
        ({"state": "needs sign-in"}, "needs sign-in: jupyter pctx mcp sign-in 'my wiki'", None),
        (
            {"state": "untrusted", "source": "pctx.json"},
            "untrusted: pctx.json names it; jupyter pctx mcp trust 'my wiki'",
            "my wiki is in pctx.json and not trusted: jupyter pctx mcp trust 'my wiki'",
        ),
    ],
)
def test_a_state_is_said_with_its_reason_and_the_way_out(
    known: dict[str, Any], words: str, missing: str | None
) -> None:
    assert state_in_words(server(**known)) == words
    if missing is not None:
        assert missing_in_words(server(**known)) == missing


def test_in_a_notebook_the_way_out_is_a_magic() -> None:
    assert state_in_words(server(state="needs sign-in"), "%pctx") == "needs sign-in: %pctx mcp sign-in 'my wiki'"
