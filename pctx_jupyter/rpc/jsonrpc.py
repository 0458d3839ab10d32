"""JSON-RPC 2.0 messages: bytes to typed messages and back. No pipe, no state, no methods.

Payloads (``params``, ``result``, an error's ``data``) stay `msgspec.Raw`: validated JSON text. It is decoded where it
is needed, or copied into the next message. As in the standard, NaN, Infinity, a lone surrogate escape and a byte order
mark are not JSON.

Ids are strings and integers, echoed as they came; null, fractions, booleans and the rest are refused, and so are
batches (MCP's rules, for one rule on every pipe).

Source: https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, AnyStr, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .. import errors
from ..errors import Json as Json

Id: TypeAlias = "int | str"

NULL = Raw(b"null")

MAX_DEPTH = 500
"""Levels of arrays and objects in a value. Parsers recurse: a few hundred more fail, depending on the caller."""

ENVELOPE_DEPTH = 16
"""Levels that a message may have around the values in it."""

MOST_DEPTH = MAX_DEPTH + ENVELOPE_DEPTH
"""Levels of a whole message."""


class Request(msgspec.Struct, frozen=True):
    """A request: it gets exactly one response or refusal."""

    id: Id
    method: str
    params: Raw | None = None


class Notification(msgspec.Struct, frozen=True):
    """A message without a response."""

    method: str
    params: Raw | None = None


class Response(msgspec.Struct, frozen=True):
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
        """The exception this refusal stands for; without its data if Python cannot hold that, such as ``1e999``."""
        try:
            data = None if self.data is None else decode_value(self.data)
        except errors.InvalidParams:
            data = None
        return errors.Received.error(self.code, self.message, data)


Message: TypeAlias = Request | Notification | Response | Refusal


@dataclass(frozen=True, slots=True)
class Sound:
    """A payload that came in a message, so it is known to be sound. To find that out takes time."""

    payload: Raw


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


def decode(frame: bytes | str, *, is_sound: bool = False) -> Message:
    """Read one message.

    Args:
        frame: The message.
        is_sound: Whether it is known to be UTF-8 that nests no deeper than `MOST_DEPTH`.

    Raises:
        ParseError: The frame is not JSON, or is nested too deeply.
        InvalidRequest: It is JSON but no message of JSON-RPC 2.0.

    Both carry what `identify` finds out about the frame.
    """
    try:
        read = _frame.decode(frame)
        if not is_sound and isinstance(frame, bytes) and not frame.isascii():
            frame.decode()  # payloads are passed on unread, and msgspec does not check them
    except msgspec.ValidationError as error:
        raise _invalid(frame, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(frame, str(error)) from None
    except RecursionError:
        raise _too_deep(frame) from None
    if not is_sound and is_too_deep(frame, MOST_DEPTH):
        raise _too_deep(frame)
    method, result, fault = read.method, read.result, read.error
    kind: Kind | None = "answer" if method is UNSET and (result is not UNSET or isinstance(fault, _Error)) else None
    if read.jsonrpc != "2.0":
        raise errors.InvalidRequest('Cannot read message: "jsonrpc" must be "2.0"', id=_legal(read.id), kind=kind)
    if isinstance(method, str) and result is UNSET and fault is UNSET:
        params = read.params if isinstance(read.params, Raw) else None
        return Notification(method, params) if read.id is UNSET else Request(_checked(read.id, kind), method, params)
    if method is UNSET and isinstance(result, Raw) and not isinstance(fault, _Error):
        return Response(_checked(read.id, kind), result)
    if method is UNSET and result is UNSET and isinstance(fault, _Error):
        data = fault.data if isinstance(fault.data, Raw) else None
        return Refusal(_legal(read.id), fault.code, fault.message, data)
    raise errors.InvalidRequest("Cannot read message: neither a request nor an answer", id=_legal(read.id), kind=kind)


def _legal(id: object) -> Id | None:
    return id if isinstance(id, int | str) and not isinstance(id, bool) else None


def _checked(id: object, kind: Kind | None) -> Id:
    if (legal := _legal(id)) is None:
        raise errors.InvalidRequest("Cannot read message: its id must be a string or an integer", kind=kind)
    return legal


def _invalid(frame: bytes | str, why: str) -> errors.PctxError:
    """Make the error for a frame that is JSON but no message; msgspec may not have read it to its end."""
    try:
        msgspec.json.decode(frame, type=Raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _unreadable(frame, why)
    except RecursionError:
        return _too_deep(frame)
    if frame[:1] in ("[", b"[") or frame.lstrip()[:1] in ("[", b"["):
        return errors.InvalidRequest("Cannot read message: batches are not supported; send one message at a time")
    found = identify(frame)
    return errors.InvalidRequest(f"Cannot read message: {why}", id=found.id, kind=found.kind)


def why_unreadable(frame: bytes | str | memoryview, why: str) -> str:
    """Say why a text is no JSON.

    Args:
        frame: The text.
        why: What msgspec says.
    """
    if why != "Input data was truncated":
        return why
    return "it ends too early, as JSON" if len(frame) else "it is empty; send JSON"


def _unreadable(frame: bytes | str, why: str) -> errors.ParseError:
    found = identify(frame)
    return errors.ParseError(f"Cannot read message: {why_unreadable(frame, why)}", id=found.id, kind=found.kind)


def _too_deep(frame: bytes | str) -> errors.ParseError:
    return _unreadable(frame, f"its values are nested deeper than {MAX_DEPTH} levels; send flatter ones")


# A frame that cannot be read may still show whose it is.

Kind: TypeAlias = Literal["request", "notification", "answer"]

HEAD_BYTES = 1 << 14
"""Bytes at the start of a frame that are searched for its id. Most writers put it first."""

TAIL_BYTES = 1 << 12
"""Bytes at the end of a longer frame that are searched as well."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the outside of a frame shows.

    Args:
        id: Its id; None: it has none, or none was found.
        kind: What it is; None: unknown.
    """

    id: Id | None
    kind: Kind | None


_JSON_TOKEN = re.compile(rb'[ \t\r\n]*("[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}:,]|[^ \t\r\n"\[\]{}:,]+)', re.DOTALL)
_ID_AT_END = re.compile(rb'[,{]\s*"id"\s*:\s*("[^"\\]*+(?:\\.[^"\\]*+)*+"|-?[0-9]+)\s*\}\s*\Z', re.DOTALL)


def identify(frame: bytes | str) -> Identity:
    """Find the id and the kind of a frame that cannot be read, from its start and its end alone."""
    head, is_whole = _bytes(frame[:HEAD_BYTES]), len(frame) <= HEAD_BYTES
    id: Id | None = None
    has_id, kind = False, None
    for key, value in _members(head):
        match key:
            case b'"id"':
                has_id, id = True, _scalar(value)
            case b'"method"':
                kind = "request"
            case b'"result"' | b'"error"' if kind is None:
                kind = "answer"
        if has_id and kind is not None:
            break
    if not has_id and not is_whole:
        found = _ID_AT_END.search(_bytes(frame[-TAIL_BYTES:]))
        has_id, id = found is not None, None if found is None else _scalar(found[1])
    if kind == "request" and not has_id:
        return Identity(None, "notification")
    return Identity(id, "answer" if kind == "answer" else "request" if kind else None)


def _members(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the members of an object, as far as its text goes: each key, and the first token of its value."""
    depth = position = 0
    key, is_value = b"", False
    while (found := _JSON_TOKEN.match(text, position)) is not None:
        token, position = found[1], found.end()
        if depth == 0 and token != b"{":
            return
        if depth == 1:
            if token == b":":
                is_value = True
                after = _JSON_TOKEN.match(text, position)
                yield key, after[1] if after is not None else b""
            elif token == b",":
                is_value = False
            elif not is_value:
                key = token
        if token in (b"{", b"["):
            depth += 1
        elif token in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return


