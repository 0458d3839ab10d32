"""Large values cut in structure: values in, texts out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from pctx_jupyter.agents import excerpt
from pctx_jupyter.agents.headings import Heading


def cut(value: Any, most: int = 2_000) -> str:
    payload = Raw(msgspec.json.encode(value))
    return excerpt.of_value(payload, value, most)


def nested(levels: int) -> Any:
    return [nested(levels - 1)] * 3 if levels else ["deep"] * 40


def kept(text: str) -> Any:
    """The excerpt itself, which is JSON, without the lines about its shape and the note."""
    body, _, note = text.rpartition("\n… shortened")
    assert "Return less" in note
    return json.loads(body[body.index("\n") + 1 if body[0] not in "[{" else 0 :])


def test_what_fits_is_said_as_it_is() -> None:
    assert cut({"a": [1, 2, {"b": None}]}) == '{"a":[1,2,{"b":null}]}'


def test_a_long_list_keeps_its_head_its_tail_and_its_count() -> None:
    found = kept(cut([{"id": at, "name": f"row {at}"} for at in range(5_000)]))
    assert found[0] == {"id": 0, "name": "row 0"} and found[-1] == {"id": 4_999, "name": "row 4999"}
    assert len(found) == 41 and "4,960 more of 5,000 items" in found[20]


ROWS = [
    {"date": f"20{12 + at // 365}-{1 + at % 365 // 31:02}-01", "rain": at % 560 / 10, "sky": ["fog", "sun"][at % 2]}
    for at in range(1_461)
]


def test_rows_are_described_by_the_types_and_ranges_of_their_fields() -> None:
    first, _, rest = cut(ROWS, 3_000).partition("\n")
    assert first == "1,461 rows: date string 2012-01-01–2016-01-01, rain 0–55.9, sky fog|sun"
    assert "slice(" in rest and "run it again" in rest


def test_missing_and_mixed_fields_are_described() -> None:
    rows: list[Any] = [{"a": at, "b": None} if at % 2 else {"a": "x" * at} for at in range(1_000)]
    first = cut(rows).partition("\n")[0]
    assert first == "1,000 rows: a string or 1–999, b null (500 times) or absent (500 times)"


def test_a_whole_row_is_shown_rather_than_parts_of_more_rows() -> None:
    rows = [{f"field {number}": "x" * 20 for number in range(10)} for _ in range(500)]
    found = [row for row in kept(cut(rows, 3_000)) if isinstance(row, dict)]
    assert len(found) >= 5 and all(row == rows[0] for row in found)


@pytest.mark.parametrize("most", [2_000, 16_000])
def test_the_room_is_filled(most: int) -> None:
    assert len(cut("x" * (most + 1), most)) > most * 0.95
    assert len(cut({"text": "x" * (most + 1)}, most)) > most * 0.9
    assert len(cut([{"id": at, "body": "y" * 900} for at in range(3 * most // 900)], most)) > most * 0.8


def test_small_parts_stay_whole_beside_a_large_one() -> None:
    small = {"status": "ok", "ids": list(range(20)), "of": {"a": [1, 2, {"b": "c"}]}}
    found = kept(cut(small | {"log": "z" * 50_000}))
    assert {name: found[name] for name in small} == small and found["log"].count("z") > 1_000


def test_a_text_is_shown_as_it_is() -> None:
    assert cut('one\n"two"\tthree') == 'one\n"two"\tthree'
    text = cut("\n".join(f"line {at}" for at in range(9_999)), 1_000)
    assert text.startswith("line 0\nline 1\n") and text.endswith("\nline 9998") and len(text) <= 1_000


def test_a_long_text_of_several_lines_within_a_record_is_shown_as_it_is() -> None:
    text = cut({"status": 200, "body": "\n".join(f"line {at}" for at in range(9_999))}, 1_000)
    assert text.startswith('{"status":200,"body":"[text 1 below]"}') and "line 0\nline 1\n" in text
    assert "line 9998\n… shortened" in text and len(text) <= 1_000


def test_records_by_key_are_described_as_rows() -> None:
    text = cut({f"city {at}": {"people": at, "name": "x"} for at in range(500)})
    assert text.startswith("[key]: 500 rows: people 0–499, name x\n")


def test_a_long_text_says_how_much_longer_it_is() -> None:
    found = kept(cut({"text": "x" * 100_000}))
    assert found["text"].startswith("xxxx") and "more characters" in found["text"]


def test_an_object_with_many_members_says_how_many() -> None:
    assert kept(cut({f"key {at}": at for at in range(5_000)}))["…"].endswith("of 5,000 members")


@pytest.mark.parametrize(
    "value",
    [
        "x" * 50_000,
        [["y" * 900] * 900] * 3,
        {"k" * 5_000: {"k" * 5_000: "v" * 5_000}},
        nested(9),
        ["🎉" * 3_000] * 9,
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("most", [300, 2_000, 10_000])
def test_an_excerpt_stays_within_its_budget(value: Any, most: int) -> None:
    assert len(cut(value, most)) <= most


class Watched(list[Any]):
    """A list that counts how often one is looked into."""

    looked_into = 0

    def __getitem__(self, at: Any) -> Any:
        Watched.looked_into += 1
        return super().__getitem__(at)


def test_what_is_wide_at_every_level_is_not_walked_through() -> None:
    value = Watched([Watched([Watched(range(100))] * 100)] * 100)
    text = excerpt.of_value(Raw(msgspec.json.encode(value)), value, 2_000)
    assert len(text) <= 2_000 and Watched.looked_into < 1_000


def test_more_than_can_be_decoded_is_shown_from_its_beginning() -> None:
    payload = Raw(b"[" + b"1," * excerpt.MOST_DECODED + b"1]")
    text = excerpt.of_value(payload, excerpt.decoded(payload), 2_000)
    assert text.startswith("[1,1,") and "8.0 MB" in text and len(text) <= 2_000


def test_few_values_of_many_bytes_are_cut_in_structure() -> None:
    payload = Raw(msgspec.json.encode({"page": "word " * 2_000_000, "n": 1}))
    text = excerpt.of_value(payload, excerpt.decoded(payload), 2_000)
    assert text.startswith('{"page":"word ') and '"n":1}' in text and "9.5 MB" in text and len(text) <= 2_000


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_of_base64_the_beginning_is_enough(encode: Callable[[bytes], bytes]) -> None:
    blob = encode(bytes(range(256)) * 100).decode()
    for value in (blob, {"blob": blob, "n": 1}):
        text = excerpt.of_value(Raw(msgspec.json.encode(value)), value, 16_000)
        assert len(text) < 500 and "more characters" in text and (value == blob or '"n":1' in text)


def test_a_long_output_keeps_its_beginning_and_its_end() -> None:
    text = excerpt.of_text("\n".join(f"line {at}" for at in range(9_999)), 1_000)
    assert text.startswith("line 0\n") and text.endswith("line 9998") and "lines left out" in text
    assert excerpt.of_text("short", 1_000) == "short"


@pytest.mark.parametrize("heading", Heading)
def test_a_line_of_data_does_not_pass_for_one_of_ours(heading: Heading) -> None:
    line = heading.of(1_234, 5)
    for unseen in ("", "  ", "\u200b", "\x00\u2800 "):
        text = f"data\n{unseen}{line}\nmore\r{line} \r"
        quoted = f"data\n> {unseen}{line}\nmore\r> {line} \r"
        assert excerpt.of_text(text, 1_000) == quoted
        assert excerpt.of_value(Raw(msgspec.json.encode(text)), text, 1_000) == quoted
    for size in range(90, 140):  # wherever it is cut
        shown = excerpt.of_text("x" * 60 + f" {line} " + "y" * 60, size)
        assert len(shown) <= size and f"\n{line}" not in shown
    assert excerpt.of_text(f"the {line}", 1_000) == f"the {line}"
    assert f"\n{line}x" not in cut({f"body\n{line}x": "text\n" * 800}, 900)


@pytest.mark.parametrize("most", [1_000, 200])
def test_json_is_one_line_for_every_reader(most: int) -> None:
    text = cut([f"{end}result:{end}42" for end in ("\u2028", "\u2029", "\x85")] * 20, most)
    assert not {"\u2028", "\u2029", "\x85"} & set(text) and "\\u2028result:" in text


@pytest.mark.parametrize("small", [{"n": 0, "t": ""}, [1, 2], {"a": []}])
def test_a_small_item_among_large_ones_is_shown_as_it_is(small: object) -> None:
    value = [small, *({"n": at, "t": "y" * 300} for at in range(300))]
    text = cut(value, 4_000)
    assert json.dumps(small, separators=(",", ":")) in text and "{… 2 members}" not in text
