"""How requests leave for an upstream, and for whatever it names: each is judged first, then sent where it was judged.

A host is resolved here, its addresses are judged (`reach`), and the connection is made to one of those: a name that
leads elsewhere a moment later changes nothing. This is below the SDK and its sign-in, so that redirects, too, pass
here one by one. It knows nothing of MCP.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import httpx2

from .reach import Boundary, port_of

NEXT_S = 2.0
"""Seconds an address may take to accept a connection while its host has another one."""

PINNED_S = 60.0
"""Seconds for which the addresses of a host are used; then they are looked up, and judged, again."""

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Gives the addresses of a host; raises `OSError` when there is none."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system knows them."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("no such name") from None
    return list(dict.fromkeys(str(address[4][0]) for address in found))


@dataclass(slots=True)
class _Pin:
    """The judged addresses of a host, the one that answered last first, and when they are looked up again."""

    addresses: list[str]
    until: float


class Outbound(httpx2.AsyncBaseTransport):
    """Sends the requests of one connection to an upstream.

    Proxies are those of the environment. Through one, the proxy resolves names and decides where it connects; a host
    that has an address here is still judged by it.

    Args:
        boundary: What may be fetched.
        find: Gives the addresses of a host.
        now: The time, in seconds.
    """

    def __init__(self, boundary: Boundary, find: Resolve = resolve, now: Callable[[], float] = time.monotonic) -> None:
        self._boundary, self._find, self._now = boundary, find, now
        self._pins: dict[str, _Pin] = {}
        self._inner: dict[str, httpx2.AsyncHTTPTransport] = {}
        self._trusted: ssl.SSLContext | None = None

    async def judge(self, url: httpx2.URL) -> None:
        """Judge a URL that another program will open, such as a person's browser; raises `AddressRefused`."""
        await self._know_own()
        self._boundary.check(url)
        with suppress(OSError):
            self._boundary.chosen(url, await self._addresses(url))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        proxy = _proxy_for(url)
        if proxy is not None:
            if not self._boundary.is_own_origin(url):  # and a network with a proxy may have no names of its own
                await self.judge(url)
            return await self._via(proxy, proxy).handle_async_request(request)
        await self._know_own()
        self._boundary.check(url)
        host = _host(url)
        pin = self._pins.get(host)
        if pin is None or self._now() >= pin.until:
            try:
                await self._pin(url)
            except OSError:
                if host not in self._pins:
                    raise httpx2.ConnectError(f"{host} cannot be found") from None
        return await self._send(request, host)

    async def _send(self, request: httpx2.Request, host: str) -> httpx2.Response:
        """Send a request to the first of the judged addresses that accepts a connection."""
        pin = self._pins[host]
        addresses = pin.addresses
        failed: httpx2.TransportError | None = None
        for address in list(addresses):
            extensions = dict(request.extensions)
            if address != addresses[-1]:
                limits = dict(extensions.get("timeout", {}))
                extensions["timeout"] = limits | {"connect": min(limits.get("connect") or NEXT_S, NEXT_S)}
            pinned = httpx2.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions=extensions | {"sni_hostname": host},
            )
            try:
                # A connection of one host serves no other, though both may have the same address.
                response = await self._via(host, None).handle_async_request(pinned)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failed = error
                continue
            pin.addresses = [address, *(one for one in addresses if one != address)]
            return response
        self._pins.pop(host, None)  # where it is now, the next request finds out
        assert failed is not None, "a host has at least one address"
        raise failed

    async def _know_own(self) -> None:
        """Find out where the upstream itself is, which decides where it may lead."""
        if self._boundary.own is None:
            own = self._boundary.url
            with suppress(OSError):
                await self._pin(own)

    async def _pin(self, url: httpx2.URL) -> None:
        """Look a host up and judge it; from then on only these addresses are connected to."""
        found = self._boundary.chosen(url, await self._addresses(url))
        self._pins[_host(url)] = _Pin(found, self._now() + PINNED_S)

    async def _addresses(self, url: httpx2.URL) -> list[str]:
        found = await self._find(_host(url), port_of(url) or 0)
        if not found:
            raise OSError("no address")
        return found

    def _via(self, key: str, proxy: str | None) -> httpx2.AsyncHTTPTransport:
        if (known := self._inner.get(key)) is None:
            if self._trusted is None:
                self._trusted = httpx2.create_ssl_context()
            known = self._inner[key] = httpx2.AsyncHTTPTransport(verify=self._trusted, proxy=proxy)
        return known

    async def aclose(self) -> None:
        for transport in self._inner.values():
            await transport.aclose()


def _proxy_for(url: httpx2.URL) -> str | None:
    """The proxy that the environment names for a URL."""
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    host = _host(url)
    if not proxy or proxy_bypass(f"{host}:{port_of(url)}") or proxy_bypass(host):
        return None
    with suppress(ValueError):  # a name is in no network
        address = ipaddress.ip_address(host)
        for entry in proxies.get("no", "").split(","):
            with suppress(ValueError):
                if address in ipaddress.ip_network(entry.strip(), strict=False):
                    return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _host(url: httpx2.URL) -> str:
    """The host as it is looked up."""
    return url.raw_host.decode("ascii")
