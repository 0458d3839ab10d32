"""The messages between an engine and a sandbox host, typed. Both ends speak JSON-RPC over one channel.

A host connects to the engine and says what it is (`HELLO`). From then on the engine gives it programs (`RUN_JOB`). The
host passes each tool call of a program to the engine, and everything that the program prints or displays. It gets
programs, their inputs and the results of their calls, and nothing else.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .. import errors
from ..program.kept import Prelude
from ..program.program import Program
from ..rpc import sandbox_wire, wire
from ..session.execution import Job
from ..session.hold import Hold
from ..settings import MIB, Limits, Settings

WIRE = 1
"""The number of this protocol. An engine refuses hosts with another one."""

TOKEN_HEADER = "X-Pctx-Host-Token"
"""The request header that carries the token of sandbox hosts."""

# host → engine
HELLO = "hello"
CALL = sandbox_wire.CALL
BEGAN = "began"
LEAVING = "leaving"
OUTPUT, DISPLAY, KEPT = wire.OUTPUT, wire.DISPLAY, sandbox_wire.KEPT

FAILED = errors.ExecutionError.code
"""The code with which ``run_job`` is refused if the program failed."""

# engine → host
RUN_JOB = "run_job"
HOLD = "hold"
DISMISS = "dismiss"


class Hello(msgspec.Struct):
    """Parameters of ``hello``: what a host is.

    `layers` are those that isolate its sandboxes; `capacity` is how many programs it runs at the same time.
    """

    version: str
    wire: int
    layers: int
    capacity: int
    deno: str = ""
    name: str = ""


class Welcome(msgspec.Struct):
    """Result of ``hello``: the settings of the engine that a host's sandboxes follow."""

    limits: Limits
    layers: int
    jitless: bool
    max_message_bytes: int
    max_queue_s: float
    max_waiting_programs: int

    @classmethod
    def of(cls, settings: Settings) -> Welcome:
        """Make the answer of an engine with these settings."""
        return cls(
            settings.limits,
            settings.layers,
            settings.jitless,
            settings.max_message_bytes,
            settings.max_queue_s,
            settings.max_waiting_programs,
        )

    def settings(self, capacity: int, deno: str = "") -> Settings:
        """Return the settings of a host's pool.

        The engine decides which program has a place. Programs that wait for a person keep their processes, so there
        is room for those beyond the capacity.

        Args:
            capacity: Programs that run at the same time.
            deno: The path of Deno on the host; empty: the one that came with the package.
        """
        room = capacity + 2 * self.max_waiting_programs + 1
        return Settings(
            limits=self.limits,
            layers=self.layers,
            jitless=self.jitless,
            max_message_bytes=self.max_message_bytes,
            max_queue_s=self.max_queue_s,
            max_running=room,
            max_running_per_session=room,
            max_queued_per_session=room,
            warm_sandboxes=min(2, capacity),
            deno=deno,
        )


class RunJob(msgspec.Struct, omit_defaults=True):
    """Parameters of ``run_job``: a `Job` without what only its engine needs. `run` names it on this connection.

    The result is the program's value and nothing around it, so that neither end has to read it twice. A program that
    fails is an error (`JobFailed`).
    """

    run: int
    execution_id: str
    text: str
    entry: dict[str, str | None]
    namespaces: dict[str, dict[str, str]]
    inputs: dict[str, Raw]
    limits: Limits
    prelude: list[sandbox_wire.RunPrelude] = []
    patient: list[str] = []
    places: bool = False
    functions: list[sandbox_wire.ProgramFunction] = []

    @classmethod
    def of(cls, run: int, job: Job) -> RunJob:
        """Make the message of a job."""
        return cls(
            run=run,
            execution_id=job.execution_id,
            text=job.program.text,
            entry=job.program.entry,
            namespaces={name: dict(tools) for name, tools in job.namespaces.items()},
            inputs=dict(job.inputs),
            limits=job.limits,
            prelude=[sandbox_wire.RunPrelude(p.name, list(p.names), p.code, dict(p.values)) for p in job.prelude],
            patient=sorted(job.patient),
            places=job.places,
            functions=list(job.functions),
        )

    def job(self, hold: Hold) -> Job:
        """Return the job, as the host's pool runs it."""
        entry = self.entry
        program = Program("", self.text, run=entry.get("run"), value=entry.get("value"), kept=entry.get("kept"))
        return Job(
            execution_id=self.execution_id,
            program=program,
            namespaces=self.namespaces,
            inputs=self.inputs,
            limits=self.limits,
            prelude=tuple(Prelude(p.name, tuple(p.names), p.code, p.values) for p in self.prelude),
            patient=frozenset(self.patient),
            hold=hold,
            places=self.places,
            functions=self.functions,
        )


class JobStopped(msgspec.Struct):
    """Why a host stopped a program: at a limit, or because its sandbox ended."""

    name: Literal["LimitExceeded", "SandboxEnded"]
    message: str


class JobFailed(msgspec.Struct, omit_defaults=True):
    """The data of the error with which ``run_job`` is refused if the program failed: exactly one of these is set."""

    thrown: sandbox_wire.Thrown | None = None
    stopped: JobStopped | None = None
    timed_out: bool = False

    def error(self) -> errors.Remote:
        """Return that error."""
        return errors.Remote(FAILED, "The program failed", msgspec.to_builtins(self))


class CallOfRun(msgspec.Struct, omit_defaults=True):
    """Parameters of ``call``: a program calls a tool by its path; `stack` says where, if it was asked to."""

    run: int
    name: str
    arguments: Raw | UnsetType = UNSET
    stack: str = ""


class RunBegan(msgspec.Struct):
    """Parameters of ``began``: the program has a sandbox and has run for a moment."""

    run: int


class OutputOfRun(sandbox_wire.Printed, kw_only=True):
    """Parameters of ``output``: a program printed something."""

    run: int


class DisplayOfRun(sandbox_wire.Displayed, kw_only=True, omit_defaults=True):
    """Parameters of ``display``: a program displayed something."""

    run: int


class KeptOfRun(sandbox_wire.KeptNotice, kw_only=True):
    """Parameters of ``kept``: a program ended, with these constants."""

    run: int


class RunHeld(msgspec.Struct):
    """Parameters of ``hold``: whether the wall clock of a program stands still from now on."""

    run: int
    held: bool


def frame_bytes(settings: Settings | Welcome) -> int:
    """Return the largest frame between an engine with these settings and a host."""
    limits = settings.limits
    said = 6 * (limits.max_output_bytes + limits.max_display_bytes)
    return max(settings.max_message_bytes, limits.max_result_bytes, said) + 16 * MIB
