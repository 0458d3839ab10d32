"""Where the words of an upstream may lead: addresses and URLs as text. Pure."""

from __future__ import annotations

import ipaddress

import httpx2
import pytest

from pctx_jupyter.upstream.reach import AddressRefused, Boundary, Reach, reach_of, shown

PLACES = {
    Reach.NOWHERE: [
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "ff02::1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "2001:db8::1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:4136:e378::1",
    ],
    Reach.LOOPBACK: ["127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1"],
    Reach.PRIVATE: [
        "10.1.2.3",
        "172.31.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "198.18.0.5",
        "fd00::1",
        "fec0::1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:a00:1::",
    ],
    Reach.PUBLIC: ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::"],
}


@pytest.mark.parametrize(("reach", "address"), [(reach, one) for reach, found in PLACES.items() for one in found])
def test_an_address_is_as_near_as_the_one_that_it_carries(reach: Reach, address: str) -> None:
    assert reach_of(ipaddress.ip_address(address)) is reach


def boundary(url: str, *addresses: str) -> Boundary:
    found = Boundary(httpx2.URL(url))
    if addresses:
        found.chosen(httpx2.URL(url), addresses)
    return found


FAR = ("https://wiki.example/mcp", "8.8.8.8")
PLAIN = ("http://wiki.example/mcp", "8.8.8.8")
NEAR = ("http://localhost:8000/mcp", "127.0.0.1")
INSIDE = ("http://wiki.corp/mcp", "10.0.0.5")


@pytest.mark.parametrize(
    ("own", "url"),
    [
        (FAR, "https://login.example/token"),
        (FAR, "https://wiki.example:8443/token"),
        (FAR, "https://WIKI.example./token"),
        (PLAIN, "http://wiki.example:8080/token"),
        (PLAIN, "https://login.example/token"),
        (NEAR, "http://localhost:9000/token"),
        (NEAR, "http://127.0.0.1:9000/token"),
        (NEAR, "https://login.example/"),
        (INSIDE, "http://wiki.corp:8080/"),
    ],
)
def test_what_is_encrypted_or_beside_the_upstream_may_be_named(own: tuple[str, str], url: str) -> None:
    boundary(*own).check(httpx2.URL(url))


@pytest.mark.parametrize(
    ("own", "url"),
    [
        (FAR, "http://wiki.example/token"),  # what is encrypted stays so
        (PLAIN, "http://login.example/token"),
        (INSIDE, "http://login.corp/token"),
        (NEAR, "http://login.example/token"),
        (NEAR, "http://10.0.0.1/token"),
        (FAR, "file:///etc/passwd"),
        (FAR, "ftp://login.example/"),
        (FAR, "javascript:alert(1)"),
        (FAR, "data:text/html,x"),
        (FAR, "https:///nowhere"),
        (FAR, "https://wiki.example@login.example/"),
        (FAR, "https://localhost/"),
        (FAR, "https://LOCALHOST.:8888/"),
        (FAR, "https://x.localhost/"),
        (FAR, "https://127.0.0.1/"),
        (FAR, "https://[::1]/"),
        (FAR, "https://[::ffff:127.0.0.1]/"),
        (INSIDE, "https://localhost/"),
        (("https://wiki.example/",), "https://localhost/"),
    ],
)
def test_what_is_plain_elsewhere_or_says_that_it_is_this_machine_is_refused(own: tuple[str, ...], url: str) -> None:
    with pytest.raises(AddressRefused, match=r"it leads to .*; nothing was sent there"):
        boundary(*own).check(httpx2.URL(url))


@pytest.mark.parametrize(
    ("own", "address", "is_fetched"),
    [
        (FAR, "8.8.4.4", True),
        (FAR, "10.0.0.1", False),
        (FAR, "127.0.0.1", False),
        (FAR, "169.254.169.254", False),
        (FAR, "0.0.0.0", False),
        (INSIDE, "8.8.4.4", True),
        (INSIDE, "192.168.7.7", True),
        (INSIDE, "::1", False),
        (NEAR, "8.8.4.4", True),
        (NEAR, "10.0.0.1", True),
        (NEAR, "::1", True),
        (NEAR, "169.254.169.254", False),
        (NEAR, "0.0.0.0", False),
        (("http://169.254.1.1/", "169.254.1.1"), "8.8.4.4", True),
        (("http://169.254.1.1/", "169.254.1.1"), "10.0.0.1", False),
        (("http://169.254.1.1/", "169.254.1.1"), "169.254.169.254", False),
        (("https://wiki.example/",), "10.0.0.1", False),
    ],
)
def test_a_name_leads_no_nearer_to_this_machine_than_the_upstream_is(
    own: tuple[str, ...], address: str, is_fetched: bool
) -> None:
    named = httpx2.URL("https://login.example/token")
    judge = boundary(*own)
    if is_fetched:
        assert judge.chosen(named, [address]) == [address]
        return
    with pytest.raises(AddressRefused, match=r"^it leads to https://login\.example, "):
        judge.chosen(named, [address])


def test_only_the_allowed_addresses_of_a_host_are_used() -> None:
    named = httpx2.URL("https://login.example/")
    assert boundary(*FAR).chosen(named, ["127.0.0.1", "8.8.4.4", "fd00::1"]) == ["8.8.4.4"]


def test_an_upstream_that_resolves_to_two_networks_is_taken_to_be_in_the_farther_one() -> None:
    url = "http://wiki.example/mcp"
    judge = boundary(url, "127.0.0.1", "8.8.8.8")
    assert judge.own is Reach.PUBLIC
    assert judge.chosen(httpx2.URL(url), ["127.0.0.1", "8.8.8.8"]) == ["8.8.8.8"]


@pytest.mark.parametrize("now", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"])
def test_an_upstream_whose_name_leads_nearer_than_at_first_is_refused(now: str) -> None:
    url = httpx2.URL("http://wiki.example:8080/token")
    with pytest.raises(AddressRefused, match=r"wiki\.example:8080 was on the internet and is .* now"):
        boundary("http://wiki.example/mcp", "8.8.8.8").chosen(url, [now])


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://user:pass@wiki.example/path?key=k", "https://wiki.example"),
        ("https://bücher.example:8443/", "https://xn--bcher-kva.example:8443"),
        ("https://раypal.example/", "https://xn--ypal-43d9g.example"),
        ("https://[::1]:80/", "https://[::1]:80"),
    ],
)
def test_a_host_is_shown_in_ascii_and_without_what_may_be_secret(url: str, said: str) -> None:
    assert shown(httpx2.URL(url)) == said
