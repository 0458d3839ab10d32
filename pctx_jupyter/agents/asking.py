"""Has an agent's client ask its user for consent, in the way of each era of the protocol.

A client of the older era is sent a request while its own is open (elicitation); one of the newer era is answered with
what it has to ask, and repeats its request. A client that does not say that it can ask is not asked.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import mcp.types as t
import msgspec
from mcp.shared.exceptions import MCPError
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from msgspec import Raw
from pydantic import BaseModel, ValidationError

from ..session import questions
from ..session.consent import ConsentReply, Question
from .answers import Asking
from .changes import Context
from .runs import Asks, Repeats

log = logging.getLogger(__name__)

MOST_ARGUMENTS = 2_000
"""Characters of a call's arguments that a client is given: its form is not made for more."""

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {"allow": {"type": "boolean", "title": "Allow this call once", "default": False}},
    "required": ["allow"],
}
"""What the user fills in. There is no "always": a client may answer for its user."""


OPENED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "opened": {"type": "boolean", "title": "I have opened the page and done what it asks", "default": False}
    },
    "required": ["opened"],
}
"""What the user fills in whom an MCP server asks to open a page. The page is a text to them, and opened by nothing."""


def can_ask(capabilities: t.ClientCapabilities | None) -> bool:
    """Whether a client says that it can ask its user by a form; one that names no way at all means that way."""
    ways = capabilities.elicitation if capabilities is not None else None
    return ways is not None and (ways.form is not None or ways.url is None)


def is_newer(context: Context) -> bool:
    """Whether a client speaks the newer era of the protocol."""
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS


def asks(context: Context, params: t.CallToolRequestParams) -> Asks:
    """How the client of a request can ask its user."""
    if not can_ask(context.session.client_capabilities):
        return None
    if is_newer(context):
        responses: Mapping[str, BaseModel] = params.input_responses or {}
        return Repeats(params.request_state, {id: partial(_reply, response) for id, response in responses.items()})
    if not context.session.can_send_request:
        return None

    async def ask(question: Question) -> ConsentReply | None:
        try:
            # With the request's own id, for then it takes the stream that the client reads anyway.
            text, schema = questions.text(question, MOST_ARGUMENTS), _schema(question)
            answer = await context.session.elicit_form(text, schema, related_request_id=context.request_id)
            return _reply(answer, question)
        except (MCPError, ValidationError) as error:
            log.debug("mcp = a client does not ask its user: %s", type(error).__name__)
            return None

    return ask


def required(asking: Asking) -> t.InputRequiredResult:
    """What a client of the newer era is answered with."""
    requests: t.InputRequests = {
        question.id: t.ElicitRequest(
            params=t.ElicitRequestFormParams(
                message=questions.text(question, MOST_ARGUMENTS), requested_schema=_schema(question)
            )
        )
        for question in asking.questions
    }
    return t.InputRequiredResult(input_requests=requests, request_state=asking.handle)


def _schema(question: Question) -> dict[str, Any]:
    """What the user of a client fills in: the form of an MCP server as it is, or else a yes or no."""
    if question.form is None:
        return FORM
    return OPENED if question.form.schema is None else question.form.schema


def _reply(result: object, question: Question) -> ConsentReply | None:
    """What a user has decided on a question; None: nothing."""
    if question.form is None:
        return _consent(result)
    match result:
        case t.ElicitResult(action="accept", content=content):
            if question.form.schema is None:
                is_opened = (content or {}).get("opened") is True
                return ConsentReply("allowed") if is_opened else ConsentReply.denied("their MCP client")
            return ConsentReply("edited", Raw(msgspec.json.encode(content or {})))
        case t.ElicitResult(action="decline"):
            return ConsentReply.denied("their MCP client")
    return None


def _consent(result: object) -> ConsentReply | None:
    """What a user has decided; None: nothing."""
    match result:
        case t.ElicitResult(action="accept", content={"allow": True}):
            return ConsentReply("allowed")
        case t.ElicitResult(action="accept" | "decline"):
            return ConsentReply.denied("their MCP client")
    return None
