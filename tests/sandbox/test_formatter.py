"""Laying programs out, with the real Deno."""

from __future__ import annotations

from pathlib import Path

import pytest

from pctx_jupyter import errors
from pctx_jupyter.program.editor import Unformattable
from pctx_jupyter.sandbox.formatter import Formatter
from pctx_jupyter.settings import Settings
from tests.fakes import SOON


async def test_a_text_is_laid_out_and_not_run(tmp_path: Path) -> None:
    file = tmp_path / "touched"
    done = await Formatter(Settings()).format(f"Deno.writeTextFileSync('{file}' ,'x')")
    assert isinstance(done, str) and f'"{file}",' in done
    assert not file.exists()


async def test_a_text_that_is_no_program_has_a_reason_and_a_place() -> None:
    assert await Formatter(Settings()).format("1;\n\nlet 名 = ;") == Unformattable(
        "Cannot format: Expression expected (line 3, column 9)"
    )


async def test_a_text_nested_too_deeply_ends_its_own_process_only() -> None:
    formatter = Formatter(Settings())
    assert await formatter.format("[" * 20_000) == Unformattable("Cannot format: this program is beyond the formatter")
    assert await formatter.format("1") == "1;\n"


async def test_a_text_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(errors.Busy, match=r"Cannot format: it took more than 0 s"):
        await Formatter(Settings(), format_s=0).format("1")


async def test_a_text_whose_turn_does_not_come_is_refused_and_the_next_one_is_formatted() -> None:
    formatter = Formatter(Settings())
    await formatter.format("1")
    async with formatter._turn, formatter._turn:
        formatter._format_s = 0.01
        with pytest.raises(errors.Busy, match=r"Cannot format: 2 texts are being formatted, .* for 0\.01 s; try again"):
            await formatter.format("1")
    formatter._format_s = 5 * SOON
    assert await formatter.format("1") == "1;\n"


async def test_without_deno_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(errors.SandboxUnavailable, match=r"Cannot format: .* is no executable file"):
        await Formatter(Settings(deno=str(tmp_path / "deno"))).format("1")
