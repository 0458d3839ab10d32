"""Signing in to upstreams (OAuth 2.1: authorization code with PKCE), and what is kept of it.

Before a person asks for a sign-in, no metadata is requested, no client is registered, and no browser is opened. Until
then an upstream that requires a sign-in has that state, and waits. `reach` decides which addresses an upstream may name
for its sign-in. The SDK implements the protocol. This module stores its tokens, chooses the page for the person, and
takes the answer: the URL at which the browser ended, from any caller.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx2
import msgspec
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.utils import extract_field_from_www_auth, extract_resource_metadata_from_www_auth
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
)
from pydantic import AnyUrl, BaseModel, ValidationError

from .. import errors, threads
from ..rpc.headers import unsendable
from ..session.upstreams import SignIn
from . import reach, store
from .addresses import check_url
from .config import OAuth
from .secrets import SecretText

log = logging.getLogger(__name__)

PERSON_S = 600.0
"""Seconds a person has to sign in."""

NOWHERE = "http://127.0.0.1/callback"
"""Stands for where the browser is sent to while no sign-in is requested."""

PAGE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    b"Content-Security-Policy: default-src 'none'\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    b"This is all pctx needs. You can close this page.\n"
)


class NeedsSignIn(errors.PctxError):
    """A person has to sign in first."""

    def __init__(self) -> None:
        super().__init__("it needs a sign-in")


class KeptSignIn(msgspec.Struct):
    """What is kept of a sign-in; `url` is that of the server, the only one that ever gets the tokens."""

    url: str
    tokens: msgspec.Raw = msgspec.Raw(b"null")
    expires_at: float | None = None
    client: msgspec.Raw = msgspec.Raw(b"null")
    metadata: msgspec.Raw = msgspec.Raw(b"null")


class KeychainPlace:
    """An entry in the operating system's keychain; a `store.StorePlace`."""

    shown = "the keychain"

    def read(self) -> bytes | None:
        found = self._use(lambda keyring: keyring.get_password("pctx", "sign-ins"))
        return None if found is None else found.encode()

    def write(self, text: bytes) -> None:
        self._use(lambda keyring: keyring.set_password("pctx", "sign-ins", text.decode()))

    def mark(self) -> object:
        """None: a keychain does not say when it has changed."""

    def set_aside(self) -> None:
        """Do nothing: what cannot be read is of no use, and a keychain has no other place for it."""

    def _use(self, act: Callable[[Any], Any]) -> Any:
        try:
            import keyring

            return act(keyring)
        except Exception as error:  # each of the many keychains has errors of its own
            raise OSError(errno.EIO, type(error).__name__) from None


class SignInStore:
    """Keeps sign-ins in a file that only its owner can read, or in the system's keychain. Several processes may use it.

    Args:
        path: The file; empty: they are kept for as long as this object lives.
        in_keychain: Whether the keychain is used instead.
    """

    def __init__(self, path: str, *, in_keychain: bool) -> None:
        place: store.StorePlace | None = None
        if in_keychain:
            place = KeychainPlace()
        elif path:
            place = store.FilePlace(path)
        what, unread = "the list of sign-ins", "sign in again"
        self._store = store.Store(place, f"{path}.lock" if path else "", KeptSignIn, what=what, unread=unread)
        self._thread = threads.OneThread()
        self._is_watched = not in_keychain
        self._seen = self._store.changes_of_others if self._is_watched else 0

    @property
    def trouble(self) -> str | None:
        """Why sign-ins cannot be read or written; None when they can."""
        return self._store.trouble

    async def get(self, name: str, url: str) -> KeptSignIn:
        """What is kept for a server; nothing, when it was another server's."""
        kept = await self._thread.run(lambda: self._store.get(name))
        return msgspec.structs.replace(kept) if kept is not None and kept.url == url else KeptSignIn(url)

    async def change(self, name: str, url: str, change: Callable[[KeptSignIn], None]) -> None:
        """Change what is kept for a server; it is given nothing when it was another server's."""

        def changed(kept: KeptSignIn | None) -> KeptSignIn:
            kept = kept if kept is not None and kept.url == url else KeptSignIn(url)
            change(kept)
            return kept

        await self._thread.run(lambda: self._store.change(name, changed))

    async def forget(self, name: str) -> None:
        """Keep nothing for a server any more."""
        if await self._thread.run(lambda: self._store.get(name)) is not None:
            await self._thread.run(lambda: self._store.change(name, lambda _: None))

    async def has_changed(self) -> bool:
        """Whether another process has changed the file since this was last asked."""
        if not self._is_watched:
            return False
        before, self._seen = self._seen, await self._thread.run(lambda: self._store.changes_of_others)
        return before != self._seen


