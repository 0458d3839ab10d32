"""JSON-RPC 2.0 messages: bytes to typed messages and back. No pipe, no state, no methods.

Payloads (``params``, ``result``, an error's ``data``) stay `msgspec.Raw`: validated JSON text that is decoded by
whoever needs it, or spliced into the next message as it is. Not JSON here, as the standard says: NaN, Infinity, a lone
surrogate escape, a byte order mark.

Ids are strings and integers, echoed as they came; null, fractions, booleans and the rest are refused, and so are
batches (MCP's rules, for one rule on every pipe).

Source: https://www.jsonrpc.org/specification
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .. import errors
from ..errors import Json as Json

Id: TypeAlias = "int | str"

NULL = Raw(b"null")


class Request(msgspec.Struct, frozen=True):
    """Asks the other end for something; owed exactly one answer or refusal."""

    id: Id
    method: str
    params: Raw | None = None


class Notification(msgspec.Struct, frozen=True):
    """Tells the other end something; never answered."""

    method: str
    params: Raw | None = None


class Answer(msgspec.Struct, frozen=True):
    """The result of the request with this id."""

    id: Id
    result: Raw


class Refusal(msgspec.Struct, frozen=True):
    """The error of the request with this id; None when the other end could not read one."""

    id: Id | None
    code: int
    message: str
    data: Raw | None = None

    def error(self) -> errors.PctxError:
        """The exception this refusal stands for."""
        data = None if self.data is None else decode_value(self.data)
        return errors.Received.error(self.code, self.message, data)


Message: TypeAlias = Request | Notification | Answer | Refusal


class _Error(msgspec.Struct):
    code: int
    message: str
    data: Raw | UnsetType = UNSET


class _Frame(msgspec.Struct, omit_defaults=True):
    jsonrpc: str
    id: int | float | str | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: _Error | UnsetType | None = UNSET


_frame = msgspec.json.Decoder(_Frame)
_encode = msgspec.json.Encoder().encode


def decode(frame: bytes | str) -> Message:
    """Read one message.

    Raises:
        ParseError: The frame is not JSON, or nested too deeply to be read.
        InvalidRequest: It is JSON but no message of JSON-RPC 2.0; carries the id if it has a legal one.
    """
    try:
        read = _frame.decode(frame)
    except msgspec.ValidationError as error:
        raise _invalid(frame, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.ParseError(f"Cannot read message: {error}") from None
    except RecursionError:
        raise errors.ParseError("Cannot read message: nested too deeply") from None
    if read.jsonrpc != "2.0":
        raise errors.InvalidRequest('Cannot read message: "jsonrpc" must be "2.0"', id=_legal(read.id))
    method, result, fault = read.method, read.result, read.error
    if isinstance(method, str) and result is UNSET and fault is UNSET:
        params = read.params if isinstance(read.params, Raw) else None
        return Notification(method, params) if read.id is UNSET else Request(_checked(read.id), method, params)
    if method is UNSET and isinstance(result, Raw) and not isinstance(fault, _Error):
        return Answer(_checked(read.id), result)
    if method is UNSET and result is UNSET and isinstance(fault, _Error):
        data = fault.data if isinstance(fault.data, Raw) else None
        return Refusal(_legal(read.id), fault.code, fault.message, data)
    raise errors.InvalidRequest("Cannot read message: neither a request nor an answer", id=_legal(read.id))


def _legal(id: object) -> Id | None:
    return id if isinstance(id, int | str) and not isinstance(id, bool) else None


def _checked(id: object) -> Id:
    if (legal := _legal(id)) is None:
        raise errors.InvalidRequest("Cannot read message: its id must be a string or an integer")
    return legal


def _invalid(frame: bytes | str, why: str) -> errors.PctxError:
    """Say what is wrong with a frame that is JSON, and whose it is."""
    try:
        read: Any = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return errors.ParseError(f"Cannot read message: {why}")
    if isinstance(read, list):
        return errors.InvalidRequest("Cannot read message: batches are not supported; send one message a frame")
    id = _legal(read.get("id")) if isinstance(read, dict) else None
    return errors.InvalidRequest(f"Cannot read message: {why}", id=id)


class _Out(msgspec.Struct, omit_defaults=True):
    jsonrpc: str
    id: int | str | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Any = UNSET
    result: Any = UNSET
    error: Any = UNSET


def encode(message: Message) -> bytes:
    """Write one message as one line of UTF-8 without the line end."""
    match message:
        case Request(id, method, params):
            out = _Out("2.0", id=id, method=method, params=UNSET if params is None else params)
        case Notification(method, params):
            out = _Out("2.0", method=method, params=UNSET if params is None else params)
        case Answer(id, result):
            out = _Out("2.0", id=id, result=result)
        case Refusal(id, code, text, data):
            out = _Out("2.0", id=id, error=_Error(code, text, UNSET if data is None else data))
    return _encode(out)


def raw(value: object) -> Raw:
    """Write a value (JSON, a Struct, a dataclass of those, or a Raw) as a payload.

    Raises:
        NotJson: The value has no JSON form.
    """
    if type(value) is Raw:
        return value
    try:
        return Raw(_encode(value))
    except UnicodeEncodeError:
        raise errors.NotJson("Cannot write message: a text holds half a character (a lone surrogate)") from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise errors.NotJson(f"Cannot write message: {error}") from None


def decode_value(payload: Raw) -> Json:
    """Read a payload as plain Python values.

    Raises:
        InvalidParams: A number is out of range, or it nests too deeply.
    """
    try:
        value: Json = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.InvalidParams(f"Cannot read value: {error}") from None
    return value


def well_formed(text: str) -> str:
    """Join surrogate pairs and replace lone halves, which JSON cannot carry; in UTF-16 every position stays."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
