"""What of a program is kept, and what becomes of it: pure."""

from __future__ import annotations

import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.program.kept import KeptNames, Survey, survey

CELL = """\
interface Order { id: number }
const rate = 0.2, unused = 1;
function help() { return rate }
export const vat = (order: Order) => order.id * help();
export class Shop {}
"""


def found(code: str, keep: bool | None = True) -> Survey:
    what = survey(code, keep)
    assert what is not None
    return what


def kept(
    code: str, declarations: str | None = None, to: KeptNames | None = None, keep: bool | None = True
) -> KeptNames:
    to = to or KeptNames(100, 10_000)
    what = found(code, keep)
    to.add(what, dict.fromkeys(what.constants, Raw(b"1")), declarations)
    return to


# ── What is kept ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "values", "types"),
    [
        ("function f() {}", ["f"], []),
        ("async function* f() {}", ["f"], []),
        ("const f = () => 1, g = function () {}", ["f", "g"], []),
        ("class A {}\nabstract class B {}\nenum C { D }", ["A", "B", "C"], []),
        ("interface A {}\ntype B<T> = T[]", [], ["A", "B"]),
        ("const a = 1; let b = 2; var c = 3", ["a", "b", "c"], []),
        ("const { a, b: [c = 4, , ...d], ...e } = x", ["a", "c", "d", "e"], []),
        ("for (const a of []) { const b = 1 }\n{ const c = 2 }\nconst d = () => { const e = 1 }", ["d"], []),
        ("async function run() { return 1 }\nconst a = 1", ["a"], []),
        ("const ö = 1; const $x = '😀'", ["ö", "$x"], []),
    ],
)
def test_a_whole_top_level_is_kept_when_asked_for(code: str, values: list[str], types: list[str]) -> None:
    what = found(code)
    assert (list(what.exposed), list(what.types)) == (values, types)


@pytest.mark.parametrize(
    ("code", "exposed"),
    [
        ("export const a = 1; const b = 2", {"a": "a"}),
        ("export function f() {}\nfunction g() {}", {"f": "f"}),
        ("const a = 1\nexport { a as b }", {"b": "a"}),
        ("export const a = 1\nexport default 5\nexport function run() {}", {"a": "a"}),
    ],
)
def test_what_a_cell_exports_is_kept_without_asking_and_nothing_else(code: str, exposed: dict[str, str]) -> None:
    assert found(code, None).exposed == found(code, True).exposed == exposed
    assert survey(code, False) is None


@pytest.mark.parametrize(
    "code", ["const a = 1", "export default 5", "export default function f() {}", "export async function run() {}", "1"]
)
def test_a_cell_without_such_exports_keeps_nothing_unasked(code: str) -> None:
    assert survey(code, None) is None


def test_empty_lines_of_any_number_are_passed_over_at_once() -> None:
    assert survey("\n" * 1_000_000 + "1", None) is None  # to look behind each of them takes half an hour
    assert found("\n\n\t export const a = 1", None).exposed == {"a": "a"}


def test_a_syntax_error_keeps_nothing() -> None:
    assert survey("export const = 1", None) is None


def test_constants_are_captured_when_they_are_kept_or_mentioned() -> None:
    assert found(CELL, None).constants == ("rate",)
    assert found("const a = 1, b = 2").constants == ("a", "b")


@pytest.mark.parametrize("name", ["console", "Array", "undefined", "__pctx_x", "Sales"])
def test_a_name_with_a_meaning_of_its_own_is_refused(name: str) -> None:
    code = f"export const {name} = 1; export const a = 1"
    with pytest.raises(errors.InvalidParams, match=f"Cannot keep {name}.*rename"):
        survey(code, True, ["Sales"])
    unasked = survey(code, None, ["Sales"])
    assert unasked is not None
    assert (list(unasked.exposed), list(unasked.refused)) == (["a"], [name])


# ── What later programs find ────────────────────────────────────────────────────────────────────────────────────────


