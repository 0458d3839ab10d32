"""The policy of a sandbox: what its command line, environment and limits say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pctx_jupyter.sandbox import flags
from pctx_jupyter.settings import MIB, Limits


def test_no_permission_is_granted() -> None:
    command = flags.command("/deno", Limits())
    assert command[:2] == ["/deno", "run"]
    assert not [flag for flag in command if flag.startswith(("--allow", "-A", "--unstable", "--inspect"))]
    assert {"--no-prompt", "--no-remote", "--no-npm", "--cached-only", "--no-config"} <= set(command)
    assert command[-1] == flags.BOOT


def test_the_heap_limit_and_jitless_reach_v8() -> None:
    young = f"--min-semi-space-size={flags.YOUNG_MB}"
    assert f"--v8-flags=--max-old-space-size=99,{young}" in flags.command("/deno", Limits(max_heap_mb=99))
    jitless = flags.command("/deno", Limits(max_heap_mb=99), jitless=True)
    assert f"--v8-flags=--max-old-space-size=99,{young},--jitless" in jitless


def test_the_environment_carries_nothing_of_the_host() -> None:
    assert not {"PATH", "USER", "LANG"} & flags.ENVIRONMENT.keys()
    assert not Path(flags.ENVIRONMENT["HOME"]).exists()
    assert not Path(flags.ENVIRONMENT["DENO_DIR"]).exists()


def test_what_is_readable_names_no_proc_no_home_and_no_working_directory() -> None:
    for path in flags.readable("/opt/deno"):
        assert path.startswith(("/opt/deno", "/lib", "/usr/lib", "/dev/urandom", str(flags.RUNTIME)))


@pytest.mark.skipif(sys.platform != "linux", reason="sets limits on another process")
def test_a_running_process_is_put_under_its_limits() -> None:
    command = [sys.executable, "-c", "print('ready', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        flags.restrict(process.pid, Limits(max_memory_mb=100, max_cpu_s=7))
        child = psutil.Process(process.pid)
        data, _ = child.rlimit(psutil.RLIMIT_DATA)
        assert 100 * MIB < data < 200 * MIB
        assert child.rlimit(psutil.RLIMIT_CPU) == (7, 8)
        assert child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_NOFILE) == (64, 64)
        process.kill()
    with pytest.raises(ProcessLookupError):
        flags.restrict(process.pid, Limits())


def test_the_memory_of_a_process_is_known_and_of_none_is_not() -> None:
    assert flags.resident(os.getpid()) > MIB
    assert flags.resident(2**22 + 1) == 0
