"""The sessions that clients of the session API open: how many there may be, whose they are, and what they may hold.

Each is an ordinary session of the engine, with its own catalog. It has no connection of its own: a client opens a
WebSocket for every program, and names the session by its id.

An id is signed. So closing a session that has expired, or that an earlier run of the server had, succeeds like closing
one that is open. Nothing has to be kept for that.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from ... import errors
from ...settings import Settings
from ...slices import in_slices
from ...tools import names, typegen
from ...tools.calls import Call
from ...tools.tool import Tool
from ..local_tools import TOOL_BYTES
from ..registry import Registry
from ..session import Session
from ..type_checks import declare
from . import messages

if TYPE_CHECKING:
    from .door import CodeModeDoor

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 64
"""Connections that one session may have at the same time; a client has one for each program that runs."""

OWNER_BYTES = 64 << 20
"""Bytes of JSON that the tools of all sessions of one owner may take; idle sessions are closed to make room."""

NO_HIT = "// No namespaces/functions match the request"
"""The `code` of ``functions/details`` if there is none of the functions."""


class CodeModeSession:
    """One session of a client of the session API.

    Args:
        id: The name that the client knows it by.
        owner: Who may use it, besides the users of the server: a kernel's id; "": no one else.
        session: The engine's.
        watched: Returns a tool with what it was observed to return.

    Attributes:
        size: Bytes of JSON that its tools take.
        doors: Its connections.
        runs: The connections by the ids of the executions that they have asked for.
    """

    __slots__ = ("_watched", "doors", "id", "owner", "runs", "session", "size")

    def __init__(
        self, id: str, owner: str, session: Session, watched: Callable[[Tool], Tool] = lambda tool: tool
    ) -> None:
        self.id, self.owner, self.session, self._watched = id, owner, session, watched
        self.size = 0
        self.doors: set[CodeModeDoor] = set()
        self.runs: dict[str, CodeModeDoor] = {}

    @property
    def is_idle(self) -> bool:
        """Whether it has no connection and runs no program."""
        return not self.doors and not self.session.executions

    async def register(self, tools: list[messages.RegisteredTool]) -> int:
        """Offer all of these tools, or none; returns how many they are. Others are served meanwhile.

        Raises:
            ToolExists, InvalidParams: One of them cannot be offered; names it.
        """
        registered: list[Tool] = []
        try:
            async for one in in_slices(tools):
                tool, size = self._watched(_tool(one)), _size(one)
                self.session.catalog.add(tool, partial(self._call, one.namespace or ""), size=size)
                registered.append(tool)
        except BaseException:  # also where the request is cancelled
            for tool in registered:
                with suppress(errors.ToolNotFound):  # another request may have removed it
                    self.session.catalog.remove(tool.path)
            raise
        if registered:
            self.session.tools_changed()
            log.info("session %s = offers %d more tools", self.session.id[:8], len(registered))
        return len(registered)

    async def functions(self) -> messages.FunctionList:
        """List what its programs can call."""
        await self.session.scope.prepare()
        tools = self.session.scope.listed()
        listed = [messages.ListedFunction(t.namespace_name, t.tool_name, t.description or None) for t in tools]
        return messages.FunctionList(listed, await declare(tools, aliases=False))

    async def details(self, paths: Iterable[str]) -> messages.FunctionDetails:
        """Describe functions with their types; those that do not exist are left out."""
        found: dict[str, Tool] = {}
        async for path in in_slices(paths):
            if (offer := self.session.scope.get(path)) is not None:
                found.setdefault(offer.tool.path, offer.tool)
        described = [_details(tool) async for tool in in_slices(list(found.values()))]
        code = await declare(list(found.values()), aliases=False) if found else NO_HIT
        return messages.FunctionDetails(described, code)

    async def _call(self, namespace: str, call: Call) -> Raw:
        """Call a tool of the client, on the connection that asked for the program."""
        door = self.runs.get(call.execution_id)
        if door is None:
            raise errors.ToolFailed(f"Cannot call {call.tool.path}: its client is gone", name="ConnectionLost")
        number = self.session.serving.begin(call)
        try:
            return await door.call_tool(namespace, call)
        finally:
            self.session.serving.end(number)


class CodeModeSessions:
    """The sessions of all clients of the session API of one engine.

    Args:
        registry: Where they are opened and closed.
        settings: How many there may be, and for how long.
        key: Signs their ids. With the same key, a later run of the server knows the ids of an earlier one.
    """

    def __init__(self, registry: Registry, settings: Settings, key: bytes) -> None:
        self._registry, self._settings = registry, settings
        self._key = hashlib.blake2b(key, digest_size=32, person=b"pctx session id").digest()
        self._open: OrderedDict[str, CodeModeSession] = OrderedDict()  # the least recently used first

    def __len__(self) -> int:
        return len(self._open)

    def open(self, owner: str = "") -> CodeModeSession:
        """Open a session; beyond the limit, the one of the same owner that was idle for the longest time is closed.

        Raises:
            Busy: All of them are in use.
        """
        own = [one for one in self._open.values() if one.owner == owner]
        if len(own) >= self._settings.max_api_sessions and not self._close_idle(own):
            raise errors.Busy(
                f"Cannot open session: {len(own):,} sessions are in use (Pctx.max_api_sessions); close one of them"
            )
        session = self._registry.open()
        session.idle_s = self._settings.api_session_idle_s
        signed = f"{session.id}.{self._signature(session.id, owner)}"
        watched = partial(self._registry.watched, owner=owner)
        opened = CodeModeSession(signed, owner, session, watched)
        self._open[session.id] = opened
        return opened

    def get(self, id: str, owner: str = "") -> CodeModeSession:
        """Return an open session, and count it as used.

        Args:
            owner: Who asks: a kernel's id; "": a user of the server, who may use all sessions.

        Raises:
            SessionNotFound: There is none of this id, or it is another kernel's.
        """
        found = self._find(id, owner)
        if found is None:
            why = "it is over, or the server was restarted" if self._is_ours(id, owner) else "there is none of that id"
            raise errors.SessionNotFound(f"Cannot use session: {why}; connect again to open one")
        self._open.move_to_end(found.session.id)
        found.session.touch()
        return found

    async def register(self, id: str, owner: str, tools: list[messages.RegisteredTool], size: int) -> int:
        """Offer tools in a session; all of them, or none.

        Args:
            size: Bytes of JSON that they take.

        Raises:
            SessionNotFound, ToolExists, InvalidParams: It cannot be done; the message names the tool.
            Busy: The tools of this owner's sessions in use take too much memory.
        """
        found = self.get(id, owner)
        while True:
            others = [one for one in self._open.values() if one.owner == owner and one is not found]
            if found.size + size + sum(one.size for one in others) <= OWNER_BYTES:
                break
            if not self._close_idle([one for one in others if one.size]):
                raise errors.Busy("Cannot register tools: the open sessions hold too many; close some of them")
        found.size += size  # at once: others that register meanwhile have to count it
        try:
            return await found.register(tools)
        except BaseException:
            found.size -= size
            raise

    async def close(self, id: str, owner: str = "") -> None:
        """Close a session; its programs are stopped, and answered. Does nothing for one that is closed already.

        Raises:
            SessionNotFound: There never was one of this id.
        """
        found = self._find(id, owner)
        if found is None:
            if not self._is_ours(id, owner):
                raise errors.SessionNotFound("Cannot close session: there is none of that id")
            return
        del self._open[found.session.id]
        for door in list(found.doors):
            await door.channel.stop()
        self._registry.close(found.session)

    def forget(self, session: Session) -> None:
        """Take note that a session of the engine is closed, if it is one of these."""
        self._open.pop(session.id, None)

    async def stop(self) -> None:
        """Answer the programs that run, and close every connection."""
        await asyncio.gather(*(door.channel.stop() for one in self._open.values() for door in one.doors))

    def _find(self, id: str, owner: str) -> CodeModeSession | None:
        found = self._open.get(id.partition(".")[0])
        return found if found is not None and found.id == id and owner in ("", found.owner) else None

    def _close_idle(self, sessions: Iterable[CodeModeSession]) -> bool:
        """Close the first of these that is idle; returns whether there was one."""
        idle = next((one for one in sessions if one.is_idle), None)
        if idle is None:
            return False
        del self._open[idle.session.id]
        self._registry.close(idle.session)
        return True

    def _is_ours(self, id: str, owner: str) -> bool:
        """Whether an id is one that was given to this owner, now or before."""
        session_id, _, signature = id.partition(".")
        return hmac.compare_digest(signature.encode(), self._signature(session_id, owner).encode())

    def _signature(self, session_id: str, owner: str) -> str:
        text = f"{owner}\0{session_id}".encode(errors="surrogateescape")
        return hashlib.blake2b(text, key=self._key, digest_size=16).hexdigest()


def _tool(asked: messages.RegisteredTool) -> Tool:
    for name, schema in (("input_schema", asked.input_schema), ("output_schema", asked.output_schema)):
        if not isinstance(schema, dict | bool | None):
            raise errors.InvalidParams(f"Cannot register tool {asked.name[:100]}: {name} must be a JSON Schema object")
    return Tool(
        asked.namespace or names.DEFAULT_NAMESPACE,
        asked.name,
        asked.description or "",
        asked.input_schema,
        None if asked.output_schema == {} else asked.output_schema,
    )


def _size(tool: messages.RegisteredTool) -> int:
    """Return the bytes of JSON that a tool takes; refuse one that is too large."""
    size = len(msgspec.json.encode(tool))
    if size > TOOL_BYTES:
        raise errors.InvalidParams(
            f"Cannot register tool {tool.name[:100]}: its names, description and schemas have more than "
            f"{TOOL_BYTES:,} bytes; describe less"
        )
    return size


def _details(tool: Tool) -> messages.DetailedFunction:
    parts = typegen.parts(tool)
    return messages.DetailedFunction(
        tool.namespace_name,
        tool.tool_name,
        tool.description or None,
        "" if tool.input_schema is None else parts.input,
        parts.output,
        "\n".join(parts.types.values()),
    )
