"""Secrets: read late, shown never. Real environment, real commands; the keychain is one in memory."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import keyring
import pytest
from keyring.backend import KeyringBackend

from pctx_jupyter.upstream import secrets
from pctx_jupyter.upstream.secrets import RedactingFilter, Redactor, SecretText, SecretUnavailable

SECRET = 'tr0ub4dor&3 "x"'


class MemoryKeychain(KeyringBackend):
    priority = 1  # type: ignore[assignment]  # the base has a property for all its classes

    def __init__(self) -> None:
        super().__init__()
        self.unlocked = threading.Event()
        self.unlocked.set()

    def get_password(self, service: str, username: str) -> str | None:
        self.unlocked.wait()
        return SECRET if (service, username) == ("pctx", "wiki") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@pytest.fixture
def keychain() -> Iterator[MemoryKeychain]:
    before, there = keyring.get_keyring(), MemoryKeychain()
    keyring.set_keyring(there)
    yield there
    there.unlocked.set()
    keyring.set_keyring(before)


async def test_references_are_read_and_mixed_with_text(
    monkeypatch: pytest.MonkeyPatch, keychain: MemoryKeychain
) -> None:
    monkeypatch.setenv("WIKI", SECRET)
    text = SecretText("a ${env:WIKI} b ${keychain:wiki} c ${command:printf '%s\\n' '{x}'} d")
    assert await text.resolve() == (f"a {SECRET} b {SECRET} c {{x}} d", [SECRET, SECRET, "{x}"])


async def test_text_without_references_is_itself() -> None:
    for text in ("a $b $C", "$", "$5", "$secret", "{c}", "a~", "100%"):
        assert await SecretText(text).resolve() == (text, [])
    assert await SecretText("a $${b}").resolve() == ("a ${b}", [])


@pytest.mark.parametrize(
    ("written", "value", "secret"),
    [
        ("${PCTX_A}", "value-a", ["value-a"]),
        ("${env:PCTX_A}/x", "value-a/x", ["value-a"]),
        ("$PCTX_A", "value-a", ["value-a"]),
        ("$PCTX_A/x", "value-a/x", ["value-a"]),
        ("Bearer $PCTX_A", "Bearer value-a", ["value-a"]),
        ("${PCTX_A:-other}", "value-a", ["value-a"]),
        ("${PCTX_NOT_SET:-other}", "other", []),
        ("${PCTX_EMPTY:-other}", "other", []),
        ("${PCTX_EMPTY}", "", [""]),
        ("${env:PCTX_NOT_SET:-https://x.example/a?b}", "https://x.example/a?b", []),
        ("${PCTX_NOT_SET:-${PCTX_A}}", "value-a", ["value-a"]),
        ("${PCTX_NOT_SET:-}", "", []),
        ("${PCTX_TOKEN_NOT_SET:-in-the-file}", "in-the-file", ["in-the-file"]),
        ("${workspaceFolder}/data", "/w/space/data", []),
        ("${workspaceFolderBasename}${pathSeparator}${/}", "space//", []),
        ("${CLAUDE_PROJECT_DIR:-.}", "/w/space", []),
        ("${userHome}", str(Path.home()), []),
        ("${HOME}", "/home/somebody", []),
    ],
)
async def test_variables_of_every_client_are_read(
    monkeypatch: pytest.MonkeyPatch, written: str, value: str, secret: list[str]
) -> None:
    monkeypatch.setenv("PCTX_A", "value-a")
    monkeypatch.setenv("PCTX_EMPTY", "")
    if written == "${HOME}":
        monkeypatch.setenv("HOME", "/home/somebody")
    assert await SecretText(written).resolve("/w/space") == (value, secret)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("${input:api-key}", "asked for in an editor, .* write ${env:NAME} or ${keychain:NAME}"),
        ("${config:python.path}", "${config:python.path} stands for nothing known here"),
        ("${workspaceFolder:other}", "stands for nothing known here"),
        ("${file}${a b}", "${a b} stands for nothing known here"),
        ("${env:}", "stands for nothing known here"),
        ("${}", "stands for nothing known here"),
        ("a ${never closed", "${never closed stands for nothing known here"),
        ("${A:-${input:b}}", "${input:b} is asked for"),
    ],
)
async def test_what_stands_for_nothing_is_never_sent(monkeypatch: pytest.MonkeyPatch, written: str, why: str) -> None:
    monkeypatch.setenv("file", "x")
    with pytest.raises(SecretUnavailable) as raised:
        await SecretText(written).resolve()
    assert re.search(".*".join(map(re.escape, why.split(" .* "))), raised.value.message)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("${env:PCTX_NOT_SET}", "this environment variable is not set"),
        ("${PCTX_NOT_SET}", r"Cannot read \$\{PCTX_NOT_SET\}: this environment variable is not set"),
        ("$PCTX_NOT_SET", r"Cannot read \$PCTX_NOT_SET: this environment variable is not set"),
        ("${keychain:other}", "there is no such entry; keyring set pctx other"),
        ("${command:exit 3}", "it ended with status 3"),
        ("${command:true}", "it wrote nothing"),
        ("${command:a\0b}", "it cannot be started"),
    ],
)
async def test_what_cannot_be_read_says_which_and_why(keychain: MemoryKeychain, written: str, why: str) -> None:
    with pytest.raises(SecretUnavailable, match=why):
        await SecretText(written).resolve()


async def test_a_locked_keychain_takes_one_thread_however_often_it_is_asked(
    keychain: MemoryKeychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    keychain.unlocked.clear()
    monkeypatch.setattr(secrets, "KEYCHAIN_S", 0.01)
    threads = threading.active_count()
    for _ in range(3):
        with pytest.raises(SecretUnavailable, match=r"the keychain has not answered within 0\.01 s; unlock it"):
            await SecretText("${keychain:wiki}").resolve()
    assert threading.active_count() <= threads + 1
    monkeypatch.undo()
    keychain.unlocked.set()
    assert await SecretText("${keychain:wiki}").resolve() == (SECRET, [SECRET])


async def test_what_a_command_complains_about_stays_out_of_the_error() -> None:
    with pytest.raises(SecretUnavailable) as raised:
        await SecretText("${command:echo s3cr3t; echo s3cr3t >&2; exit 1}").resolve()
    assert "s3cr3t" not in raised.value.message.replace("echo s3cr3t", "")


def test_it_shows_nothing_of_itself() -> None:
    text = SecretText(SECRET)
    assert SECRET not in f"{text} {text!r} {[text]} {text:}"


def lower(quoted: str) -> str:
    return re.sub("%..", lambda found: found[0].lower(), quoted)


SPELLED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": json.dumps,
    "JSON in UTF-8": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON in JSON": lambda value: json.dumps(json.dumps(value)),
    "JSON of PHP": lambda value: json.dumps(value).replace("/", "\\/"),
    "JSON of .NET": lambda value: re.sub("[&'+<>]", lambda found: f"\\u{ord(found[0]):04X}", json.dumps(value)),
    "a part of a URL": lambda value: quote(value, safe=""),
    "a part of a URL, in lower case": lambda value: lower(quote(value, safe="")),
    "encodeURIComponent": lambda value: quote(value, safe="!'()*~"),
    "a form": quote_plus,
    "HTML": html.escape,
    "HTML of numbers": lambda value: "".join(c if c.isalnum() else f"&#{ord(c)};" for c in value),
    "HTML of hexadecimal numbers": lambda value: "".join(c if c.isalnum() else f"&#x{ord(c):X};" for c in value),
    "hexadecimal": lambda value: value.encode().hex(),
    "Base64": lambda value: base64.b64encode(value.encode()).decode(),
}
"""What writers make of a value."""


@pytest.mark.parametrize("spell", SPELLED.values(), ids=SPELLED)
@pytest.mark.parametrize(
    "value",
    [SECRET, "00\\'00", '\\a\\\\"b\\', "/+é 😀=~", "`!@#$%^&*()_-+{}[]|:;'<>?,./", "---KEY\nab/+=\r\n\tKEY---"],
)
def test_a_redactor_finds_every_common_form(spell: Callable[[str], str], value: str) -> None:
    redactor, text = Redactor(), f"[{spell(value)}]"
    redactor.learn([value, "short"])
    cleaned = redactor.clean(text)
    assert re.fullmatch(r"""\[\\*["']?\\*["']?\*\*\*\\*["']?\\*["']?=*\]""", cleaned), cleaned
    assert json.loads(redactor.clean_json(json.dumps(text).encode())) == cleaned
    assert redactor.clean("short") == "short"


@pytest.mark.parametrize("before", ["user:", "user1:", "user12:"])
@pytest.mark.parametrize("encode", [base64.standard_b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("value", ["tr0ub4", "tr0ub4dor", "~~~???>>>tr0ub4", "tr0ub4dor&3 x"])
def test_a_value_is_found_within_base64_of_a_longer_text(
    before: str, encode: Callable[[bytes], bytes], value: str
) -> None:
    redactor = Redactor()
    redactor.learn([value])
    for after in ("", ":", ":x", ":xy"):
        cleaned = redactor.clean(f"Basic {encode(f'{before}{value}{after}'.encode()).decode()} is wrong")
        assert "***" in cleaned and cleaned.startswith("Basic ") and cleaned.endswith(" is wrong")
        left = cleaned.removeprefix("Basic ").removesuffix(" is wrong").partition("***")
        # What is left are the neighbours, and at most four bits of the value's first and last byte.
        assert len(left[0]) <= -(-len(before) * 4 // 3) and len(left[2].rstrip("=")) <= -(-len(after) * 4 // 3) + 1


def test_a_redactor_finds_what_is_no_text() -> None:
    redactor, value = Redactor(), b"tr0ub\xe9dor".decode(errors="surrogateescape")  # as a variable may be
    redactor.learn([value])
    assert redactor.clean(f"x {value} y") == "x *** y" and redactor.clean_json(b'"tr0ub"') == b'"tr0ub"'


def test_json_stays_json_when_secrets_are_taken_out() -> None:
    redactor = Redactor()
    redactor.learn([SECRET, "12345678"])
    cleaned = redactor.clean_json(json.dumps({"a": [SECRET, 12345678, "x12345678"], SECRET: 1.5}).encode())
    assert json.loads(cleaned) == {"a": ["***", "***", "x***"], "***": 1.5}
    untouched = b'{"a" : 1}'
    assert redactor.clean_json(untouched) is untouched


def test_a_librarys_log_records_lose_them(caplog: pytest.LogCaptureFixture) -> None:
    redactor = Redactor()
    redactor.learn([SECRET])
    log = logging.getLogger("pctx-test-library")
    log.addFilter(RedactingFilter([redactor]))
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("asked for %s", SECRET)
    assert SECRET not in caplog.text and "asked for ***" in caplog.text and "ValueError: ***" in caplog.text


def test_what_a_server_says_forges_no_line_of_a_librarys_log(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("pctx-test-other-library")
    log.addFilter(RedactingFilter([]))
    log.warning("Unknown SSE event: %s", "x\n[E] forged\x1b[2J")
    try:
        raise ValueError("x\n[E] forged\x1b[2J")
    except ValueError:
        log.exception("failed")
    assert "Unknown SSE event: x [E] forged" in caplog.text and "ValueError: x" in caplog.text
    assert "\x1b" not in caplog.text and not any(line.startswith("[E]") for line in caplog.text.splitlines())
