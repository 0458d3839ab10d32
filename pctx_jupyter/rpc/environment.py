"""How a server and the kernels that it starts find each other: names of environment variables, and of a header."""

from __future__ import annotations

URL = "PCTX_JUPYTER_URL"
"""The environment variable with the address of the server that started a kernel: ``http://host:port/base/url/``."""

TOKEN = "PCTX_JUPYTER_TOKEN"
"""The environment variable with a kernel's own token. It opens what `session.access` says, and nothing else."""

PIPE = "PCTX_JUPYTER_PIPE"
"""The environment variable with the path of the server's Unix socket; empty when there is none."""

TOKEN_HEADER = "X-Pctx-Token"
"""The request header that carries a kernel's token."""
