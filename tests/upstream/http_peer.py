"""An MCP server over HTTP, with the SDK's own server: Streamable HTTP or SSE, open, with a token, or with OAuth.

It runs in the test's loop, on a port of its own; so a test sees what it sees, and may stop it and start it again.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import uvicorn
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl


@dataclass
class Authority:
    """A small OAuth authorization server: whoever opens its page is signed in.

    Attributes:
        clients: Who has registered.
        expires_in: Seconds an access token is valid from now on.
        refreshed: How often one was renewed.
        is_strict: Whether nobody is signed in any more.
    """

    clients: dict[str, OAuthClientInformationFull] = field(default_factory=dict)
    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    access: dict[str, AccessToken] = field(default_factory=dict)
    refresh: dict[str, RefreshToken] = field(default_factory=dict)
    expires_in: int = 3600
    refreshed: int = 0
    is_strict: bool = False

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        back = str(params.redirect_uri)
        if self.is_strict:
            return construct_redirect_uri(back, error="access_denied", state=params.state)
        code = secrets.token_urlsafe(16)
        self.codes[code] = AuthorizationCode(
            code=code,
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        return construct_redirect_uri(back, code=code, state=params.state)

    async def load_authorization_code(self, client: Any, authorization_code: str) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client: Any, authorization_code: AuthorizationCode) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._issue(client.client_id, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client: Any, refresh_token: str) -> RefreshToken | None:
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(self, client: Any, refresh_token: RefreshToken, scopes: list[str]) -> OAuthToken:
        self.refreshed += 1
        del self.refresh[refresh_token.token]
        return self._issue(client.client_id, scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.access.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.access.pop(token.token, None)
        self.refresh.pop(token.token, None)

    async def exchange_identity_assertion(self, client: Any, params: Any) -> OAuthToken:
        raise NotImplementedError

    def forget_all(self) -> None:
        """Let every token be worth nothing."""
        self.access.clear()
        self.refresh.clear()

    def _issue(self, client_id: str, scopes: list[str], resource: str | None) -> OAuthToken:
        token, refresh = f"access-canary-{secrets.token_urlsafe(8)}", f"refresh-canary-{secrets.token_urlsafe(8)}"
        expires_at = int(time.time()) + self.expires_in
        self.access[token] = AccessToken(
            token=token, client_id=client_id, scopes=scopes, expires_at=expires_at, resource=resource
        )
        self.refresh[refresh] = RefreshToken(token=refresh, client_id=client_id, scopes=scopes, resource=resource)
        return OAuthToken(access_token=token, expires_in=self.expires_in, refresh_token=refresh, scope=" ".join(scopes))


class Bearer:
    """Lets only those in who send this header; any ASGI application behind it."""

    def __init__(self, app: Any, name: str, value: str) -> None:
        self._app, self._name, self._value = app, name.lower().encode(), value.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and dict(scope["headers"]).get(self._name) != self._value:
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"no"})
            return
        await self._app(scope, receive, send)


class Flood:
    """A server whose answer to one method is far too long; to the others it answers as it should.

    Args:
        method: The one; ``oauth`` is the path at which a client asks how to sign in.
        content_type: Of that answer; an event has no end.
        encoding: ``gzip``: it is small on the wire.
    """

    SIZE = 32 << 20
    """Bytes of that answer."""

    def __init__(self, method: str, content_type: str = "application/json", encoding: str = "") -> None:
        self._method = method
        self._headers = [(b"content-type", content_type.encode())]
        start = b"data: " if content_type == "text/event-stream" else b'{"a": "'
        if encoding:
            self._headers.append((b"content-encoding", encoding.encode()))
            self._pieces = [gzip.compress(start + b"x" * self.SIZE)]
        else:
            self._pieces = [start, *[b"x" * (1 << 20)] * (self.SIZE >> 20)]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        if scope["method"] != "POST":
            is_asked = self._method == "oauth" and "/.well-known/" in scope["path"]
            await (self._flood(send) if is_asked else self._answer(send, 405))
            return
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        asked = json.loads(body)
        method, info = asked["method"], {"name": "flood", "version": "1"}
        match method:
            case _ if method == self._method:
                await self._flood(send)
            case _ if self._method == "oauth":
                await self._answer(send, 401)
            case "initialize":
                about = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
                await self._answer(send, 200, {"id": asked["id"], "result": about})
            case "tools/list":
                tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("pour", "drip")]
                await self._answer(send, 200, {"id": asked["id"], "result": {"tools": tools}})
            case _ if "id" in asked:
                error = {"code": -32601, "message": "Method not found"}
                await self._answer(send, 200, {"id": asked["id"], "error": error})
            case _:
                await self._answer(send, 202)

    async def _flood(self, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    @staticmethod
    async def _answer(send: Any, status: int, message: dict[str, Any] | None = None) -> None:
        body = b"" if message is None else json.dumps({"jsonrpc": "2.0", **message}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Stranger:
    """A server that wants a sign-in and says where: at its own pages, which say what a test wants them to.

    Args:
        url: Its own, without a path.
        metadata: Where its 401 says that it is described; None: it does not say.
        resource: What it says of itself there, besides `resource`.
        issuer: What the authorization server on it says of itself, besides `issuer`.
        moved: Paths that it sends elsewhere, and where to.

    Attributes:
        asked: Method and path of each request.
        headers: Those of each request.
        token: The access token that it gives.
    """

    token = "access-canary"

    def __init__(
        self,
        url: str,
        *,
        metadata: str | None = None,
        resource: dict[str, Any] | None = None,
        issuer: dict[str, Any] | None = None,
        moved: dict[str, str] | None = None,
    ) -> None:
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._url, self._metadata, self._moved = url, metadata, moved or {}
        self._resource = {"resource": f"{url}/mcp", "authorization_servers": [f"{url}/"]} | (resource or {})
        endpoints = {"authorization_endpoint": "authorize", "token_endpoint": "token", "registration_endpoint": "join"}
        own = {key: f"{url}/{path}" for key, path in endpoints.items()}
        self._issuer = {"issuer": f"{url}/", **own, "response_types_supported": ["code"]} | (issuer or {})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        path = scope["path"]
        self.asked.append(f"{scope['method']} {path}")
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        body: dict[str, Any] = {}
        status, more = 404, []
        if path in self._moved:
            status, more = 307, [(b"location", self._moved[path].encode())]
        elif path == "/mcp":
            named = "" if self._metadata is None else f' resource_metadata="{self._metadata}"'
            status, more = 401, [(b"www-authenticate", f"Bearer{named}".encode())]
        elif path.startswith("/.well-known/oauth-protected-resource") or path == "/about":
            status, body = 200, self._resource
        elif path.startswith("/.well-known/oauth-authorization-server"):
            status, body = 200, self._issuer
        elif path == "/token":
            status, body = 200, {"access_token": self.token, "token_type": "Bearer"}
        elif path == "/join":
            status, body = 201, {"client_id": "us", "redirect_uris": ["http://127.0.0.1:1/callback"]}
        headers = [(b"content-type", b"application/json"), *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def make_server(authority: Authority | None = None, url: str = "") -> MCPServer[Any]:
    """A server with a few tools."""
    auth = None
    if authority is not None:
        auth = AuthSettings(
            issuer_url=AnyHttpUrl(url),
            client_registration_options=ClientRegistrationOptions(enabled=True),
            resource_server_url=AnyHttpUrl(f"{url}/mcp"),
            validate_token_resource=True,
        )
    server: MCPServer[Any] = MCPServer("http peer", auth=auth, auth_server_provider=authority)

    @server.tool()
    def echo(text: str) -> str:
        """Says it again."""
        return text

    @server.tool()
    async def count(n: int, context: Context) -> str:  # type: ignore[type-arg]
        """Counts."""
        for step in range(n):
            await context.report_progress(step + 1, n, "counting")
        return "counted"

    @server.tool()
    async def slow() -> str:
        """Takes its time."""
        await asyncio.sleep(600)
        return "done"

    return server


@asynccontextmanager
async def serving(app: Any, port: int, host: str = "127.0.0.1") -> AsyncIterator[None]:
    """Serve an application on a port, until the block ends; then at once no more."""
    config = uvicorn.Config(app, host, port, log_level="critical", timeout_graceful_shutdown=0, lifespan="on")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
            assert not task.done()
        yield
    finally:
        server.should_exit = True  # and not by force: its lifespan would be left hanging
        await asyncio.wait({task}, timeout=10)


async def browse(url: str) -> str:
    """Open a page as a browser does, but for where it is sent at last; returns that address."""
    async with httpx2.AsyncClient() as browser:
        response = await browser.get(url)
        assert response.status_code == 302, response.text
        return response.headers["location"]
