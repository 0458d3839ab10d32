"""Signing in to upstreams that name addresses of their own choice. Real servers; the browser is a client."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pctx_jupyter import errors
from pctx_jupyter.session.upstreams import SignIn

from .conftest import OpenWorld, World
from .http_peer import Authority, Stranger, browse, free_port, make_server, serving

BACK = "http://127.0.0.1:1/callback"


async def refused(world: World) -> str:
    """Why a sign-in to ``it`` fails."""
    await world.until_state("it", "needs sign-in")
    with pytest.raises(errors.CannotConnect) as raised:
        await world.upstreams.sign_in("it", BACK)
    return raised.value.message


@pytest.mark.parametrize(
    "hostile",
    [
        {"metadata": "{canary}/about"},
        {"metadata": "http://localhost:{port}/about"},
        {"metadata": "http://169.254.169.254/latest/meta-data"},
        {"metadata": "https://169.254.169.254/latest/meta-data"},
        {"metadata": "https://[fe80::1]/about"},
        {"metadata": "https://0.0.0.0:{port}/about"},
        {"metadata": "https://2851995648/about"},
        {"metadata": "http://login.example/about"},
        {"metadata": "file:///etc/passwd"},
        {"metadata": "http://["},
        {"resource": {"authorization_servers": ["http://169.254.169.254/"]}},
        {"resource": {"authorization_servers": ["https://169.254.169.254/"]}},
        {"resource": {"authorization_servers": ["http://login.example/"]}},
        {"issuer": {"registration_endpoint": "https://169.254.169.254/"}},
        {"issuer": {"registration_endpoint": "http://login.example/"}},
        {"issuer": {"token_endpoint": "https://169.254.169.254/"}},
        {"issuer": {"token_endpoint": "http://0251.0376.0251.0376/"}},
        {"issuer": {"token_endpoint": "http://login.example/token"}},
        {"issuer": {"authorization_endpoint": "https://169.254.169.254/"}},
        {"issuer": {"authorization_endpoint": "http://login.example/"}},
        {"issuer": {"authorization_endpoint": "https://wiki.example@login.example/"}},
    ],
    ids=lambda hostile: json.dumps(hostile),
)
async def test_a_sign_in_that_leads_where_it_may_not_ends_before_anything_is_sent_there(
    open_world: OpenWorld, hostile: dict[str, Any]
) -> None:
    port, other = free_port(), free_port()
    own, canary = f"http://127.0.0.1:{port}", Stranger("")
    told = json.loads(
        json.dumps(hostile).replace("{canary}", f"http://127.0.0.1:{other}").replace("{port}", str(other))
    )
    server = Stranger(own, **told)
    async with serving(server, port), serving(canary, other), open_world({"name": "it", "url": f"{own}/mcp"}) as world:
        message = await refused(world)
        assert message.startswith("Cannot sign in to it: it ")
        assert "nothing was sent there" in message
        assert canary.asked == []
        await world.until_state("it", "needs sign-in")


async def test_an_upstream_elsewhere_in_the_network_cannot_lead_to_this_machine(open_world: OpenWorld) -> None:
    port, other, host = free_port(), free_port(), _own_address()
    shown = f"[{host}]" if ":" in host else host
    own, canary = f"http://{shown}:{port}", Stranger("")
    server = Stranger(own, metadata=f"http://127.0.0.1:{other}/about")
    entry = {"name": "it", "url": f"{own}/mcp"}
    async with serving(server, port, host), serving(canary, other), open_world(entry) as world:
        assert f"http://127.0.0.1:{other}" in await refused(world)
        assert canary.asked == []


def _own_address() -> str:
    """An address of this machine that others can reach; where there is none, the test has nothing to ask."""
    for family, far in ((socket.AF_INET, "192.0.2.77"), (socket.AF_INET6, "2001:db8::77")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect((far, 9))  # sends nothing
            address: str = one.getsockname()[0]
            if not address.startswith(("127.", "0.", "::")):
                return address
    pytest.skip("this machine is in no network")


async def test_redirects_of_what_a_sign_in_needs_lead_nowhere_else(open_world: OpenWorld) -> None:
    port, other = free_port(), free_port()
    own, canary = f"http://127.0.0.1:{port}", Stranger("")
    far = f"http://127.0.0.1:{other}"
    well_known = "/.well-known/oauth-protected-resource"
    moved = {"/about": f"{far}/about", "/token": f"{far}/token"} | {
        f"{well_known}{path}": f"{far}/about" for path in ("", "/mcp")
    }
    server = Stranger(own, metadata=f"{own}/about", moved=moved)
    async with serving(server, port), serving(canary, other), open_world({"name": "it", "url": f"{own}/mcp"}) as world:
        await world.until_state("it", "needs sign-in")
        page = await world.upstreams.sign_in("it", BACK)
        state = parse_qs(urlsplit(page.url).query)["state"][0]
        await world.upstreams.finish_sign_in(f"{BACK}?code=c&state={state}")
        assert "POST /token" in server.asked
        assert canary.asked == []


async def test_nothing_is_looked_up_for_a_sign_in_that_nobody_has_begun(open_world: OpenWorld) -> None:
    port, authority = free_port(), Authority()
    url = f"http://127.0.0.1:{port}"
    async with open_world({"name": "it", "url": f"{url}/mcp"}) as world:
        async with serving(make_server(authority, url).streamable_http_app(), port):
            await world.until_state("it", "needs sign-in")
            await world.upstreams.finish_sign_in(await browse((await world.upstreams.sign_in("it", BACK)).url))
            await world.until_state("it")
        server = Stranger(url, metadata=f"{url}/about")  # it takes the token no more
        async with serving(server, port):
            world.upstreams.reconnect("it")
            await world.until_state("it", "needs sign-in")
        assert set(server.asked) <= {"POST /mcp", "GET /mcp", "DELETE /mcp"}


async def test_the_host_is_known_before_the_browser_opens_the_page(open_world: OpenWorld) -> None:
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    issuer = {
        "authorization_endpoint": "https://аccounts.example/o?state=theirs&x=",  # its first letter is Cyrillic
        "token_endpoint": "https://login.example:8443/token",
    }
    async with serving(Stranger(own, issuer=issuer), port), open_world({"name": "it", "url": f"{own}/mcp"}) as world:
        await world.until_state("it", "needs sign-in")
        page = await world.upstreams.sign_in("it", BACK)
        assert (page.host, page.gets_code) == ("xn--ccounts-1fg.example", "login.example:8443")
        assert page.url.startswith("https://xn--ccounts-1fg.example/o")
        assert page.question == "Sign in at xn--ccounts-1fg.example; its answer is given to login.example:8443"
        with pytest.raises(errors.InvalidParams, match="belongs to no sign-in"):
            await world.upstreams.finish_sign_in(f"{BACK}?code=c&state=theirs")
    assert SignIn("https://a.example/", "a.example").question == "Sign in at a.example"


async def test_secrets_of_the_configuration_go_to_the_upstream_and_not_to_its_authorization_server(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, other = free_port(), free_port()
    own, far = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{other}"
    monkeypatch.setenv("PCTX_TEST_KEY", "canary-key")
    issuer = Stranger(far)
    server = Stranger(own, resource={"authorization_servers": [f"{far}/"]})
    entry = {
        "name": "it",
        "url": f"http://canary-user:canary-pass@127.0.0.1:{port}/mcp?key=${{env:PCTX_TEST_KEY}}",
        "headers": {"X-Key": "${env:PCTX_TEST_KEY}"},
    }
    async with serving(server, port), serving(issuer, other), open_world(entry) as world:
        await world.until_state("it", "needs sign-in")
        page = await world.upstreams.sign_in("it", BACK)
        asked = parse_qs(urlsplit(page.url).query)
        assert asked["resource"] == [f"{own}/mcp"] and "canary" not in page.url
        await world.upstreams.finish_sign_in(f"{BACK}?code=c&state={asked['state'][0]}")
    assert any(one.get("x-key") == "canary-key" for one in server.headers)
    assert issuer.asked and "POST /token" in issuer.asked
    assert "canary" not in repr(issuer.headers)


async def test_the_address_for_messages_of_the_older_transport_must_be_the_upstreams_own(open_world: OpenWorld) -> None:
    port, other = free_port(), free_port()
    canary = Stranger("")

    async def events(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        named = f"event: endpoint\ndata: http://127.0.0.1:{other}/messages\n\n".encode()
        await send({"type": "http.response.body", "body": named, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                while (await receive())["type"] != "http.disconnect":
                    pass

    entry = {"name": "it", "type": "sse", "url": f"http://127.0.0.1:{port}/sse", "connect_timeout_s": 1}
    async with serving(events, port), serving(canary, other), open_world(entry) as world:
        await world.until_state("it", "down")
    assert canary.asked == []


async def test_a_sign_in_of_another_process_is_used_without_being_asked_for(open_world: OpenWorld) -> None:
    port, authority = free_port(), Authority()
    url = f"http://127.0.0.1:{port}"
    entry = {"name": "it", "url": f"{url}/mcp"}
    async with (
        serving(make_server(authority, url).streamable_http_app(), port),
        open_world(entry) as one,
        open_world(entry) as other,
    ):
        await one.until_state("it", "needs sign-in")
        await other.until_state("it", "needs sign-in")
        await one.upstreams.finish_sign_in(await browse((await one.upstreams.sign_in("it", BACK)).url))
        await other.until_state("it")
        assert len(authority.clients) == 1


@pytest.mark.parametrize("token", ["canary-é", "canary\r\nX-Other: 1", "canary\0"])
async def test_a_token_that_no_header_can_hold_is_no_sign_in(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    server = Stranger(own)
    server.token = token
    async with serving(server, port), open_world({"name": "it", "url": f"{own}/mcp"}) as world:
        await world.until_state("it", "needs sign-in")
        page = await world.upstreams.sign_in("it", BACK)
        state = parse_qs(urlsplit(page.url).query)["state"][0]
        view = await world.upstreams.finish_sign_in(f"{BACK}?code=c&state={state}")
        assert (view.state, view.error) == ("needs sign-in", "it needs a sign-in")
    assert "canary" not in caplog.text and "next attempt" not in caplog.text
    assert all("canary" not in repr(headers) for headers in server.headers)