def _scalar(token: bytes) -> Id | None:
    try:
        return _legal(msgspec.json.decode(token))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode(errors="surrogatepass")


class _Out(msgspec.Struct, omit_defaults=True):
    jsonrpc: str
    id: int | str | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Any = UNSET
    result: Any = UNSET
    error: Any = UNSET


JOINED_BYTES = 1 << 16
"""Bytes of a payload from which it is joined to what is written around it: msgspec copies it more than once."""


def encode(message: Message) -> bytes:
    """Write one message as one line of UTF-8 without the line end."""
    match message:
        case Request(id, method, params):
            if params is not None and memoryview(params).nbytes >= JOINED_BYTES:
                return _joined(_encode(_Out("2.0", id=id, method=method)), b'"params":', params)
            out = _Out("2.0", id=id, method=method, params=UNSET if params is None else params)
        case Notification(method, params):
            out = _Out("2.0", method=method, params=UNSET if params is None else params)
        case Response(id, result):
            if memoryview(result).nbytes >= JOINED_BYTES:
                return _joined(_encode(_Out("2.0", id=id)), b'"result":', result)
            out = _Out("2.0", id=id, result=result)
        case Refusal(id, code, text, data):
            out = _Out("2.0", id=id, error=_Error(code, well_formed(text), UNSET if data is None else data))
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
    except RecursionError:
        raise errors.NotJson(f"Cannot write message: {TOO_DEEP}") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise errors.NotJson(f"Cannot write message: {error}") from None


