"""``make test-clients``: start a real server, run the client tests against it, stop it, say what failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.server.process import server_process

from .conftest import TOKEN, URL

LOG_LINES = 40
"""Lines of the server's log shown after a failure."""


def main() -> int:
    """Run the tests; returns the exit code: pytest's, or 1 when the server did not start or stop as it should."""
    try:
        with server_process("--Pctx.warm_sandboxes=2") as server:
            print(f"server: up at {server.url}", flush=True)
            place = {URL: server.url.replace("http", "ws", 1) + "local-tools", TOKEN: server.token}
            tests = [sys.executable, "-m", "pytest", "-q", str(Path(__file__).parent), *sys.argv[1:]]
            failed = subprocess.run(tests, env=os.environ | place, check=False).returncode
            died = server.process.poll()
            if died is None:
                print(f"server: stopped with exit code {server.stop()}")
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.TimeoutExpired as error:
        print(f"server: did not stop within {error.timeout:g} s, and was killed", file=sys.stderr)
        return 1
    if died is not None:
        print(f"server: died while it was tested, exit code {died}", file=sys.stderr)
    if failed or died is not None:
        print("".join(f"server | {line}\n" for line in server.log.splitlines()[-LOG_LINES:]), file=sys.stderr)
    return failed or int(died is not None)


if __name__ == "__main__":
    sys.exit(main())
