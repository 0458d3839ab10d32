"""Large values cut in structure: values in, texts out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from pctx_jupyter.agents import excerpt


def cut(value: Any, most: int = 2_000) -> str:
    payload = Raw(msgspec.json.encode(value))
    return excerpt.of_value(payload, value, most)


def nested(levels: int) -> Any:
    return [nested(levels - 1)] * 3 if levels else ["deep"] * 40


def kept(text: str) -> Any:
    """The excerpt itself, which is JSON, without the note."""
    body, _, note = text.rpartition("\n… shortened")
    assert "Return less" in note
    return json.loads(body)


def test_what_fits_is_said_as_it_is() -> None:
    assert cut({"a": [1, 2, {"b": None}]}) == '{"a":[1,2,{"b":null}]}'


def test_a_long_list_keeps_its_head_and_its_count() -> None:
    found = kept(cut([{"id": at, "name": f"row {at}"} for at in range(5_000)]))
    assert found[0] == {"id": 0, "name": "row 0"} and len(found) >= 25
    assert found[-1].endswith("of 5,000 items")


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
    text = excerpt.of_value(payload, None, 2_000)
    assert text.startswith("[1,1,") and "8.0 MB" in text and len(text) <= 2_000


def test_a_long_output_keeps_its_beginning_and_its_end() -> None:
    text = excerpt.of_text("\n".join(f"line {at}" for at in range(9_999)), 1_000)
    assert text.startswith("line 0\n") and text.endswith("line 9998") and "lines left out" in text
    assert excerpt.of_text("short", 1_000) == "short"
