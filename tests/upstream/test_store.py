"""State that several processes of one user share. Real files, real locks and real second processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pctx_jupyter import files
from pctx_jupyter.upstream import config, store
from pctx_jupyter.upstream.allowed import Allowed
from pctx_jupyter.upstream.config import ServerConfig
from pctx_jupyter.upstream.fingerprints import Fingerprint, Fingerprints
from pctx_jupyter.upstream.shapes import ShapeFile
from pctx_jupyter.upstream.sign_in import KeptSignIn, SignInStore
from pctx_jupyter.upstream.trust import Trust

from .conftest import PATIENCE_S

NUMBERS = 60
"""Changes that each of two processes makes in a test."""


def numbers(path: Path) -> store.Store[list[int]]:
    return store.open_store(str(path), list[int], what="the numbers", unread="they start again")


def append(number: int) -> Callable[[list[int] | None], list[int]]:
    return lambda known: [*(known or ()), number]


def server(name: str) -> ServerConfig:
    found = config.server_of({"name": name, "url": f"https://{name}.example/mcp"})
    assert found is not None
    return found


def both(tmp_path: Path, script: str) -> None:
    """Run a script in two processes at once, ``me`` being 0 or 1 and ``path`` a file; both begin at the same moment."""
    path = tmp_path / "state.json"
    head = f"""
import sys, time
from pathlib import Path
me, path, ready = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
from tests.upstream.test_store import *
(ready / str(me)).touch()
while len(list(ready.iterdir())) < 2:
    time.sleep(0.001)
NUMBERS = {NUMBERS}
"""
    (ready := tmp_path / "ready").mkdir()
    command = [sys.executable, "-c", head + script]
    running = [subprocess.Popen([*command, str(me), str(path), str(ready)]) for me in (0, 1)]
    assert [process.wait(PATIENCE_S * 4) for process in running] == [0, 0]


def test_two_processes_that_change_one_key_at_once_lose_no_change(tmp_path: Path) -> None:
    both(tmp_path, "for n in range(NUMBERS): numbers(Path(path)).change('one', append(2 * n + me))")
    assert sorted(numbers(tmp_path / "state.json").get("one") or []) == list(range(2 * NUMBERS))


def test_two_processes_that_trust_servers_of_one_file_at_once_trust_all_of_them(tmp_path: Path) -> None:
    both(tmp_path, "for n in range(NUMBERS): Trust(path).add('/a/pctx.json', [server(f's{2 * n + me}')])")
    known = Trust(str(tmp_path / "state.json"))
    assert all(known.holds("/a/pctx.json", server(f"s{n}")) for n in range(2 * NUMBERS))


def test_two_processes_that_allow_tools_of_one_server_at_once_allow_all_of_them(tmp_path: Path) -> None:
    both(
        tmp_path,
        """
known = Allowed(path)
for n in range(NUMBERS):
    known.add('/a/pctx.json', server('s'), {f't{2 * n + me}': Fingerprint.of('', {})}, 'agent')
""",
    )
    assert len(Allowed(str(tmp_path / "state.json")).names("/a/pctx.json", server("s"))) == 2 * NUMBERS


def test_two_processes_that_observe_one_tool_at_once_widen_one_type_and_lose_no_call(tmp_path: Path) -> None:
    both(
        tmp_path,
        """
from pctx_jupyter.session.observations import KeptShape
from pctx_jupyter.tools.observed import shape_of
kept = ShapeFile(path)
for n in range(2 * me, 2 * NUMBERS, 4):
    number = KeptShape('of', shape_of({'id': me or 'x', f'only_{me}': True}), 1)
    kept.add({'tool': number, f't{n}': number})
""",
    )
    kept = ShapeFile(str(tmp_path / "state.json"))
    one = kept.get("tool")
    assert one is not None and one.calls == NUMBERS
    assert one.shape.fields is not None and one.shape.fields.keys() == {"id", "only_0", "only_1"}
    assert one.shape.fields["id"].scalars == {"number", "string"} and one.shape.required == {"id"}
    assert kept.all().keys() == {"tool", *(f"t{n}" for n in range(0, 2 * NUMBERS, 2))}


def test_two_processes_that_sign_in_at_once_keep_all_sign_ins(tmp_path: Path) -> None:
    both(
        tmp_path,
        """
import asyncio, msgspec
async def main():
    known = SignInStore(path, in_keychain=False)
    for n in range(NUMBERS):
        def change(kept):
            kept.tokens = msgspec.Raw(b'1')
        await known.change(f's{2 * n + me}', 'https://x', change)
