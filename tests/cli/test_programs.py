"""``jupyter pctx run``, ``check`` and ``types``: real processes, real sandboxes, a real server."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pctx_jupyter.cli import terminal
from pctx_jupyter.cli.command import Stop
from pctx_jupyter.cli.programs import _constant
from pctx_jupyter.client import PctxClient
from pctx_jupyter.rpc.environment import TOKEN, TOKEN_HEADER
from pctx_jupyter.rpc.jsonrpc import Json

from ..server.process import ServerProcess
from .conftest import PATIENCE_S, Pctx, command, folders


def test_a_program_prints_its_lines_and_then_its_value(pctx: Pctx) -> None:
    done = pctx("run", "-", stdin='console.log("one"); console.error("two"); ({ n: [1, 2] })')
    assert (done.stdout, done.stderr, done.returncode) == ('one\n{"n":[1,2]}\n', "two\n", 0)


def test_null_is_not_printed(pctx: Pctx) -> None:
    done = pctx("run", "-", stdin="const n: number = 1;")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_program_gets_constants_from_the_command_line_and_from_files(pctx: Pctx, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"a": 1}, {"a": 2}]')
    (tmp_path / "sum.ts").write_text("rows.reduce((sum, row) => sum + row.a, start)")
    done = pctx("run", "sum.ts", "--input", "start=10", "--input", "rows=@rows.json")
    assert (done.stdout, done.returncode) == ("13\n", 0), done.stderr


def test_numbers_that_json_lacks_are_null_for_programs_that_read_it(pctx: Pctx) -> None:
    code = "Deno.jupyter.display([{ x: NaN }]); ({ a: [n + 1, NaN, '#NaN', typeof n] })"
    done = pctx("run", "-", "--input", "n=Infinity", stdin=code)
    assert done.stdout.endswith('{"a":[null,null,"#NaN","number"]}\n'), done.stderr
    said = json.loads(pctx("run", "-", "--json", "--input", "n=NaN", stdin=code).stdout)
    assert said["value"] == {"a": [None, None, "#NaN", "number"]}
    assert said["displays"][0]["application/vnd.pctx.value+json"] == [{"x": None}]


def test_for_machines_all_is_one_line_of_json(pctx: Pctx) -> None:
    done = pctx("run", "-", "--json", stdin='console.log("hi"); 7')
    said = json.loads(done.stdout)
    assert (said["success"], said["value"], said["stdout"], said["stderr"]) == (True, 7, "hi\n", "")
    failed = pctx("run", "--json", "-", stdin='console.log("hi");\nthrow new RangeError("no")')
    said = json.loads(failed.stdout)
    assert (said["success"], said["stdout"], failed.returncode) == (False, "hi\n", 1)
    assert (said["error"]["name"], said["error"]["message"], said["error"]["line"]) == ("RangeError", "no", 2)


def test_what_a_program_shows_is_said_in_words(pctx: Pctx) -> None:
    code = """Deno.jupyter.display({ "text/html": "<b>1</b>", "text/plain": "one" }, { raw: true });
        Deno.jupyter.display({ "image/svg+xml": "<svg/>" }, { raw: true });
        Deno.jupyter.md`# two`"""
    done = pctx("run", "-", stdin=code)
    assert (done.stdout, done.returncode) == ("one\n[image/svg+xml]\n# two\n", 0), done.stderr
    said = json.loads(pctx("run", "-", "--json", stdin=code).stdout)
    assert said["displays"][0] == {"text/html": "<b>1</b>", "text/plain": "one"} and len(said["displays"]) == 3


def test_a_program_that_fails_shows_where_and_ends_with_1(pctx: Pctx) -> None:
    done = pctx("run", "-", stdin='const a = 1;\nthrow new Error("broken")')
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("Error: broken\n") and '> 2 | throw new Error("broken")' in done.stderr
    assert "Traceback" not in done.stderr and "--server" not in done.stderr


def test_without_a_server_a_program_that_names_a_notebook_is_told_of_the_option(pctx: Pctx) -> None:
    done = pctx("run", "-", stdin="await Notebook.double({ n: 1 })")
    assert done.returncode == 1 and "Cannot find name 'Notebook'." in done.stderr
    assert "With --server, the program runs at a Jupyter server" in done.stderr
    done = pctx("run", "-", stdin="start + 1")
    assert done.returncode == 1 and done.stderr.endswith("A constant is passed in with --input start=JSON\n")


def test_a_program_with_wrong_types_does_not_run_unless_told_so(pctx: Pctx) -> None:
    wrong = 'console.log("ran"); const n: number = "text"; n'
    refused = pctx("run", "-", stdin=wrong)
    assert refused.returncode == 1 and refused.stdout == "" and "TypeError" in refused.stderr
    ran = pctx("run", "-", "--no-check", stdin=wrong)
    assert (ran.stdout, ran.returncode) == ('ran\n"text"\n', 0)


def test_a_program_is_stopped_at_its_time_limit(pctx: Pctx) -> None:
    done = pctx("run", "-", "--timeout", "0.5", stdin="while (true) {}")
    assert done.returncode == 1 and "stopped after 0.5 s" in done.stderr


def test_the_limits_of_the_servers_configuration_hold(pctx: Pctx, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "jupyter_server_config.py").write_text("c.Pctx.timeout_s = 0.25\n")
    done = pctx("run", "-", stdin="while (true) {}")
    assert done.returncode == 1 and "stopped after 0.25 s" in done.stderr
    done = pctx("run", "-", "--Pctx.timeout_s=0.5", stdin="while (true) {}")
    assert "stopped after 0.5 s" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "one program is needed"),
        (["run", "nowhere.ts"], "Cannot read nowhere.ts: No such file"),
        (["run", "-", "--input", "n"], "it looks like NAME=JSON"),
        (["run", "-", "--input", "n=text"], "is not JSON; a text needs quotes"),
        (["run", "-", "--input", "class=1"], "the word is reserved"),
        (["run", "-", "--timeout", "soon"], "Cannot use --timeout soon: it takes a number"),
        (["run", "-", "--tools", "Sales.*"], "matches no tool"),
        (["run", "-", "--Pctx.timeout_s=-1"], "expected a number above 0"),
        (["run", "-", "--config", "nowhere.py"], "there is no such file"),
        (["check"], "a program is needed"),
        (["types", "tools.d.ts"], "this command takes options only"),
        (["rnu"], "(did you mean run?); there are run, check"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_why(pctx: Pctx, arguments: list[str], said: str) -> None:
    done = pctx(*arguments, stdin="1")
    assert done.returncode == 2 and said in done.stderr and done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="the shell is that of Unix")
def test_closed_streams_and_a_locale_without_the_characters_stop_no_command(pctx: Pctx, tmp_path: Path) -> None:
    def shell(prepared: str) -> Callable[..., list[str]]:
        return lambda *words: ["/bin/sh", "-c", f'{prepared}; exec "$@"', "sh", *words]

    (tmp_path / "a.ts").write_text("'é漢'", "utf-8")
    ascii = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = pctx("run", "a.ts", "--no-check", wrap=shell("exec <&- 2>&-"), **ascii)
    assert (done.stdout, done.returncode) == ('"é漢"\n', 0)
    assert pctx("sandbox-token", wrap=shell("exec >&-")).returncode == 0
    host = ("sandbox-host", "--until-eof", "--url", "http://127.0.0.1:9/")
    done = pctx(*host, wrap=shell("exec </dev/null"), PCTX_HOST_TOKEN="x" * 20)
    assert done.returncode == 0 and "Stopping: the standard input is closed" in done.stderr
    done = pctx("sandbox-token", wrap=shell("mkdir gone; cd gone; rmdir ../gone"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Cannot use the current folder: No such file or directory; change to another one\n"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("[" * 501 + "]" * 501, "nested deeper than 500 levels"),
        ("[" * 100_000 + "]" * 100_000, "nested deeper than 500 levels"),
        ("1" * 10_000, "no number of JavaScript is as large as 1111"),
        ("[-1e400]", "no number of JavaScript is as large as -1e400"),
        ('{"\\ud800": 1}', "half a character"),
        ("", "'' is not JSON"),
    ],
)
def test_a_constant_that_no_program_can_have_is_refused_with_the_reason(value: str, why: str) -> None:
    with pytest.raises(Stop, match=f"Cannot pass in n: .*{re.escape(why)}"):
        _constant(f"n={value}")


def test_every_other_constant_is_passed_as_it_is_written() -> None:
    deep = "[" * 500 + "]" * 500
    for value in (deep, '{"__proto__":1,"":2}', str(2**53 + 1), "1" * 300, "-0.0"):
        assert bytes(_constant(f"n={value}")[1]).decode() == value


def test_without_a_usable_deno_it_ends_with_3(pctx: Pctx) -> None:
    done = pctx("run", "-", "--Pctx.deno=/nowhere/deno", stdin="1")
    assert done.returncode == 3 and "/nowhere/deno (Pctx.deno) is no executable file" in done.stderr


def test_an_interrupt_stops_the_program_at_once(tmp_path: Path) -> None:
    running = subprocess.Popen(
        command("run", "-", "--timeout", "50"),
        cwd=tmp_path,
        env=os.environ | folders(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdin is not None and running.stdout is not None
    running.stdin.write('console.log("started"); while (true) {}')
    running.stdin.close()
    assert running.stdout.readline() == "started\n"
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE_S) == 130
    with running.stdout, running.stderr as told:  # type: ignore[union-attr]
        assert told.read() == "Interrupted\n"


def test_a_reader_that_has_enough_ends_the_program(tmp_path: Path) -> None:
    (tmp_path / "much.ts").write_text('while (true) console.log("x".repeat(1000))')
    shell = " ".join([*command("run", "much.ts", "--timeout", "40"), "| head -n 1"])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell}"],
        cwd=tmp_path,
        env=os.environ | folders(tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("x" * 1000 + "\n", "", 0)


def test_a_check_names_file_line_and_column_and_ends_with_1(pctx: Pctx, tmp_path: Path) -> None:
    (tmp_path / "good.ts").write_text("const n: number = limit; n")
    (tmp_path / "bad.ts").write_text('const a = "🐍é"; const n: number = a;\nn.toFixd()\n')
    done = pctx("check", "good.ts", "bad.ts", "--input", "limit")
    assert done.returncode == 1 and "2 programs: 2 errors" in done.stderr
    assert "bad.ts:1:24: error: Type 'string' is not assignable to type 'number'." in done.stdout
    assert "bad.ts:2:3: error:" in done.stdout and "> 2 | n.toFixd()\n    |   ^^^^^^" in done.stdout
    assert "good.ts:" not in done.stdout
    said = json.loads(pctx("check", "bad.ts", "--json").stdout)
    assert said["ok"] is False and [(d["line"], d["column"], d["length"]) for d in said["diagnostics"]] == [
        (1, 24, 1),
        (2, 3, 6),
    ]


def test_a_check_without_errors_ends_with_0(pctx: Pctx) -> None:
    done = pctx("check", "-", stdin="[1, 2].map((n) => n + 1)")
    assert (done.stdout, done.stderr, done.returncode) == ("", "-: no errors\n", 0)
    assert json.loads(pctx("check", "-", "--json", stdin="1").stdout) == {"ok": True, "diagnostics": []}


def test_on_a_server_a_program_runs_as_an_agents(with_server: Pctx, server: ServerProcess) -> None:
    code = 'console.log("there"); 42'
    for where in (["--server"], ["--port", str(server.port)], ["--url", server.url]):
        done = with_server("run", "-", *where, stdin=code)
        assert (done.stdout, done.stderr, done.returncode) == ("there\n42\n", "", 0), where


async def test_on_a_server_a_program_finds_the_tools_of_its_notebooks(with_server: Pctx, server: ServerProcess) -> None:
    token = server.start_kernel().environ()[TOKEN]
    socket = f"{server.url.replace('http', 'ws', 1)}local-tools"
    schema: dict[str, Json] = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}
    async with PctxClient(socket, headers={TOKEN_HEADER: token}) as kernel:  # as that kernel connects
        await kernel.register_tool("Notebook", "double", lambda args: 2 * args["n"], "Doubles.", schema)
        call = asyncio.to_thread(with_server, "run", "-", "--server", stdin="await Kernel.double({ n: 21 })")
        done = await call
        assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr
        done = await asyncio.to_thread(with_server, "check", "-", "--server", stdin="await Kernel.doubel({ n: 21 })")
        assert done.returncode == 1 and "Did you mean 'double'" in done.stdout
        done = await asyncio.to_thread(with_server, "types", "--server")
        assert "namespace Kernel" in done.stdout and "* Doubles.\n   * Observed in 1 call" in done.stdout
        done = await asyncio.to_thread(with_server, "types", "--server", "--json")
        assert json.loads(done.stdout)["functions"][0] | {"output_schema": None} == {
            "name": "Kernel.double",
            "description": "Doubles.",
            "input_schema": schema,
            "output_schema": None,
        }


def test_a_server_elsewhere_is_reached_by_url_and_token(pctx: Pctx, server: ServerProcess) -> None:
    assert pctx("run", "-", "--url", server.url, "--token", server.token, stdin="1").stdout == "1\n"
    assert pctx("run", "-", "--url", server.url, stdin="1", JUPYTER_TOKEN=server.token).stdout == "1\n"
    assert pctx("run", "-", "--url", f"{server.url}lab?token={server.token}", stdin="1").stdout == "1\n"
    refused = pctx("run", "-", "--url", server.url, "--token", "guessed", stdin="1")
    assert refused.returncode == 3 and "refused the token (403); pass --token" in refused.stderr
    assert "guessed" not in refused.stderr


def test_without_a_server_it_says_how_to_start_one(pctx: Pctx) -> None:
    done = pctx("run", "-", "--server", stdin="1")
    assert done.returncode == 3 and "jupyter pctx start" in done.stderr


def test_there_are_no_types_without_tools(pctx: Pctx) -> None:
    done = pctx("types")
    assert done.returncode == 0 and done.stdout == "" and "no tool" in done.stderr
    assert json.loads(pctx("types", "--json").stdout) == {"functions": []}


class Screen(io.StringIO):
    """What a terminal shows."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Screen(), "\ufffd31m"), (io.StringIO(), "\x9b31m")])
def test_json_commands_no_terminal_and_is_as_it_is_elsewhere(stream: io.StringIO, shown: str) -> None:
    with contextlib.redirect_stdout(stream):
        terminal.write_json({"name": "\x9b31m"})
    assert json.loads(stream.getvalue()) == {"name": shown}
