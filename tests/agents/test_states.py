"""What agents keep between programs: real states, session and checks; a sandbox that is a function."""

from __future__ import annotations

from typing import Any

import pytest

from pctx_jupyter import errors
from pctx_jupyter.agents.functions import Functions
from pctx_jupyter.agents.states import NEW, OWNER, States
from pctx_jupyter.program.result import Emit, ValuesKept
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.session.execution import CLIENT, Job, ServeCall
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.settings import Settings

from ..fakes import FakeClock, FakeSandbox


def states(clock: FakeClock | None = None, **settings: Any) -> States:
    return States(Settings(**settings), clock or FakeClock())


def agents(**settings: Any) -> Functions:
    """The functions for agents, whose programs print the names that earlier ones left for them."""

    def act(job: Job, serve: ServeCall, emit: Emit) -> list[str]:
        emit(ValuesKept({"rate": rpc.raw(1.19)}, {}))
        return [name for prelude in job.prelude for name in prelude.names]

    chosen = Settings(**settings)
    return Functions(Registry(FakeSandbox(act), chosen, FakeClock()).agents(), chosen)


async def run(functions: Functions, code: str, **arguments: Any) -> str:
    async def ignore(message: str) -> None:
        """Drop it."""

    return (await functions.call("execute", {"code": code, **arguments}, ignore)).text


def id_of(text: str) -> str:
    return text.rpartition('state: "')[2].partition('"')[0]


async def test_exports_are_there_for_later_programs_with_the_same_state_and_for_no_others() -> None:
    functions = agents()
    first = await run(functions, "export const rate = 1.19;\nrate", state=NEW)
    assert first.endswith(" has rate")
    assert (await run(functions, "1", state=id_of(first))).startswith('["rate"]\n')
    other = await run(functions, "1", state=NEW)
    assert other.startswith("[]\n") and id_of(other) != id_of(first)
    assert await run(functions, "1") == "[]"
    assert len(functions.states) == 2 and list(functions.session.kept) == []


async def test_a_program_without_a_state_leaves_nothing() -> None:
    functions = agents()
    await run(functions, "export const rate = 1.19;\nrate")
    assert len(functions.states) == 0 and list(functions.session.kept) == []


async def test_another_owner_cannot_use_a_state() -> None:
    functions = agents()
    token = OWNER.set("one")
    try:
        id = id_of(await run(functions, "1", state=NEW))
        OWNER.set("other")
        assert "no such state" in await run(functions, "1", state=id)
        OWNER.set("one")
        assert id_of(await run(functions, "1", state=id)) == id
    finally:
        OWNER.reset(token)


async def test_what_is_too_large_to_be_kept_is_said_with_the_reason() -> None:
    text = await run(agents(max_agent_state_bytes=10), "export const rate = 1.19;\nrate", state=NEW)
    assert "Not kept: rate: " in text and "Pctx.max_agent_state_bytes" in text and "%pctx" not in text


async def test_states_can_be_switched_off() -> None:
    functions = agents(max_agent_states=0)
    assert "Pctx.max_agent_states" in await run(functions, "1", state=NEW)
    definition = next(known for known in functions.definitions() if known.name == "execute")
    assert "state" not in definition.properties and "Nothing is kept" in definition.description


async def test_the_description_of_a_program_says_how_to_keep_something() -> None:
    definition = next(known for known in agents().definitions() if known.name == "execute")
    assert 'state: "new"' in definition.description and "state" in definition.properties


def test_a_state_that_is_not_used_expires() -> None:
    clock = FakeClock()
    made = states(clock, agent_state_idle_s=60)
    one = made.open(NEW, "")
    clock.now += 59
    assert made.open(one.id, "") is one
    clock.now += 61
    with pytest.raises(errors.InvalidParams, match="kept for 60 s"):
        made.open(one.id, "")
    assert len(made) == 0


def test_the_state_unused_the_longest_makes_room_unless_a_program_runs_with_it() -> None:
    made = states(max_agent_states=2)
    one, other = made.open(NEW, ""), made.open(NEW, "")
    one.programs = 1
    made.open(NEW, "")
    assert made.open(one.id, "") is one and len(made) == 2
    with pytest.raises(errors.InvalidParams, match="no such state"):
        made.open(other.id, "")


async def test_the_client_with_the_most_states_makes_room_for_its_own_and_for_others() -> None:
    made = states(max_agent_states=4)
    modest = made.open(NEW, "")
    CLIENT.set("greedy")
    first, *_ = [made.open(NEW, "") for _ in range(10)]
    CLIENT.set("other")
    made.open(NEW, "")
    assert made.open(modest.id, "") is modest and len(made) == 4
    with pytest.raises(errors.InvalidParams, match="unless newer ones need its room"):
        made.open(first.id, "")


def test_no_state_is_made_while_programs_run_in_all() -> None:
    made = states(max_agent_states=1)
    made.open(NEW, "").programs = 1
    with pytest.raises(errors.Busy, match="try again"):
        made.open(NEW, "")


@pytest.mark.parametrize("guessed", ["", "1", "NEW", "x" * 10_000])
def test_no_state_can_be_guessed(guessed: str) -> None:
    made = states()
    made.open(NEW, "")
    with pytest.raises(errors.InvalidParams, match="no such state"):
        made.open(guessed, "")