def raw_with(value: msgspec.Struct, name: str, payloads: Mapping[str, Raw]) -> Raw:
    """Write a value as a payload, with one more member: an object of payloads, each of which is copied once.

    Args:
        value: What has the other members, of which there is one at least.
        name: The name of the member.
        payloads: Its members.

    Raises:
        NotJson: The value has no JSON form.
    """
    members: list[bytes | Raw] = []
    for key, payload in payloads.items():
        members += [b"," if members else b"", _encode(key), b":", payload]
    return Raw(_joined(raw(value), b"%s:{" % _encode(name), *members, b"}"))


def _joined(text: bytes | Raw, *member: bytes | Raw) -> bytes:
    """Add a member to the text of an object that has others."""
    return b"".join((memoryview(text)[:-1], b",", *member, b"}"))


TOO_DEEP = f"a value is nested deeper than {MAX_DEPTH} levels, or contains itself; use a flatter one"


def check_value(payload: Raw) -> Raw:
    """Return a payload that nests no deeper than a value may.

    Raises:
        NotJson: It nests deeper.
    """
    if is_too_deep(payload):
        raise errors.NotJson(f"Cannot write message: {TOO_DEEP}")
    return payload


def check_frame(frame: bytes, *, is_sound: bool = False) -> None:
    """Check that the other end can read a frame.

    Args:
        frame: The frame.
        is_sound: Whether it is known to be UTF-8 that nests no deeper than `MOST_DEPTH`.

    Raises:
        NotJson: It is nested too deeply, holds half a character, or is no text.
    """
    if not is_sound and not frame.isascii():
        try:
            frame.decode()
        except UnicodeDecodeError:
            raise errors.NotJson("Cannot send message: a payload is not UTF-8") from None
    if not is_sound and is_too_deep(frame, MOST_DEPTH):
        raise errors.NotJson(f"Cannot send message: {TOO_DEEP}")
    if b"\\" in frame and (b"\\ud" in frame or b"\\uD" in frame):  # rare: characters are written as they are
        try:
            msgspec.json.decode(frame, type=Raw)
        except msgspec.DecodeError:
            raise errors.NotJson("Cannot send message: a text holds half a character (a lone surrogate)") from None


COUNTED_AT_ONCE = 1 << 16
"""Bytes, or characters, of a text in which brackets are counted before it is decided whether to go on."""

BRACKETS_AT_ONCE = 256
"""Brackets that are counted together: cheap to count, and few enough that most groups cannot reach the limit."""

_BRACKETS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: a level more, and a level less
_OTHERS = bytes(set(range(256)) - set(b'[{]}"'))


