"""How a server and its kernels find each other: names of environment variables, and of a header."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from .. import errors

URL = "PCTX_JUPYTER_URL"
"""The environment variable with the address of the server that started a kernel: ``http://host:port/base/url/``."""

TOKEN = "PCTX_JUPYTER_TOKEN"
"""The environment variable with a kernel's own token. It opens what `session.access` says, and nothing else."""

PIPE = "PCTX_JUPYTER_PIPE"
"""The environment variable with the path of the server's Unix socket; empty when there is none."""

GATEWAY_URL, GATEWAY_TOKEN = f"KERNEL_{URL}", f"KERNEL_{TOKEN}"
"""The same two for a kernel that a gateway starts: gateways pass on variables whose names begin with ``KERNEL_``. They
count before the others, which would name the gateway."""

BEHIND_GATEWAY = "KERNEL_GATEWAY"
"""The environment variable that gateways set for their kernels."""

TOKEN_HEADER = "X-Pctx-Token"
"""The request header that carries a kernel's token."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""The hosts in URLs that lead to a server on one's own machine."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def expand_url(template: str, port: int, base_url: str) -> str:
    """Return the address that a template of ``c.Pctx.kernel_url`` stands for.

    Args:
        template: An HTTP URL; ``{port}`` and ``{base_url}`` in it are replaced.
        port: The server's.
        base_url: The server's, with a slash at both ends.

    Raises:
        InvalidParams: It is no such template.
    """
    values = {"port": str(port), "base_url": base_url}
    unknown = [name for name in _PLACEHOLDER.findall(template) if name not in values]
    url = _PLACEHOLDER.sub(lambda found: values.get(found[1], ""), template)
    url = re.sub("(?<!:)//+", "/", url)  # as of {port}/{base_url}: no server has such a path
    if unknown or not is_address(url):
        raise errors.InvalidParams(
            f"Cannot use {template!r} as address: it must be an HTTP URL such as "
            "'http://10.0.0.5:{port}{base_url}', without other placeholders, user, password, query or fragment"
        )
    return url


def is_address(url: str) -> bool:
    """Whether a text is an HTTP URL of a server, without placeholders, user, password, query and fragment."""
    if re.fullmatch(r"https?://[^\s/?#{}@]+(/[^\s?#{}]*)?", url) is None:
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # its port is no number, or too large
        return False


def without_secrets(url: str) -> str:
    """Return a URL without user, password, query and fragment; nothing, where it cannot be read."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # which may be no number
    except ValueError:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
