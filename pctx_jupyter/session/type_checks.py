"""What the types of a session's programs are checked against, and what comes of it.

A cell's editor is answered by the same declarations. Which tools a program may call is the session's to say; this
module starts no process and knows no TypeScript beyond the words that `typegen` writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from msgspec import Raw

from .. import threads
from ..program import check as checks
from ..program import inputs as input_types
from ..program import literals
from ..program.check import Check, Checked, CheckJob, Unchecked, Verdict
from ..program.kept import KeptNames
from ..rpc.jsonrpc import NULL
from ..tools import typegen
from ..tools.scope import Offering
from ..tools.tool import Tool
from ..tools.words import AnyWord
from .execution import CLIENT

FEW = 50
"""Tools that are declared at once: they take 10 ms at most, and a thread has its own price."""

_INVOKES = AnyWord("invoke")
"""A program that has this in its text may call functions by name with ``invoke``: then that is declared for it."""


async def declare(tools: list[Tool], *, aliases: bool = True) -> str:
    """Declare tools in TypeScript (`typegen.declarations`); the first time, many of them on a thread."""
    text = typegen.written(tools, aliases=aliases)
    if text is None and len(tools) > FEW:
        return await threads.compute(typegen.declarations, tools, aliases=aliases)
    return typegen.declarations(tools, aliases=aliases) if text is None else text


class TypeChecks:
    """Checks the programs of one session.

    Args:
        session: The session's id.
        check: Checks one program; None: types are not checked, and `judge` cannot be called.
        kept: What earlier programs of the session left for later ones.
        name: Returns the namespace under which others see the session's tools: its notebook's name.
    """

    def __init__(self, session: str, check: Check | None, kept: KeptNames, name: Callable[[], str | None]) -> None:
        self._session, self._check, self._kept, self._name = session, check, kept, name
        self._declaring = asyncio.Lock()
        self._declared: tuple[frozenset[str], str] = frozenset(), ""

    @property
    def is_possible(self) -> bool:
        """Whether types can be checked at all."""
        return self._check is not None

    async def job(
        self,
        code: str,
        offered: Offering,
        inputs: Mapping[str, Raw] | Iterable[str],
        keep: bool | None = False,
        *,
        is_editor: bool = False,
        kept_names: KeptNames | None = None,
        has_observed: bool = True,
    ) -> CheckJob:
        """Return what a program of this session is checked against; an editor's questions are answered by the same.

        Args:
            code: The program, without a magic line.
            offered: The tools it may call.
            inputs: The constants it finds; by their names alone, they are what they were for the last program.
            keep: See `CheckJob.keep`.
            is_editor: Whether tools have to be declared that the program does not name yet.
            kept_names: What earlier programs left for it; None: what the session has of them.
            has_observed: Whether it knows observed types; without, they are ``any``.
        """
        if isinstance(inputs, Mapping):
            declared = input_types.declare(inputs)
            self._declared = frozenset(inputs), declared
        else:
            inputs = frozenset(inputs)
            # What a program was given last is most likely what the next one gets.
            is_known = inputs == self._declared[0]
            declared = self._declared[1] if is_known else input_types.declare(dict.fromkeys(sorted(inputs), NULL))
        left = self._kept if kept_names is None else kept_names
        globals = declared + left.declarations(inputs, has_observed=has_observed)
        if _INVOKES.is_in(code) and "invoke" not in offered.taken | frozenset(inputs) | left.names:
            globals += typegen.invocable(self._named_in_text(code, offered))
        tools = await self._declare_for(code, offered, has_observed=has_observed)
        unnamed = offered.unnamed()
        return CheckJob(
            session=self._session,
            code=code,
            declarations=(tools.whole or tools.needed) if is_editor else tools.needed,
            whole=() if is_editor else tools.whole,
            globals=globals + typegen.stubs(unnamed),
            tools=offered,
            namespaces=unnamed,
            keep=keep,
            client=CLIENT.get(),
        )

    async def judge(
        self,
        job: CheckJob,
        offered: Offering,
        inputs: Mapping[str, Raw] | Iterable[str],
        *,
        is_editor: bool = False,
        kept_names: KeptNames | None = None,
    ) -> Verdict:
        """Check a program; what is wrong only because of observed types is a warning.

        Args:
            job: As `job` returns it for the other arguments.
        """
        verdict = await self._judge(job, offered, inputs, is_editor=is_editor, kept_names=kept_names)
        return verdict if isinstance(verdict, Unchecked) else checks.warned(verdict, literals.rounded(job.code))

    async def _judge(
        self,
        job: CheckJob,
        offered: Offering,
        inputs: Mapping[str, Raw] | Iterable[str],
        *,
        is_editor: bool,
        kept_names: KeptNames | None,
    ) -> Verdict:
        assert self._check is not None, "only programs that are to be checked are judged"
        verdict = await self._check(job)
        if isinstance(verdict, Unchecked) or not (verdict.is_wrong or verdict.kept is not None):
            return verdict
        plain = await self.job(
            job.code, offered, inputs, job.keep, is_editor=is_editor, kept_names=kept_names, has_observed=False
        )
        if (plain.texts, plain.whole, plain.globals) == (job.texts, job.whole, job.globals):
            return verdict
        found = await self._check(plain)
        if not verdict.is_wrong:
            return replace(verdict, kept_plain=found.kept if isinstance(found, Checked) else None)
        return found if isinstance(found, Unchecked) else checks.softened(verdict, found)

    async def _declare_for(
        self, code: str, offered: Offering, *, has_observed: bool = True
    ) -> typegen.ProgramDeclarations:
        """Declare a program's tools in TypeScript. The first time, many take long, and are written on a thread."""
        tools, words, names = self._shown(code, offered), offered.words, offered.unnamed()
        if len(tools) > FEW and not (has_observed and typegen.is_ready(tools)):
            async with self._declaring:  # programs that come at once wait for the first one's declarations
                if not (has_observed and typegen.is_ready(tools)):
                    return await threads.compute(typegen.for_program, tools, words, names, has_observed=has_observed)
        return typegen.for_program(tools, words, names, has_observed=has_observed)

    def _shown(self, code: str, offered: Offering) -> list[Tool]:
        """Return the tools that a program's check declares."""
        # The notebook's own name says what `Notebook` does: it is declared where it is used.
        name = self._name()
        if name is None or name in code:
            return offered.named
        return [tool for tool in offered.named if tool.namespace_name != name]

    def _named_in_text(self, code: str, offered: Offering) -> list[Tool]:
        """Return the tools whose full names can stand in a program's text; where there are many, those that do."""
        tools = self._shown(code, offered)
        if offered.words is None:
            return tools
        return [tool for tool in tools if tool.path in code or tool.registered_path in code]
