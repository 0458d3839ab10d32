"""What clients, kernels and programs leave in a registry after hundreds of each: a bounded amount.

Real registry, sessions and channels in memory; the sandbox is fake.
"""

from __future__ import annotations

from collections.abc import Sized

from pctx_jupyter.program.result import Emit
from pctx_jupyter.rpc.channel import Channel, crossed
from pctx_jupyter.session.execution import Job, ServeCall
from pctx_jupyter.session.local_tools import LocalTools
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.settings import Settings

from ..fakes import FakeClock, FakeSandbox

MANY = 500
SETTINGS = Settings(max_history=10, max_kept=10, max_tools=10)


async def answer(job: Job, serve: ServeCall, emit: Emit) -> object:
    """A program that returns a number."""
    return 1


def sizes(thing: object, path: str, depth: int = 4, seen: set[int] | None = None) -> dict[str, int]:
    """Return the length of each collection that an object of this package holds, by its path."""
    seen = set() if seen is None else seen
    found: dict[str, int] = {}
    if depth == 0 or id(thing) in seen or not type(thing).__module__.startswith("pctx_jupyter"):
        return found
    seen.add(id(thing))
    names = [
        *getattr(thing, "__dict__", {}),
        *(n for kind in type(thing).__mro__ for n in getattr(kind, "__slots__", ())),
    ]
    for name in names:
        value = getattr(thing, name, None)
        if isinstance(value, Sized) and not isinstance(value, str | bytes):
            try:
                found[f"{path}.{name}"] = len(value)
            except TypeError:
                continue
        found |= sizes(value, f"{path}.{name}", depth - 1, seen)
    return found


async def test_hundreds_of_clients_kernels_tools_and_programs_leave_no_collection_that_grows_with_their_number() -> (
    None
):
    registry = Registry(FakeSandbox(answer), SETTINGS, FakeClock())
    keeping = registry.open()

    async def one(n: int) -> None:
        kernel_id = f"kernel{n}"
        client, door = crossed(
            lambda send: Channel(send, name="client", max_bytes=1 << 20),
            lambda send: LocalTools(registry, SETTINGS, send, kernel_id=kernel_id).channel,
        )
        registry.name_kernel(kernel_id, f"report {n}")
        registry.share_kernel(kernel_id, "everyone")
        await client.call("register_tool", {"namespace": "n", "name": f"t{n}"})
        await client.call("execute", {"code": f"export const c{n} = 1", "execution_id": f"e{n}", "events": True})
        await registry.agents().execute(f"{n}")
        await keeping.execute(f"{n}")
        client.close()
        assert door.is_closed
        registry.forget_kernel(kernel_id)

    for n in range(50):
        await one(n)
    before = sizes(registry, "registry") | sizes(keeping, "session") | sizes(registry.agents(), "agents")
    for n in range(50, MANY):
        await one(n)
    after = sizes(registry, "registry") | sizes(keeping, "session") | sizes(registry.agents(), "agents")
    assert len(after) > 20, "it has looked into something"
    grown = {path: (before.get(path, 0), size) for path, size in after.items() if size > before.get(path, 0) + 5}
    assert not grown, grown
