"""Requests that leave for an upstream. Real servers on this machine; where names lead is the test's."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from pctx_jupyter.upstream.outbound import Outbound, resolve
from pctx_jupyter.upstream.reach import AddressRefused, Boundary

from .http_peer import Stranger, free_port, serving

Names = dict[str, list[str]]


def client(own: str, names: Names | Callable[[str], list[str]], timeout: float = 5) -> httpx2.AsyncClient:
    """A client of the upstream at `own`, in a world with these names."""

    async def find(host: str, port: int) -> list[str]:
        found = names(host) if callable(names) else names.get(host, [])
        if not found:
            raise OSError("no such name")
        return found

    return httpx2.AsyncClient(transport=Outbound(Boundary(httpx2.URL(own)), find), timeout=timeout)


@pytest.mark.parametrize(
    "host", ["login.example", "127.0.0.1", "localhost", "LOCALHOST.", "a.localhost", "2130706433", "0x7f.1", "[::1]"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_upstream_on_the_internet_reaches_nothing_on_this_machine(host: str, scheme: str) -> None:
    port = free_port()
    canary = Stranger("")

    def names(asked: str) -> list[str]:
        return ["8.8.8.8"] if asked == "wiki.example" else ["::1"] if asked == "::1" else ["127.0.0.1"]

    async with serving(canary, port), client("http://wiki.example/mcp", names) as http:
        with pytest.raises(AddressRefused, match="nothing was sent there"):
            await http.get(f"{scheme}://{host}:{port}/about")
    assert canary.asked == []


async def test_a_name_that_leads_elsewhere_after_it_was_judged_is_not_looked_up_again() -> None:
    port, answers = free_port(), [["127.0.0.1"]]
    server = Stranger("")

    def names(host: str) -> list[str]:
        return answers.pop()  # a second time, there is none

    async with serving(server, port), client(f"http://wiki.example:{port}/mcp", names) as http:
        for _ in range(2):
            assert (await http.get(f"http://wiki.example:{port}/about")).status_code == 200
    assert [asked["host"] for asked in server.headers] == [f"wiki.example:{port}"] * 2


async def test_an_upstream_whose_name_moves_to_this_machine_is_not_followed() -> None:
    port, answers = free_port(), [["8.8.8.8"], ["127.0.0.1"]]
    canary = Stranger("")

    def names(host: str) -> list[str]:
        return answers.pop(0)

    url = f"http://wiki.example:{port}/about"
    async with serving(canary, port), client("http://wiki.example/mcp", names, timeout=0.1) as http:
        with pytest.raises((httpx2.ConnectError, httpx2.ConnectTimeout)):
            await http.get(url)  # nobody is there, so that the name is looked up again
        with pytest.raises(AddressRefused, match="was on the internet and is on this machine now"):
            await http.get(url)
    assert canary.asked == []


async def test_addresses_are_looked_up_again_after_a_while_and_judged_again() -> None:
    port, answers, clock = free_port(), [["127.0.0.1"], ["127.0.0.1"], ["169.254.1.1"]], [0.0]
    server = Stranger("")

    async def find(host: str, port: int) -> list[str]:
        return answers.pop(0)

    own = f"http://wiki.example:{port}/about"
    outbound = Outbound(Boundary(httpx2.URL(own)), find, now=lambda: clock[0])
    async with serving(server, port), httpx2.AsyncClient(transport=outbound) as http:
        await http.get(own)
        clock[0] = 59
        await http.get(own)
        assert len(answers) == 2
        clock[0] = 61
        await http.get(own)
        assert len(answers) == 1
        clock[0] = 130
        with pytest.raises(AddressRefused, match="was on this machine and is at a link-local or reserved address now"):
            await http.get(own)
    assert len(server.asked) == 3


async def test_each_redirect_is_judged_again() -> None:
    port, other = free_port(), free_port()
    own = f"http://127.0.0.1:{port}"
    moved = {"/near": f"http://169.254.169.254:{other}/", "/far": "http://login.example/", "/own": f"{own}/about"}
    server = Stranger(own, moved=moved)
    names: Names = {"127.0.0.1": ["127.0.0.1"], "169.254.169.254": ["169.254.169.254"], "login.example": ["127.0.0.1"]}
    async with serving(server, port), client(f"{own}/mcp", names) as http:
        http.follow_redirects = True
        assert (await http.get(f"{own}/own")).status_code == 200
        for path in ("/near", "/far"):
            with pytest.raises(AddressRefused, match="nothing was sent there"):
                await http.get(own + path)


async def test_a_host_with_several_addresses_is_reached_at_the_one_that_answers() -> None:
    port = free_port()
    server = Stranger("")
    names: Names = {"wiki.example": ["127.0.0.9", "127.0.0.1"]}  # nobody listens at the first
    async with serving(server, port), client(f"http://wiki.example:{port}/", names) as http:
        for _ in range(2):
            assert (await http.post(f"http://wiki.example:{port}/about", json={})).status_code == 200
    assert server.asked == ["POST /about"] * 2


async def test_a_host_that_cannot_be_found_or_reached_is_a_connection_error() -> None:
    names: Names = {"wiki.example": ["127.0.0.1"]}
    async with client("http://wiki.example/mcp", names) as http:
        with pytest.raises(httpx2.ConnectError, match=r"login\.example cannot be found"):
            await http.get("https://login.example/")
        with pytest.raises(httpx2.ConnectError):
            await http.get(f"http://wiki.example:{free_port()}/")


async def test_the_proxy_of_the_environment_is_used_and_what_it_would_reach_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    proxy = Stranger("")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("https_proxy", f"127.0.0.1:{port}")
    names: Names = {"wiki.example": ["8.8.8.8"], "inner.example": ["10.0.0.1"]}
    async with serving(proxy, port), client("http://wiki.example/mcp", names) as http:
        await http.get("http://wiki.example/about")
        assert proxy.headers[0]["host"] == "wiki.example"
        for url in ("https://inner.example/", "https://localhost/", "http://login.example/"):
            with pytest.raises(AddressRefused):
                await http.get(url)
        with pytest.raises(httpx2.ProxyError):  # it lets nobody through, but it is asked
            await http.get("https://login.example/")
        count = len(proxy.asked)
    monkeypatch.setenv("no_proxy", "login.example,127.0.0.0/8")
    near, other = f"http://127.0.0.1:{port}", free_port()
    async with serving(proxy, port), serving(Stranger(""), other), client(near, resolve_here) as http:
        assert (await http.get(f"http://127.0.0.1:{other}/about")).status_code == 200
        assert len(proxy.asked) == count


def resolve_here(host: str) -> list[str]:
    return [host]


async def test_names_are_resolved_as_the_system_does() -> None:
    assert "127.0.0.1" in await resolve("localhost", 80)
    assert await resolve("0x7f.1", 80) == ["127.0.0.1"]
    for name in ("a" * 70 + ".example", "a..b"):
        with pytest.raises(OSError):
            await resolve(name, 80)