def test_a_prelude_has_the_lines_of_its_cell() -> None:
    (prelude,) = kept(CELL, keep=None).preludes()
    lines = prelude.code.split("\n")
    assert lines[0].startswith("const { rate } = __pctx_kept;")
    assert lines[2:5] == [
        "function help() { return rate }",
        "       const vat = (order: Order) => order.id * help();",
        "       class Shop {}",
    ]
    assert lines[-1] == "export { vat, Shop };"
    assert (prelude.name, prelude.names, prelude.values) == ("kept/vat.ts", ("vat", "Shop"), {"rate": Raw(b"1")})


def test_a_later_definition_takes_the_place_of_an_earlier_one() -> None:
    all_kept = kept("function f() { return g() }\nfunction g() { return 1 }")
    kept("function g() { return 2 }", to=all_kept)
    first, second = all_kept.preludes()
    assert "function g" not in first.code, "so that f finds the new one"
    assert (first.names, second.names) == (("f",), ("g",))
    kept("const f = 1", to=all_kept)
    assert [prelude.names for prelude in all_kept.preludes()] == [("g",), ("f",)]


def test_declarations_are_aliases_of_what_a_namespace_declares() -> None:
    text = kept("type A = 1\nconst b = 1\nexport { A, b as c }", "type A = 1;\nconst b = 1;").declarations()
    assert text == (
        "declare namespace __pctx_cell_1 {\ntype A = 1;\nconst b = 1;\n}\n"
        "import A = __pctx_cell_1.A;\nimport c = __pctx_cell_1.b;\n"
    )


def test_what_was_not_checked_is_declared_as_any() -> None:
    all_kept = kept("type A = 1\nconst b = 1")
    assert all_kept.declarations() == "declare const b: any;\ntype A = any;\n"
    assert all_kept.declarations(hidden=["b"]) == "type A = any;\n"


def test_names_are_forgotten_one_by_one_or_all_at_once() -> None:
    all_kept = kept("type A = 1\nconst b = 1, c = 2")
    assert list(all_kept) == ["b", "c", "A"]
    assert all_kept.forget(["b"]) == ["b"]
    with pytest.raises(errors.InvalidParams, match=r"Cannot forget x.*there is: c, A"):
        all_kept.forget(["c", "x"])
    assert all_kept.forget([]) == ["c", "A"]
    assert (list(all_kept), all_kept.preludes(), all_kept.declarations()) == ([], (), "")
    with pytest.raises(errors.InvalidParams, match="nothing is kept"):
        all_kept.forget(["c"])


def test_what_is_too_much_is_refused_and_changes_nothing() -> None:
    few = kept("const a = 1, b = 1", to=KeptNames(2, 100))
    kept("const b = 2", to=few)
    for code, setting in [("const c = 1", "Pctx.max_kept"), (f"const a = '{'x' * 100}'", "Pctx.max_kept_bytes")]:
        with pytest.raises(errors.InvalidParams, match=rf"\({setting}\).*%pctx forget"):
            kept(code, to=few)
    assert set(few) == {"a", "b"}


def test_what_all_sessions_keep_is_bounded_but_each_may_keep_a_little() -> None:
    sessions: list[KeptNames] = []

    def in_all() -> int:
        return sum(one.size for one in sessions)

    sessions += [KeptNames(10, 100_000, in_all=in_all) for _ in range(100)]
    what, large, small = found("const a = 1"), {"a": Raw(b"1" * 90_000)}, {"a": Raw(b"1" * 60_000)}
    with pytest.raises(errors.InvalidParams, match=r"6,400,000 bytes together .*%pctx forget"):
        for one in sessions:
            one.add(what, large, None)
    for one in sessions[71:]:
        one.add(what, small, None)
    assert 6_400_000 < in_all() < 6_400_000 + 30 * 60_100
    sessions[0].add(what, large, None)  # it keeps no more than before


def test_a_constant_without_a_value_is_not_kept() -> None:
    all_kept = KeptNames(10, 1000)
    assert all_kept.add(found("const a = 1, b = new Map()"), {"a": Raw(b"1")}, None) == ["a"]
