"""Bash commands in real sandboxes, over a small tree of declarations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.sandbox import shell as module
from pctx_jupyter.sandbox.shell import Shell
from pctx_jupyter.session.bash import BashJob, BashResult
from pctx_jupyter.settings import Limits

from .programs import pool_of

FILES = rpc.raw(
    {
        "README.md": "# TypeScript SDK\n\n## Math\n\nMath/add.d.ts  # adds\nMath/multiply.d.ts  # multiplies\n",
        "Math/add.d.ts": "declare function add(args: { a: number }): Promise<number>;\n",
        "Math/multiply.d.ts": "declare function multiply(): Promise<number>; // ×, 😀\n",
    }
)
LIMITS = replace(Limits(), timeout_s=20)


class Prompt:
    """Runs commands in one pool."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    async def __call__(self, command: str, files: Raw = FILES, **limits: Any) -> BashResult:
        return await self._shell.run(BashJob(command, files, replace(LIMITS, **limits), "a client"))


@asynccontextmanager
async def open_shell() -> AsyncIterator[Prompt]:
    async with pool_of(warm_sandboxes=2) as pool:
        yield Prompt(Shell(pool.run))


async def test_the_commands_of_everyday_work() -> None:
    async with open_shell() as bash:
        for command, stdout in {
            "pwd; ls": "/sdk\nMath\nREADME.md\n",
            "cat Math/multiply.d.ts": "declare function multiply(): Promise<number>; // ×, 😀\n",
            "grep -rl Promise Math | sort": "Math/add.d.ts\nMath/multiply.d.ts\n",
            "find . -name '*.d.ts' | wc -l | tr -d ' '": "2\n",
            "head -1 README.md; tail -n 1 README.md": "# TypeScript SDK\nMath/multiply.d.ts  # multiplies\n",
            "grep '#' README.md | sed 's/^.*# //' | sort -r | uniq": "TypeScript SDK\nmultiplies\nMath\nadds\n",
            "awk '/d.ts/ {print $3}' README.md | paste -sd, -": "adds,multiplies\n",
            "echo '{\"a\": [1, 2]}' | jq -c '.a[1]'": "2\n",
            "for f in Math/*; do basename $f .d.ts; done": "add\nmultiply\n",
            "ls > /tmp/found && wc -l < /tmp/found | tr -d ' '": "2\n",
            "x=$(cat <<'E'\n  two\nE\n); echo \"$x\"": "  two\n",
            "false | true; echo ${PIPESTATUS[@]}": "1 0\n",
        }.items():
            done = await bash(command)
            assert (done.stdout, done.stderr, done.exit_code) == (stdout, "", 0), command


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("exit 7", 7, ""),
        ("false", 1, ""),
        ("grep nothing README.md", 1, ""),
        ("nope", 127, "nope: command not found"),
        ("if", 2, "syntax error"),
        ("echo '", 2, "unexpected EOF"),
        ("cat nothing", 1, "No such file or directory"),
        ("cat /etc/passwd", 1, "No such file or directory"),
        ("f() { f; }; f", 126, "maximum recursion depth (100) exceeded\n"),
        (
            "curl http://127.0.0.1; wget x; python3 -c 1; node; js-exec 1; sqlite3; gzip x; ssh x",
            127,
            "".join(
                f"bash: {name}: command not found\n"
                for name in ("curl", "wget", "python3", "node", "js-exec", "sqlite3", "gzip", "ssh")
            ),
        ),
    ],
)
async def test_what_goes_wrong_has_the_exit_code_of_bash(command: str, code: int, said: str) -> None:
    async with open_shell() as bash:
        done = await bash(command)
    assert done.exit_code == code and done.stdout == ""
    assert said in done.stderr if said else done.stderr == ""


async def test_the_tree_cannot_be_changed_by_any_way() -> None:
    async with open_shell() as bash:
        before = await bash("find /sdk -type f | sort | xargs cat")
        for change in [
            *(
                "echo x > README.md",
                "echo x >> /sdk/new",
                "mkdir new",
                "rm README.md",
                "rm -rf /sdk/Math",
                "rm -rf /sdk",
            ),
            *("mv README.md /tmp", "mv Math /tmp/Math", "cp /dev/null README.md", "sed -i s/a/b/ README.md"),
            *("touch new", "ln -s /tmp new", "ln README.md /tmp/same && echo x > /tmp/same", "echo x | tee README.md"),
            *("ln -s /sdk /tmp/link; echo x > /tmp/link/new", "ln -s /sdk/README.md /tmp/link; echo x >> /tmp/link"),
            *("cd Math; rm ../README.md", "chmod 000 README.md", "mv / /tmp/all", "rm -rf /"),
        ]:
            after = await bash(f"bash -c '{change}' > /dev/null 2>&1; find /sdk -type f | sort | xargs cat")
            assert after.stdout in (before.stdout, ""), change
            if after.stdout == "":  # the shell ends a command whose output cannot be redirected
                assert "EROFS: read-only file system" in after.stderr, change


async def test_what_a_command_writes_is_gone_with_it() -> None:
    async with open_shell() as bash:
        assert (await bash("echo kept > /tmp/a; export B=1; cat /tmp/a")).stdout == "kept\n"
        assert (await bash("ls -A /tmp; echo [$B]")).stdout == "[]\n"


async def test_a_command_that_does_not_end_is_stopped_at_the_time_limit() -> None:
    async with open_shell() as bash:
        for command in ("while true; do :; done", "sleep 1000", "awk 'BEGIN { while (1) x++ }'"):
            done = await bash(command, timeout_s=1)
            assert done == BashResult(124, "", "bash: stopped after 1 s; ask for less\n"), command


async def test_a_command_that_takes_too_much_memory_is_stopped() -> None:
    async with open_shell() as bash:
        command = "head -c 20000000 /dev/zero > /tmp/a; i=0; while true; do cat /tmp/a > /tmp/$((i++)); done"
        done = await bash(command, max_heap_mb=64, max_memory_mb=128)
        assert done.exit_code != 0 and done.stderr
        assert (await bash("echo next")).stdout == "next\n"


async def test_long_output_is_cut_with_a_note() -> None:
    async with open_shell() as bash:
        done = await bash("seq 200000; seq 200000 >&2; exit 3", max_output_bytes=1_000)
        for text in (done.stdout, done.stderr):
            assert text.startswith("1\n2\n") and text.endswith("\n… output cut after 1000 bytes (max_output_bytes)\n")
            assert len(text) < 1_100
        assert done.exit_code == 3
        assert (await bash("printf '%0999d' 1", max_output_bytes=1_000)).stdout == "1".rjust(999, "0")
        assert "\ufffd" not in (await bash("printf '×%.0s' $(seq 999)", max_output_bytes=1_001)).stdout


async def test_a_tree_of_many_functions_is_searched() -> None:
    files = {f"Space{n % 9}/load{n}.d.ts": f"declare function load{n}(): Promise<any>;\n" for n in range(5_000)}
    async with open_shell() as bash:
        done = await bash("grep -rl 'load4999(' Space4; find . -type f | wc -l | tr -d ' '", rpc.raw(files))
    assert (done.exit_code, done.stdout) == (0, "Space4/load4999.d.ts\n5000\n")


async def test_without_the_shell_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "BUNDLE", tmp_path / "nothing")
    async with open_shell() as bash:
        with pytest.raises(errors.SandboxUnavailable, match=r"No such file.*install the package again, or run python"):
            await bash("ls")