@dataclass(slots=True)
class SignInAttempt:
    """One sign-in under way.

    Args:
        redirect_url: Where the browser is sent at its end.
        page: Where it is sent at its beginning, once that is known.
        answer: What it brought back.
    """

    redirect_url: str
    page: asyncio.Future[SignIn]
    answer: asyncio.Future[AuthorizationCodeResult]
    state: str = ""
    listener: asyncio.Server | None = None

    def end(self) -> None:
        """Nobody waits for it any more."""
        if self.listener is not None:
            self.listener.close()
        for future in (self.page, self.answer):
            if not future.done():
                future.cancel()


class SignIns:
    """The sign-ins of all upstreams."""

    def __init__(self, store: SignInStore) -> None:
        self._store = store
        self._attempts: dict[str, SignInAttempt] = {}

    async def auth(
        self,
        name: str,
        url: str,
        oauth: OAuth,
        boundary: reach.Boundary,
        judge: Callable[[httpx2.URL], Awaitable[None]],
        asks: Callable[[], None],
        waits: Callable[[], None],
        learn: Callable[[Iterable[str]], None],
    ) -> httpx2.Auth:
        """What signs the requests to a server.

        Args:
            name, url: The server.
            boundary: What may be fetched for it.
            judge: Raises `AddressRefused` when a person must not be sent to a URL.
            oauth: What its configuration says of it.
            asks: Called when the server requires a sign-in, and none has begun.
            waits: Called when one has begun, and a person is at it.
            learn: Called with what must be kept secret.
        """
        attempt = self._attempts.get(name)
        if attempt is not None and attempt.answer.done():
            attempt = None  # it has ended; the person asks for the next one
        storage = _Storage(self._store, name, url, oauth, attempt, learn)
        kept = await self._store.get(name, url)
        has_tokens = bytes(kept.tokens) != b"null"
        return _Auth(oauth, storage, attempt, boundary, judge, asks, waits, has_tokens=has_tokens)

    async def begin(self, name: str, redirect_url: str | None) -> SignInAttempt:
        """Begin to sign in; the next connection to that server does it. One begun before ends."""
        self.end(name)
        listener = None
        if redirect_url is None:
            listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            redirect_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/callback"
        loop = asyncio.get_running_loop()
        attempt = SignInAttempt(redirect_url, loop.create_future(), loop.create_future(), listener=listener)
        self._attempts[name] = attempt
        return attempt

    @property
    def trouble(self) -> str | None:
        """Why sign-ins cannot be kept; None when they can."""
        return self._store.trouble

    async def have_changed(self) -> bool:
        """Whether another process has signed in somewhere, or forgotten a sign-in, since this was last asked."""
        return await self._store.has_changed()

    def end(self, name: str) -> None:
        """End what was begun, if anything was."""
        if (attempt := self._attempts.pop(name, None)) is not None:
            attempt.end()

    def end_all(self) -> None:
        """End whatever was begun."""
        for name in list(self._attempts):
            self.end(name)

    async def forget(self, name: str) -> None:
        """Forget the tokens of a server."""
        self.end(name)
        await self._store.forget(name)

    def finish(self, url: str) -> str:
        """Take the URL that a browser was sent to; returns the name of the server it is about.

        Raises:
            InvalidParams: It belongs to none, or says that the sign-in failed.
        """
        query = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        state = query.get("state", "").encode()
        found = None
        for name, attempt in self._attempts.items():
            if attempt.state and hmac.compare_digest(attempt.state.encode(), state):
                found = name
        if found is None or self._attempts[found].answer.done():
            raise errors.InvalidParams(
                "Cannot sign in: this answer belongs to no sign-in that is under way; begin again"
            )
        answer = self._attempts[found].answer
        if "error" in query:
            why = query.get("error_description", query["error"])[:200]
            answer.set_exception(NeedsSignIn())
            answer.exception()  # the caller may have gone
            raise errors.InvalidParams(f"Cannot sign in to {found}: it says {why!r}")
        if "code" not in query:
            raise errors.InvalidParams(f"Cannot sign in to {found}: the answer holds no code")
        answer.set_result(AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss")))
        return found

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the browser that comes back to a port of ours."""
        try:
            async with asyncio.timeout(10):
                words = (await reader.readline()).decode("latin-1").split()
                page = PAGE
                try:
                    self.finish(words[1] if len(words) > 1 else "")
                except errors.InvalidParams as error:
                    head, _, _ = PAGE.partition(b"\r\n\r\n")
                    page = head.replace(b"200 OK", b"400 Bad Request") + b"\r\n\r\n" + error.message.encode() + b"\n"
                writer.write(page)
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()


@dataclass(slots=True)
class _Storage:
    """What the SDK asks of a place for tokens, for one server."""

    store: SignInStore
    name: str
    url: str
    oauth: OAuth
    attempt: SignInAttempt | None
    learn: Callable[[Iterable[str]], None]
    metadata: Callable[[], OAuthMetadata | None] = field(default=lambda: None)

    async def get_tokens(self) -> OAuthToken | None:
        kept = await self.store.get(self.name, self.url)
        tokens = _read(OAuthToken, kept.tokens)
        self._learn(tokens)
        return tokens

    def _learn(self, tokens: OAuthToken | None) -> None:
        if tokens is not None:
            self.learn(token for token in (tokens.access_token, tokens.refresh_token) if token)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._learn(tokens)
        known, now = self.metadata(), time.time()

        def change(kept: KeptSignIn) -> None:
            kept.tokens = msgspec.Raw(tokens.model_dump_json(exclude_none=True).encode())
            kept.expires_at = None if tokens.expires_in is None else now + tokens.expires_in
            if known is not None:
                kept.metadata = msgspec.Raw(known.model_dump_json(exclude_none=True).encode())

        await self.store.change(self.name, self.url, change)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        redirect_url = NOWHERE if self.attempt is None else self.attempt.redirect_url
        if self.oauth.client_id is not None:
            secret = None if self.oauth.client_secret is None else (await self.oauth.client_secret.resolve())[0]
            self.learn([secret] if secret else [])
            client_id, _ = await SecretText(self.oauth.client_id).resolve()
            return OAuthClientInformationFull(
                client_id=client_id, client_secret=secret, redirect_uris=[AnyUrl(redirect_url)]
            )
        client = _read(OAuthClientInformationFull, (await self.store.get(self.name, self.url)).client)
        if client is not None and self.attempt is not None:
            # Registered with another address for the way back, it would be refused.
            known = [str(uri) for uri in client.redirect_uris or ()]
            return client if str(AnyUrl(redirect_url)) in known else None
        return client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        def change(kept: KeptSignIn) -> None:
            kept.client = msgspec.Raw(client_info.model_dump_json(exclude_none=True).encode())

        await self.store.change(self.name, self.url, change)


class _Auth(OAuthClientProvider):
    """Signs requests to one server; begins no sign-in by itself."""

    def __init__(
        self,
        oauth: OAuth,
        storage: _Storage,
        attempt: SignInAttempt | None,
        boundary: reach.Boundary,
        judge: Callable[[httpx2.URL], Awaitable[None]],
        asks: Callable[[], None],
        waits: Callable[[], None],
        *,
        has_tokens: bool,
    ) -> None:
        redirect_url = NOWHERE if attempt is None else attempt.redirect_url
        metadata = OAuthClientMetadata(
            client_name="pctx-jupyter",
            redirect_uris=[AnyUrl(redirect_url)],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            scope=oauth.scope,
            application_type="web" if redirect_url.startswith("https:") else "native",
        )
        # The authorization server gets this URL as the name of the upstream: no password and no key may be in it.
        plain = boundary.url.copy_with(userinfo=b"", query=None, fragment=None)
        super().__init__(str(plain), metadata, storage, self._send, self._wait)
        storage.metadata = lambda: self.context.oauth_metadata
        self._store, self._attempt, self._asks, self._waits = storage, attempt, asks, waits
        self._boundary, self._judge = boundary, judge
        self._has_tokens = has_tokens

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        if self._attempt is None and not self._has_tokens:
            response = yield request
            if response.status_code == 401:
                self._asks()
                raise NeedsSignIn
            return
        flow = super().async_auth_flow(request)
        try:
            outgoing = await anext(flow)
            while True:
                response = yield outgoing
                if outgoing is request and _wants_sign_in(response):
                    if self._attempt is None or self._attempt.answer.done():
                        self._asks()
                        raise NeedsSignIn
                    self._check_metadata(extract_resource_metadata_from_www_auth(response))
                outgoing = await flow.asend(response)
        except StopAsyncIteration:
            return
        finally:
            await flow.aclose()

    async def _initialize(self) -> None:
        """Load what is kept. The SDK forgets when tokens expire, and where they are renewed."""
        await super()._initialize()
        kept = await self._store.store.get(self._store.name, self._store.url)
        self.context.token_expiry_time = kept.expires_at
        self.context.oauth_metadata = self.context.oauth_metadata or _read(OAuthMetadata, kept.metadata)

    def _add_auth_header(self, request: httpx2.Request) -> None:
        """Sign a request; a token that no header can hold is none."""
        tokens = self.context.current_tokens
        if tokens is not None and (trouble := unsendable(tokens.access_token)) is not None:
            log.warning("sign-in = the token %s: a header cannot hold it", trouble)
            self._asks()
            raise NeedsSignIn
        super()._add_auth_header(request)

    def _check_metadata(self, named: str | None) -> None:
        """Judge where an upstream says that it describes itself: it is the one address that its own port must have."""
        if named is None:
            return
        try:
            url = httpx2.URL(named)
        except httpx2.InvalidURL:
            raise reach.AddressRefused(
                "it names no address at which it describes itself; nothing was sent there"
            ) from None
        if url.scheme != "https" and not self._boundary.is_own_origin(url):
            raise reach.AddressRefused(
                f"it says that {reach.shown(url)} describes it, which is neither https nor itself; "
                "nothing was sent there"
            )

    async def _send(self, url: str) -> None:
        """Take note of where the person is to be sent."""
        if self._attempt is None or self._attempt.answer.done():
            self._asks()
            raise NeedsSignIn
        page = SignIn(str(await self._judged(url)), reach.shown_host(httpx2.URL(url)))
        gets_code = reach.shown_host(await self._judged(self._get_token_endpoint()))
        if gets_code != page.host:
            page.gets_code = gets_code
        # The last one is ours: an endpoint may bring a query of its own.
        self._attempt.state = parse_qs(urlsplit(url).query).get("state", [""])[-1]
        if not self._attempt.page.done():
            self._attempt.page.set_result(page)
        self._waits()

    async def _judged(self, text: str) -> httpx2.URL:
        """A URL that a sign-in leads to; raises `AddressRefused`."""
        try:
            check_url(text)  # a browser would run javascript:
            url = httpx2.URL(text)
        except (errors.InvalidParams, httpx2.InvalidURL):
            raise reach.AddressRefused("its sign-in leads to what is no address of the web") from None
        await self._judge(url)
        return url

    async def _wait(self) -> AuthorizationCodeResult:
        """Wait for the person."""
        assert self._attempt is not None
        answer = self._attempt.answer
        try:
            await asyncio.wait({answer}, timeout=PERSON_S)
            if not answer.done() or answer.cancelled() or answer.exception() is not None:
                self._asks()
                raise NeedsSignIn
            return answer.result()
        finally:
            if self._attempt.listener is not None:
                self._attempt.listener.close()


def _wants_sign_in(response: httpx2.Response) -> bool:
    """Whether an upstream wants a person to sign in, or to allow more than before."""
    if response.status_code == 403:
        return extract_field_from_www_auth(response, "error") == "insufficient_scope"
    return response.status_code == 401


M = TypeVar("M", bound=BaseModel)


def _read(kind: type[M], text: msgspec.Raw) -> M | None:
    if bytes(text) == b"null":
        return None
    try:
        return kind.model_validate_json(bytes(text))
    except ValidationError:
        return None