asyncio.run(main())
""",
    )
    assert len(json.loads((tmp_path / "state.json").read_text())) == 2 * NUMBERS


async def test_token_and_registration_of_one_server_that_two_keep_at_once_are_both_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "sign-ins.json")
    one, other = (SignInStore(path, in_keychain=False) for _ in range(2))
    await one.get("s", "https://x")

    def tokens(kept: KeptSignIn) -> None:
        kept.expires_at = 1.0

    def client(kept: KeptSignIn) -> None:
        kept.client = kept.tokens.__class__(b'{"id": 1}')

    await other.change("s", "https://x", client)
    await one.change("s", "https://x", tokens)
    kept = await other.get("s", "https://x")
    assert (kept.expires_at, bytes(kept.client)) == (1.0, b'{"id": 1}')
    assert await other.has_changed() and not await other.has_changed()
    assert bytes((await one.get("s", "https://elsewhere")).client) == b"null"


def test_an_approval_that_one_process_takes_back_does_not_return_with_the_next_change_of_another(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "tools.json")
    one, other = Fingerprints(path), Fingerprints(path)
    tool, changed = Fingerprint.of("Adds.", {}), Fingerprint.of("Sends it all away.", {})
    one.compare("calc", "calc-server", {"add": tool})
    other.compare("calc", "calc-server", {"add": tool})
    one.forget("calc", "calc-server")
    other.approve("wiki", "wiki-server", {"look": tool})
    assert one.compare("calc", "calc-server", {"add": changed}).changed == ()  # as first seen
    assert [tool.name for tool in other.compare("calc", "calc-server", {"add": tool}).changed] == ["add"]


def test_two_servers_of_one_name_in_two_folders_both_stay_approved(tmp_path: Path) -> None:
    path = str(tmp_path / "tools.json")
    tool, changed = Fingerprint.of("Adds.", {}), Fingerprint.of("Sends it all away.", {})
    for where in ("here", "there"):
        Fingerprints(path).compare("calc", where, {"add": tool})
    for where in ("here", "there"):
        assert Fingerprints(path).compare("calc", where, {"add": changed}).changed[0].name == "add"


def test_keys_and_values_that_this_version_does_not_know_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    path.write_text('{"later": {"of": "another version"}, "one": [1]}')
    known = numbers(path)
    known.change("one", append(2))
    assert json.loads(path.read_text()) == {"later": {"of": "another version"}, "one": [1, 2]}
    assert known.get("later") is None


def test_a_broken_file_is_set_aside_before_another_is_written(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    path.write_text('{"one": [1')
    known = numbers(path)
    assert known.trouble is not None and "the numbers cannot be read" in known.trouble
    known.change("two", append(2))
    assert json.loads(path.read_text()) == {"two": [2]}
    assert Path(f"{path}.broken").read_text() == '{"one": [1'
    assert known.trouble is not None and known.trouble.endswith("what was there is kept beside it")


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is that of Unix")
def test_what_cannot_be_read_for_a_moment_is_read_again(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "numbers.json"
    numbers(path).change("one", append(1))
    known = numbers(path)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        assert known.get("one") is None
        assert known.trouble is not None and "ulimit -n" in known.trouble
        mark = known.mark
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert known.get("one") == [1] and known.trouble is None
    assert known.mark != mark  # those who watch it look again


def full(path: Path) -> None:
    """Have no room: the folder is a file."""
    path.parent.rename(path.parent.with_suffix(".there"))
    path.parent.touch()


def freed(path: Path) -> None:
    path.parent.unlink()
    path.parent.with_suffix(".there").rename(path.parent)


def test_what_cannot_be_written_holds_here_is_said_and_is_written_once_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "data" / "numbers.json"
    known = numbers(path)
    known.change("one", append(1))
    full(path)
    known.change("one", append(2))
    known.change("one", append(3))
    assert known.get("one") == [2, 3]  # what is kept cannot be read either
    assert known.trouble is not None and "cannot be written" in known.trouble and str(path) in known.trouble
    assert "holds until this process ends" in known.trouble
    freed(path)
    assert known.get("one") == [1, 2, 3]
    numbers(path).change("one", append(4))  # another process
    known.retry()
    assert known.trouble is None
    assert json.loads(path.read_text()) == {"one": [1, 4, 2, 3]}


def test_a_change_that_must_be_kept_or_refused_leaves_nothing_when_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data" / "numbers.json"
    known = numbers(path)
    known.change("one", append(1))
    full(path)
    with pytest.raises(OSError):  # which one, the system decides
        known.change_or_raise("one", append(2))
    freed(path)
    known.retry()
    assert known.get("one") == [1] and known.trouble is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_loses_nothing_of_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "numbers.json"
    numbers(path).change("one", append(1))
    script = f"""
