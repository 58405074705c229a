"""The registry: what each engine is called, and in CI every one of them is here."""

from __future__ import annotations

import os

import pytest

from golden_vectors import cc
from golden_vectors.executors import registry, select
from golden_vectors.executors.c_host import CHost


def check_engines() -> None:
    """Where CI is set none may be absent; elsewhere what is absent names the command that installs it."""
    absent = list(dict.fromkeys(reason for reason in (engine.available() for engine in registry()) if reason))
    assert all("install " in reason and "\n" not in reason for reason in absent), absent
    if absent and os.environ.get("CI"):
        raise AssertionError("; ".join(absent))


def test_in_ci_no_engine_is_absent() -> None:
    check_engines()


PLANTED = {
    "clang": lambda patch: patch.setattr(cc.shutil, "which", lambda _: None),
    "gcc-arm-none-eabi": lambda patch: patch.setattr(cc.shutil, "which", lambda _: None),
    "qemu-system-arm": lambda patch: patch.setattr(cc.shutil, "which", lambda _: None),
    "tensorflow": lambda patch: patch.setattr("golden_vectors.executors.network.find_spec", lambda _: None),
}


@pytest.mark.parametrize("missing", PLANTED)
def test_an_absent_engine_is_a_failure_in_ci_alone(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED[missing](monkeypatch)
    monkeypatch.delenv("CI", raising=False)
    check_engines()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(AssertionError, match=f"install .*{missing}"):
        check_engines()


def test_every_compiler_of_the_host_has_a_plain_and_a_paired_build() -> None:
    names = [engine.name for engine in select(["c_host"], registry())]
    variants = [f"c_host ({name} {level})" for name in ("gcc", "clang", "zig") for level in ("-O0", "-O2 paired")]
    assert names == ["c_host", *variants, "c_host (sanitized)", "c_host (sanitized paired)"]


@pytest.mark.parametrize("compiler", cc.COMPILERS)
def test_a_compiler_that_is_not_here_is_absent_with_its_command(compiler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cc.shutil, "which", lambda _: None)
    monkeypatch.setattr(cc, "find_spec", lambda _: None)
    assert CHost(compiler).available() == f"no C compiler {compiler}: {cc._INSTALLS[compiler]}"
    cc.find_sanitizer.cache_clear()
    assert cc.missing_sanitizer() == "no compiler with AddressSanitizer: apt-get install gcc"
    cc.find_sanitizer.cache_clear()
