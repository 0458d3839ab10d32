"""What an MCP server asks its user while it serves a call (elicitation): which call it is about, and the answer.

A server of the older era sends a request, and does not say which call it is about. One of the newer era answers the
call with what it asks. Both come to `Call.ask`; who is asked, and how, is not known here. A server that asks while it
serves no call is answered with `cancel`: nobody wanted anything of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from mcp.client.session import ClientRequestContext
from mcp_types import (
    CreateMessageRequest,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitRequestURLParams,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
    InputResponses,
)

from .. import errors
from ..session.hold import Hold
from ..tools.calls import Call, Form, FormReply
from .secrets import Redactor

log = logging.getLogger(__name__)

MOST_MESSAGE = 4_000
"""Characters of a server's question that are kept."""
MOST_FORM = 64_000
"""Bytes of a form's schema; a larger one is no form for a person."""
MOST_AT_ONCE = 8
"""Questions of one server that may be open at the same time; those about one client's calls may be half of them."""


@dataclass(eq=False, slots=True)
class OpenCall:
    """A call that a server is serving.

    Attributes:
        hold: Stops the time of the call while a person is asked.
        unasked: What the error of the call says about a question that nobody could be asked; "": there was none.
    """

    call: Call
    hold: Hold = field(default_factory=Hold)
    unasked: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def client(self) -> str:
        """Whose program calls."""
        return "" if self.call.asker is None else self.call.asker.client


class Elicitations:
    """The questions of one server.

    Args:
        server: Its name.
        redactor: Takes secrets out of the server's text.
    """

    def __init__(self, server: str, redactor: Redactor) -> None:
        self._server, self._redactor = server, redactor
        self._open: list[OpenCall] = []
        self._asked: Counter[str] = Counter()  # by client

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[OpenCall]:
        """Count a call as being served; a question about it ends with it."""
        opened = OpenCall(call)
        self._open.append(opened)
        try:
            yield opened
        finally:
            self._open.remove(opened)
            opened.ended.set()

    async def on_request(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        """Answer a request of a server of the older era."""
        about = list(self._open)
        if not about:
            log.info("upstream %s = asked its user something while it served no call; cancelled", self._server)
            return ElicitResult(action="cancel")
        return _result(await self._ask(params, about), params)

    async def answers(self, asked: InputRequiredResult, opened: OpenCall) -> InputResponses:
        """Answer what a server of the newer era asks before it goes on with a call.

        Raises:
            ToolFailed: It asks for something else than a person's answer.
        """
        wanted = asked.input_requests or {}
        for request in wanted.values():
            if not isinstance(request, ElicitRequest):
                kind = "a model's answer (sampling)" if isinstance(request, CreateMessageRequest) else "folders (roots)"
                raise errors.ToolFailed(
                    f"Cannot finish {opened.call.tool.path}: {self._server} asks for {kind}, which pctx does not give "
                    "to servers"
                )
        forms = {id: request.params for id, request in wanted.items() if isinstance(request, ElicitRequest)}
        replies = await asyncio.gather(*(self._ask(params, [opened]) for params in forms.values()))
        return {id: _result(reply, forms[id]) for id, reply in zip(forms, replies, strict=True)}

    async def _ask(self, params: ElicitRequestParams, about: list[OpenCall]) -> FormReply:
        """Ask about the call that began last; the time of all that it may be about stands still meanwhile."""
        last, others = about[-1], about[:-1]
        try:
            form = self._form(params, others)
        except errors.InvalidParams as error:
            reply = FormReply("cancel", why=error.message)
        else:
            if many := self._too_many(last.client):
                reply = FormReply("cancel", why=f"{many} are open already")
            else:
                reply = await self._wait(form, last, about)
        if reply.why:
            last.unasked = f" ({self._server} asked its user something: {reply.why})"
            last.call.note(f"{self._server} asked its user something: {reply.why}")
        return reply

    def _too_many(self, client: str) -> str:
        """The questions that keep one more about this client's calls from being asked; empty: it may be."""
        share = MOST_AT_ONCE // 2
        if self._asked.total() >= MOST_AT_ONCE:
            return f"{MOST_AT_ONCE} questions of it"
        return f"{share} questions of it about calls of one client" if self._asked[client] >= share else ""

    async def _wait(self, form: Form, last: OpenCall, about: list[OpenCall]) -> FormReply:
        self._asked[last.client] += 1
        asking = asyncio.ensure_future(last.call.ask(form))
        ended = asyncio.ensure_future(_all_ended(about))
        try:
            async with AsyncExitStack() as clocks:
                for one in about:
                    await clocks.enter_async_context(one.hold.waiting())
                await asyncio.wait({asking, ended}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return asking.result()
            return FormReply("cancel")
        finally:
            self._asked[last.client] -= 1
            self._asked += Counter()  # without those that have none
            asking.cancel()
            ended.cancel()

    def _form(self, params: ElicitRequestParams, others: list[OpenCall]) -> Form:
        message = self._redactor.clean(params.message[: 2 * MOST_MESSAGE])[:MOST_MESSAGE]
        paths = tuple(one.call.tool.path for one in others)
        if isinstance(params, ElicitRequestURLParams):
            if not params.url.startswith(("https://", "http://")):
                raise errors.InvalidParams("it wanted a page opened that is no web page")
            return Form(self._server, message, None, params.url, paths)
        assert isinstance(params, ElicitRequestFormParams)
        schema: Any = params.model_dump(mode="json", by_alias=True, exclude_none=True)["requestedSchema"]
        written = msgspec.json.encode(schema)
        if len(written) > MOST_FORM:
            raise errors.InvalidParams(f"its form has more than {MOST_FORM:,} bytes")
        return Form(self._server, message, msgspec.json.decode(self._redactor.clean_json(written)), None, paths)


async def _all_ended(calls: list[OpenCall]) -> None:
    for one in calls:
        await one.ended.wait()


def _result(reply: FormReply, params: ElicitRequestParams) -> ElicitResult:
    if reply.action == "accept" and isinstance(params, ElicitRequestFormParams):
        content: Any = reply.content or {}
        return ElicitResult(action="accept", content=content)
    return ElicitResult(action=reply.action)