import resource, signal
from tests.upstream.test_store import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))  # no file may have more than a byte
known = numbers(Path({str(path)!r}))
known.change("one", append(2))
print(known.get("one"), known.trouble)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[1, 2] the numbers cannot be written")
    assert json.loads(path.read_text()) == {"one": [1]}
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".numbers")] == []


WRITER = """
import os, sys, time
from pctx_jupyter import files

def stay(file):
    print("written", flush=True)
    time.sleep(600)

os.fsync = stay
files.write(sys.argv[1], b"{}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be removed there")
def test_what_a_killed_process_left_of_a_file_is_removed_and_never_what_another_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    (tmp_path / ".numbers.json.swp").touch()  # an editor's
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "written\n"
        numbers(path).change("one", append(1))
        assert [one.suffix for one in tmp_path.glob(".numbers.json.*.*")] == [files.UNFINISHED]
        writer.kill()
    numbers(path).change("one", append(2))
    assert sorted(one.name for one in tmp_path.iterdir()) == [".numbers.json.swp", path.name, f"{path.name}.lock"]


HOLDER = """
import sys, time
from pctx_jupyter.upstream import store
with store.locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_process_that_is_stuck_with_the_lock_is_named_and_what_is_changed_meanwhile_holds(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    lock = f"{path}.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, lock], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        known = numbers(path)
        known.change("one", append(1))
        assert known.get("one") == [1] and not path.exists()
        assert known.trouble is not None and "another process holds" in known.trouble
        holder.kill()
    known.retry()
    assert known.trouble is None and json.loads(path.read_text()) == {"one": [1]}


def test_nobody_who_reads_or_retries_waits_for_a_process_that_holds_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "numbers.json"
    place = store.FilePlace(str(path))
    known = store.Store(place, f"{path}.lock", list[int], what="the numbers", unread="none", lock_s=1e9)
    with store.locked(f"{path}.lock"):
        changing = threading.Thread(target=known.change, args=("one", append(1)))
        changing.start()
        while known.get("one") != [1]:
            pass  # until the thread waits for the file lock
        assert known.mark != object() and known.trouble is None
        known.retry()
        assert known.trouble is None and not path.exists(), "another process may hold it for a moment"
        monkeypatch.setattr(store, "STUCK_S", 0)
        known.retry()
        assert known.trouble is not None and "another process holds" in known.trouble and not path.exists()
    changing.join(PATIENCE_S)
    assert known.trouble is None and json.loads(path.read_text()) == {"one": [1]}


def test_a_change_of_another_process_is_seen_though_one_of_our_own_follows_at_once(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    one, other = numbers(path), numbers(path)
    seen = one.changes_of_others
    one.change("one", append(1))
    assert one.changes_of_others == seen
    other.change("two", append(2))
    one.change("one", append(3))
    assert one.changes_of_others == seen + 1
    assert one.changes_of_others == seen + 1 and one.get("two") == [2]


def test_two_processes_that_add_servers_to_one_file_at_once_add_all_of_them(tmp_path: Path) -> None:
    both(
        tmp_path,
        """
from pctx_jupyter import files
data = str(Path(path).parent / "data")
for n in range(NUMBERS):
    with store.locked_edit(path, data):
        entry = {"name": f"s{2 * n + me}", "command": "x"}
        files.write(path, config.with_entry(files.read(path), entry, path))
""",
    )
    assert len(json.loads((tmp_path / "state.json").read_text())["servers"]) == 2 * NUMBERS
    assert sorted(one.name for one in tmp_path.iterdir()) == ["data", "ready", "state.json"]


def test_a_file_of_a_person_is_edited_where_there_can_be_no_lock(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with store.locked_edit(str(tmp_path / "pctx.json"), str(tmp_path / "data")):
        (tmp_path / "pctx.json").write_text("{}")


def test_values_without_a_file_last_as_long_as_their_store() -> None:
    known = store.open_store("", list[int], what="the numbers", unread="they start again")
    before = known.mark
    known.change("one", append(1))
    assert known.get("one") == [1] and known.mark != before and known.trouble is None
    known.change("one", lambda _: None)
    assert known.get("one") is None


def test_trust_that_cannot_be_kept_is_none(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    known = Trust(str(tmp_path / "data" / "trusted.json"))
    with pytest.raises(OSError):
        known.add("/a/pctx.json", [server("s")])
    assert not known.holds("/a/pctx.json", server("s"))
