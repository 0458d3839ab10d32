"""Settings as traits: everything real, nothing started."""

from __future__ import annotations

from dataclasses import fields

import pytest
from traitlets import TraitError
from traitlets.config import Config

from pctx_jupyter.errors import InvalidParams
from pctx_jupyter.rpc.environment import expand_url
from pctx_jupyter.settings import Limits, Settings
from pctx_jupyter.traits import RENAMED, Pctx, demand_valid


def configured(**values: object) -> Pctx:
    return Pctx(config=Config(Pctx=values))


def test_nothing_configured_gives_the_defaults() -> None:
    assert Pctx().settings() == Settings()


def test_each_field_is_a_trait_with_its_help_and_its_default() -> None:
    traits = Pctx.class_own_traits(config=True)
    known = {field.name: field for field in (*fields(Limits), *fields(Settings)) if field.name != "limits"}
    assert traits.keys() == known.keys()
    for name, field in known.items():
        assert traits[name].help == field.metadata["help"]
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        assert traits[name].default() == default


def test_what_is_configured_reaches_limits_and_settings() -> None:
    settings = configured(timeout_s=5, max_running=3, deno="/opt/deno", jitless=True).settings()
    assert settings.limits.timeout_s == 5
    assert (settings.max_running, settings.deno, settings.jitless) == (3, "/opt/deno", True)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("timeout_s", 0, "a number above 0"),
        ("ping_s", float("nan"), "a number above 0"),
        ("max_queue_s", float("inf"), "a number above 0"),
        ("max_calls", -1, "a whole number above 0"),
        ("max_calls", 1.5, "a whole number above 0"),
        ("max_calls", True, "a whole number above 0.*the bool True"),
        ("max_memory_mb", 10**13, "at most 1,000,000,000,000"),
        ("timeout_s", 1e300, "at most 1,000,000,000,000"),
        ("max_heap_mb", 1, "of at least 8"),
        ("dask_scheduler", "dask.example.org", "tls://dask.example.org:8786"),
        ("host_url", "jupyter.example.org", "https://jupyter.example.org"),
        ("mcp_path", "my agents", "letters, digits"),
        ("upstream_hosts", ["https://*.example.org"], "no pattern of a host"),
        ("warm_sandboxes", -1, "a whole number of at least 0"),
        ("layers", 0, "at least 1 and at most 2"),
        ("layers", 3, "at least 1 and at most 2"),
        ("changed_tools", "ignore", "withhold.*flag"),
        ("consent_by", ["jupyterlab", "anybody"], "jupyterlab.*terminal.*client"),
        ("max_waiting_programs", 0, "a whole number above 0"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(name: str, value: object, expected: str) -> None:
    with pytest.raises(TraitError, match=f"'{name}' trait.*{expected}"):
        configured(**{name: value})


@pytest.mark.parametrize(
    ("old", "new"), [("tools", "max_tools"), ("sandboxes", "max_running"), ("call_s", "max_call_s")]
)
def test_a_limit_set_by_its_old_name_is_set_with_a_warning(
    old: str, new: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert getattr(configured(**{old: 3}), new) == 3
    assert f"Pctx.{old} is now called {new}" in caplog.text


def test_a_new_name_counts_before_an_old_one() -> None:
    assert configured(tools=3, max_tools=4).max_tools == 4


def test_old_names_stand_for_no_other_setting() -> None:
    names = Pctx.class_own_traits(config=True).keys()
    assert not RENAMED.keys() & names and set(RENAMED.values()) <= names


def test_none_kept_warm_is_a_legal_wish() -> None:
    assert configured(warm_sandboxes=0).settings().warm_sandboxes == 0


@pytest.mark.parametrize(
    "wrong",
    [
        "10.0.0.5:8888",
        "http://h:{prot}{base_url}",
        "http://h/?token=1",
        "http://",
        "ftp://h/",
        "http://h:{port}{port}{base_url}",
        "http://h:port{base_url}",
        "http://:{port}{base_url}",
        "http://[::1{base_url}",
        "http://ana:secret@h{base_url}",
    ],
)
def test_an_address_for_kernels_that_none_could_use_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(TraitError, match=r"kernel_url.*10\.0\.0\.5:\{port\}\{base_url\}"):
        Pctx(config=Config({"Pctx": {"kernel_url": wrong}}))
    good = "https://hub.example.org{base_url}"
    assert Pctx(config=Config({"Pctx": {"kernel_url": good}})).settings().kernel_url == good


@pytest.mark.parametrize(
    "template", ["http://h:{port}{base_url}", "http://h:{port}/{base_url}", "http://h:{port}{base_url}/"]
)
def test_the_address_for_kernels_has_no_slash_twice(template: str) -> None:
    assert expand_url(template, 8888, "/user/ana/") == "http://h:8888/user/ana/"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(limits=Limits(timeout_s="long")), "'timeout_s' trait of a Pctx instance expected a number above 0"),  # type: ignore[arg-type]
        (Settings(max_running=0), "'max_running' trait of a Pctx instance expected a whole number"),
        (Settings(policy=("perhaps",)), "Cannot read the rule 'perhaps'"),
    ],
)
def test_settings_made_in_python_are_held_to_the_same_bounds(settings: Settings, said: str) -> None:
    with pytest.raises(InvalidParams) as wrong:
        demand_valid(settings)
    assert said in str(wrong.value)
    demand_valid(Settings())
