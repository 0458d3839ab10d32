"""Configurations, as text. Pure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pctx_jupyter import errors
from pctx_jupyter.upstream import config
from pctx_jupyter.upstream.config import Address, CommandLine, OAuth
from pctx_jupyter.upstream.secrets import SecretText


def parsed(value: object) -> config.Parsed:
    return config.parse(json.dumps(value).encode(), "pctx.json")


def only(entry: dict[str, Any]) -> config.ServerConfig:
    (server,) = parsed({"servers": [{"name": "it", **entry}]}).servers
    return server


def test_servers_of_pctx_are_commands_and_addresses() -> None:
    found = parsed(
        {
            "name": "mine",
            "version": "0.1.0",
            "servers": [
                {"name": "local_tools", "command": "node", "args": ["./server.js"], "env": {"A": "1"}},
                {
                    "name": "wiki",
                    "url": "https://wiki.example.com/mcp",
                    "auth": {"type": "bearer", "token": "${env:W}"},
                },
            ],
        }
    )
    assert found.problems == ()
    local, wiki = found.servers
    assert local.way == CommandLine("node", ("./server.js",), {"A": SecretText("1")})
    assert local.namespace == "LocalTools"
    assert wiki.way == Address(
        SecretText("https://wiki.example.com/mcp"), "http", {"Authorization": SecretText("Bearer ${env:W}")}, None
    )


def test_a_command_line_without_args_is_read_as_a_shell_would() -> None:
    assert only({"command": "npx -y 'a server'"}).way == CommandLine("npx", ("-y", "a server"))
    assert only({"command": "/opt/my server", "args": []}).way == CommandLine("/opt/my server")


def test_servers_of_other_clients_are_read() -> None:
    found = parsed(
        {
            "mcpServers": {
                "time": {"command": "mcp-server-time", "args": ["--local-timezone", "UTC"]},
                "old": {"type": "sse", "url": "https://old.example.com/sse", "headers": {"X-Key": "k"}},
                "off": {"command": "off", "disabled": True},
            }
        }
    )
    time, old = found.servers
    assert time.way == CommandLine("mcp-server-time", ("--local-timezone", "UTC"))
    assert old.way == Address(SecretText("https://old.example.com/sse"), "sse", {"X-Key": SecretText("k")}, OAuth())


def test_servers_of_jupyter_ai_are_read() -> None:
    headers = [{"name": "Authorization", "value": "Bearer t"}]
    found = parsed(
        {"mcp_servers": [{"type": "http", "name": "hub", "url": "http://127.0.0.1:9/mcp", "headers": headers}]}
    )
    (hub,) = found.servers
    assert isinstance(hub.way, Address)
    assert hub.way.headers == {"Authorization": SecretText("Bearer t")} and hub.way.oauth is None


def test_a_server_to_sign_in_to_may_know_its_client() -> None:
    auth = {"type": "oauth", "client_id": "c", "client_secret": "${env:S}", "scope": "a b"}
    way = only({"url": "https://x.example.com", "auth": auth}).way
    assert isinstance(way, Address) and way.oauth == OAuth("c", SecretText("${env:S}"), "a b")


def test_one_entry_that_cannot_be_used_does_not_lose_the_others() -> None:
    found = parsed({"servers": [{"name": "bad", "url": "ftp://x"}, 7, {"name": "good", "command": "x"}]})
    assert [server.name for server in found.servers] == ["good"]
    assert found.problems[0].startswith("pctx.json, servers[0]: url is invalid")
    assert len(found.problems) == 2


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({}, "needs a url or a command"),
        ({"command": " "}, "needs a url or a command"),
        ({"command": "a 'b"}, "command cannot be read"),
        ({"command": "a", "args": "b"}, "args must be a list"),
        ({"command": "a", "args": ["--key", "${keychain:KEY}"]}, "must not refer to secrets"),
        ({"command": "a", "args": ["b\0c"]}, "NUL"),
        ({"command": "a", "env": {"A=B": "c"}}, "no environment variable"),
        ({"command": "a", "env": ["A"]}, "env must be an object of texts"),
        ({"command": "a", "cwd": 5}, "cwd must be a text"),
        ({"url": "javascript:alert(1)"}, "url is invalid"),
        ({"url": "file:///etc/passwd"}, "url is invalid"),
        ({"url": "http://"}, "url is invalid"),
        ({"url": "http://a b"}, "url is invalid"),
        ({"url": "http://[::1"}, "url is invalid"),
        ({"url": "http://a", "type": "carrier pigeon"}, "must be http or sse"),
        ({"url": "http://a", "auth": {"type": "basic"}}, "auth must be"),
        ({"url": "http://a", "auth": {"type": "bearer", "token": "a\r\nX: b"}}, "cannot be sent"),
        ({"url": "http://a", "headers": {"a b": "c"}}, "cannot be sent: its name is no header's"),
        ({"url": "http://a", "headers": {"Content-Length": "5"}}, "the connection sets it itself"),
        ({"url": "http://a", "headers": {"transfer-encoding": "chunked"}}, "the connection sets it itself"),
        ({"url": "http://a:65536/"}, "url is invalid"),
        ({"url": "http://ex\u202eample/"}, "url is invalid"),
        ({"command": "a", "cwd": "b\0c"}, "cwd must be a text without NUL"),
        ({"url": "http://a", "call_timeout_s": 0}, "call_timeout_s must be"),
        ({"url": "http://a", "connect_timeout_s": True}, "connect_timeout_s must be"),
        ({"name": "a\nb", "command": "a"}, "control character"),
        ({"name": "console", "command": "a"}, "already has a meaning"),
        ({"name": None, "command": "a"}, "name is missing"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(entry: dict[str, Any], why: str) -> None:
    with pytest.raises(errors.InvalidParams, match=why):
        config.server_of({"name": "it", **entry})


def test_two_servers_with_one_namespace_are_not_mixed() -> None:
    found = parsed({"servers": [{"name": "my-wiki", "command": "a"}, {"name": "my wiki", "command": "b"}]})
    assert [server.name for server in found.servers] == ["my-wiki"]
    assert "its namespace is MyWiki, and so is that of 'my-wiki'" in found.problems[0]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_configuration_is_refused_as_a_whole(text: bytes) -> None:
    with pytest.raises(errors.InvalidParams, match=r"Cannot read pctx\.json"):
        config.parse(text, "pctx.json")


def test_an_entry_is_added_and_removed_and_the_rest_stays() -> None:
    before = b'{"name": "mine", "logger": {"level": "info"}, "servers": [{"name": "a", "command": "x"}]}'
    added = config.with_entry(before, {"name": "b", "url": "http://b"}, "pctx.json")
    assert json.loads(added) == {
        "name": "mine",
        "logger": {"level": "info"},
        "servers": [{"name": "a", "command": "x"}, {"name": "b", "url": "http://b"}],
    }
    removed = config.without_entry(added, "b", "pctx.json")
    assert removed is not None and json.loads(removed) == json.loads(before)
    assert config.without_entry(removed, "b", "pctx.json") is None


def test_an_entry_is_removed_from_another_clients_file() -> None:
    left = config.without_entry(b'{"mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}}}', "a", "x.json")
    assert left is not None and json.loads(left) == {"mcpServers": {"b": {"command": "y"}}}


def test_what_is_shown_of_an_address_holds_no_secret() -> None:
    way = only({"url": "https://user:pass@x.example.com/mcp?key=s3cr3t#f"}).way
    assert way.shown == "https://x.example.com/mcp"
    assert "s3cr3t" not in repr(way) and "pass" not in repr(way)


def test_what_a_header_refers_to_may_have_a_name_that_no_header_could_hold() -> None:
    way = only({"url": "https://x.example.com", "headers": {"X-Key": "${keychain:Schlüssel}"}}).way
    assert isinstance(way, Address) and way.headers["X-Key"].written == "${keychain:Schlüssel}"


def test_a_host_is_shown_in_ascii() -> None:
    assert only({"url": "https://wікі.example:8443/mcp"}).way.shown == "https://xn--w-ttb7fb.example:8443/mcp"


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"headers": {"X-Key": "clé"}}, r"the header X-Key of it cannot be sent: .* not ASCII \(character 3\)"),
        ({"headers": {"X-Key": "${env:K}\x7f"}}, "line break or control character"),
        ({"auth": {"type": "bearer", "token": "ключ"}}, "the header Authorization of it .* not ASCII"),
    ],
)
def test_who_adds_a_server_learns_at_once_that_a_header_cannot_be_sent(entry: dict[str, Any], why: str) -> None:
    with pytest.raises(errors.InvalidParams, match=why) as refused:
        config.check_sendable(only({"url": "https://x.example.com", **entry}))
    assert "clé" not in refused.value.message and "ключ" not in refused.value.message


def test_who_adds_a_server_may_refer_to_what_no_header_could_hold() -> None:
    config.check_sendable(only({"url": "https://x.example.com", "headers": {"X-Key": "${keychain:Schlüssel}"}}))