def is_too_deep(text: Raw | bytes | str, most: int = MAX_DEPTH) -> bool:
    """Return whether the arrays and objects of a JSON text nest beyond a number of levels; it is not parsed for that.

    Args:
        text: Valid JSON.
        most: Levels it may have.
    """
    if isinstance(text, Raw):
        text = bytes(text)
    if len(text) <= most:
        return False
    # A level takes two brackets, so most texts are done with here.
    if isinstance(text, str):
        if not _has_more(text, ("[", "{"), most):
            return False
        text = text.encode(errors="surrogatepass")
    elif not _has_more(text, (b"[", b"{"), most):
        return False
    return Nesting(most).goes_beyond(text)


class Nesting:
    """Counts how deep a JSON text nests, piece by piece.

    Args:
        most: Levels it may have.
    """

    def __init__(self, most: int) -> None:
        self._most, self._level = most, 0
        self._is_in_text = self._is_escaped = False  # what the next piece begins with

    def goes_beyond(self, piece: bytes) -> bool:
        """Count the next piece; returns whether the levels go beyond those it may have."""
        brackets = self._outside_of_texts(piece).translate(_BRACKETS)
        for start in range(0, len(brackets), BRACKETS_AT_ONCE):
            group = brackets[start : start + BRACKETS_AT_ONCE]
            opened, room = group.count(1), self._most - self._level
            # The levels within a group are computed only if it opens enough of them.
            if opened > room and max(accumulate(memoryview(group).cast("b"))) > room:
                return True
            self._level += 2 * opened - len(group)
        return False

    def _outside_of_texts(self, piece: bytes) -> bytes:
        """Return the brackets of a piece that are not part of a text."""
        if self._is_escaped:
            piece, self._is_escaped = piece[1:], not piece
        if b"\\" in piece:
            piece = piece.replace(b"\\\\", b"")
            self._is_escaped = piece.endswith(b"\\")
            piece = piece.replace(b'\\"', b"")  # now each quote begins or ends a text
        # Only brackets and quotes count. Without pairs of quotes, those left are around texts with brackets in them.
        marks = piece.translate(None, _OTHERS)
        parts = (b'"' + marks if self._is_in_text else marks).replace(b'""', b"").split(b'"')
        self._is_in_text = len(parts) % 2 == 0
        return b"".join(parts[::2])


class Soundness:
    """Finds whether a JSON text is UTF-8 that nests no deeper than it may, piece by piece.

    Args:
        most: Levels it may have.
    """

    def __init__(self, most: int) -> None:
        self._nesting = Nesting(most)
        self._decoder = _utf_8()
        self._is_sound = True

    def add(self, piece: bytes) -> bool:
        """Take in the next piece; returns whether the text may still be sound."""
        self._is_sound = self._is_sound and self._is_text(piece) and not self._nesting.goes_beyond(piece)
        return self._is_sound

    @property
    def is_sound(self) -> bool:
        """Whether the text is sound, if all of it was taken in."""
        return self._is_sound and not self._decoder.getstate()[0]

    def _is_text(self, piece: bytes) -> bool:
        if piece.isascii() and not self._decoder.getstate()[0]:
            return True
        try:
            self._decoder.decode(piece)
        except UnicodeDecodeError:
            return False
        return True


_utf_8 = codecs.getincrementaldecoder("utf-8")


def _has_more(text: AnyStr, opening: tuple[AnyStr, AnyStr], most: int) -> bool:
    """Return whether a text has more than so many of two characters; it is read only as far as that takes."""
    found = 0
    for start in range(0, len(text), COUNTED_AT_ONCE):
        end = start + COUNTED_AT_ONCE
        for bracket in opening:
            if text.find(bracket, start, end) >= 0:  # to find none takes a tenth of the time in which they are counted
                found += text.count(bracket, start, end)
        if found > most:
            return True
    return False


def decode_value(payload: Raw) -> Json:
    """Read a payload as plain Python values.

    Raises:
        InvalidParams: A number is out of range, or it is nested too deeply.
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
