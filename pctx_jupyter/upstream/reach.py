"""Where the words of an upstream may lead: which addresses it may name, by their text and by the network they are in.

A person names the URL of an upstream. Whatever else is fetched for it, such as what a sign-in needs, a stranger names.
Such an address is ``https``, or on the upstream's own host, and it is no nearer to this machine than the upstream
itself. An upstream on the internet leads to the internet only. One in a private network leads to private networks and
the internet. One on this machine leads to all of them. Link-local, multicast, unspecified and reserved addresses are
never fetched.

This module resolves no name and opens no connection; `outbound` does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from enum import IntEnum

import httpx2

from .. import errors, visible

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"http": 80, "https": 443}
"""The port of a URL that names none, by scheme."""

_PRIVATE = tuple(
    ipaddress.ip_network(network)
    # RFC 1918, RFC 6598 (carriers, overlay networks), RFC 2544 (proxies that invent addresses), RFC 4193, RFC 3879.
    for network in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "198.18.0.0/15",
        "fc00::/7",
        "fec0::/10",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses as networks without IPv4 reach them (RFC 6052)."""


class Reach(IntEnum):
    """How far from this machine an address is."""

    NOWHERE = 0
    """Link-local, multicast, unspecified, reserved, or set aside for documents."""
    LOOPBACK = 1
    PRIVATE = 2
    PUBLIC = 3

    @property
    def shown(self) -> str:
        """In words."""
        return _WORDS[self]


_WORDS = {
    Reach.NOWHERE: "at a link-local or reserved address",
    Reach.LOOPBACK: "on this machine",
    Reach.PRIVATE: "in a private network",
    Reach.PUBLIC: "on the internet",
}


class AddressRefused(errors.PctxError):
    """An upstream led to an address that it may not lead to; nothing was sent there."""


def reach_of(address: Ip) -> Reach:
    """How far from this machine an address is; of one that carries an IPv4 address, that one counts."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return reach_of(address.ipv4_mapped)
        carried = address.sixtofour
        if address in _NAT64:
            carried = ipaddress.IPv4Address(address.packed[-4:])
        if carried is not None:
            inner = reach_of(carried)
            return inner if inner >= Reach.PRIVATE else Reach.NOWHERE
    if address.is_loopback:
        return Reach.LOOPBACK
    if address.is_multicast or address.is_unspecified or address.is_reserved or address.is_link_local:
        return Reach.NOWHERE
    if any(address in network for network in _PRIVATE):
        return Reach.PRIVATE
    return Reach.PUBLIC if address.is_global else Reach.NOWHERE


class Boundary:
    """What one connection to an upstream may fetch.

    Args:
        url: The upstream's URL, which a person named.

    Attributes:
        own: How far from here the upstream is; None until its name was resolved.
    """

    def __init__(self, url: httpx2.URL) -> None:
        self.url, self.host = url, host_of(url)
        self.own: Reach | None = None

    def is_own(self, url: httpx2.URL) -> bool:
        """Whether a URL is on the upstream's host, at any port."""
        return host_of(url) == self.host

    def is_own_origin(self, url: httpx2.URL) -> bool:
        """Whether a URL is on the upstream's host and port, by the same scheme."""
        return self.is_own(url) and (url.scheme, port_of(url)) == (self.url.scheme, port_of(self.url))

    def check(self, url: httpx2.URL) -> None:
        """Judge a URL by its text; raises `AddressRefused`. What its host resolves to is judged by `chosen`."""
        if self.is_own_origin(url):
            return
        where = shown(url)
        if url.scheme not in PORTS or not url.host:
            raise AddressRefused(f"it leads to {where}, and only http and https are fetched; nothing was sent there")
        if url.userinfo:
            raise AddressRefused(f"it leads to {where} with a name or password in the address; nothing was sent there")
        is_loopback = _is_loopback(host_of(url))
        if url.scheme == "http":
            is_beside = self.is_own(url) or (is_loopback and self.own is Reach.LOOPBACK)
            if not is_beside or self.url.scheme != "http":
                raise AddressRefused(
                    f"it leads to {where}, which is not https{'' if is_beside else ' and not on its own host'}; "
                    "nothing was sent there"
                )
        if is_loopback and not self.is_own(url):
            self._demand(where, Reach.LOOPBACK)

    def chosen(self, url: httpx2.URL, addresses: Iterable[str]) -> list[str]:
        """Those of a host's addresses that may be connected to; raises `AddressRefused` when there is none.

        The upstream's own host is where it is when it is first resolved. A name that leads elsewhere later may not
        lead nearer to this machine.
        """
        reaches = {address: reach_of(ipaddress.ip_address(address)) for address in addresses}
        if not self.is_own(url):
            least = self._least
            found = [address for address, reach in reaches.items() if reach >= least]
            if not found:
                self._demand(shown(url), max(reaches.values(), default=Reach.NOWHERE))
            return found
        if self.own is None:
            self.own = max(reaches.values())
        own = self.own
        found = [address for address, reach in reaches.items() if reach is own or reach > max(own, Reach.LOOPBACK)]
        if not found:
            now = max(reaches.values())
            raise AddressRefused(f"{shown(url)} was {own.shown} and is {now.shown} now; nothing was sent there")
        return found

    @property
    def _least(self) -> Reach:
        """How near to this machine the upstream may lead."""
        return self.own or Reach.PUBLIC

    def _demand(self, where: str, reach: Reach) -> None:
        if reach < self._least:
            itself = f", and it is itself {self.own.shown}" if self.own is not None else ""
            raise AddressRefused(f"it leads to {where}, {reach.shown}{itself}; nothing was sent there")


def host_of(url: httpx2.URL) -> str:
    """The host in ASCII, in lower case, without a dot at its end."""
    return url.raw_host.decode("ascii").lower().rstrip(".")


def port_of(url: httpx2.URL) -> int | None:
    """The port, also of a URL that names none."""
    return url.port or PORTS.get(url.scheme)


def shown(url: httpx2.URL) -> str:
    """Scheme, host and port for people: ASCII, and nothing of what may be secret or disguise the host."""
    return visible.line(f"{url.scheme}://{shown_host(url)}", 300)


def shown_host(url: httpx2.URL) -> str:
    """Host and port for people: in ASCII, so that no letter looks like another."""
    host = url.raw_host.decode("ascii")
    named = f"[{host}]" if ":" in host else host
    return visible.line(named if url.port is None else f"{named}:{url.port}", 300)


def _is_loopback(host: str) -> bool:
    """Whether a host says by its text that it is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return reach_of(ipaddress.ip_address(host)) is Reach.LOOPBACK
    except ValueError:
        return False
