"""The house keeps its own rules: floors, no float in firmware, README and map that tell the truth."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("firmware_sim", "training", "export", "firmware", "golden_vectors", "tests", "benchmarks")


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def tracked() -> list[Path]:
    listing = run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.split()
    return [ROOT / name for name in listing if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def lint_imports() -> str:
    return str(Path(sys.executable).with_name("lint-imports"))


def test_the_floors_hold(lint_imports: str) -> None:
    result = run(lint_imports, "--no-cache")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("room", "planted"),
    [
        ("firmware_sim", "import export.quantize"),
        ("export", "import torch"),
        ("golden_vectors", "import training"),
    ],
)
def test_a_planted_import_upwards_is_caught(room: str, planted: str, tmp_path: Path) -> None:
    for name in ("firmware_sim", "training", "export", "golden_vectors"):
        for source in (ROOT / name).rglob("*.py"):
            copy = tmp_path / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(source.read_text())
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / room / "planted.py").write_text(planted + "\n")
    code = "from importlinter.cli import lint_imports_command as check; check(['--no-cache'])"
    result = run(sys.executable, "-c", code, cwd=tmp_path)
    assert result.returncode != 0
    assert "planted" in result.stdout


def test_firmware_has_no_float_no_malloc_and_no_libc_beyond_memory() -> None:
    forbidden = re.compile(r"\b(float|double|malloc|calloc|realloc|free|printf|math\.h|stdlib\.h|stdio\.h)\b")
    comments = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
    sources = [path for path in (ROOT / "firmware").rglob("*.[ch]") if "port" not in path.parts]
    assert len(sources) >= 8
    for path in sources:
        found = forbidden.search(comments.sub("", path.read_text()))
        assert found is None, f"{path.name}: {found.group() if found else ''}"


def test_every_folder_stands_in_the_map_and_the_map_names_no_other() -> None:
    readme = (ROOT / "README.md").read_text()
    mapped = set(re.findall(r"^\| `(\w+)/`", readme, re.MULTILINE))
    folders = {path.relative_to(ROOT).parts[0] for path in tracked() if len(path.relative_to(ROOT).parts) > 1}
    assert mapped == set(ROOMS)
    assert {name for name in folders if not name.startswith(".")} - {"requirements"} == set(ROOMS)


def readme_commands() -> list[str]:
    return sorted(set(re.findall(r"`(python -m [^`]+)`", (ROOT / "README.md").read_text())))


@pytest.mark.parametrize("command", readme_commands())
def test_every_command_in_the_readme_is_known_to_its_door(command: str) -> None:
    _, _, module, *rest = command.split()
    verb = [rest[0]] if rest and not rest[0].startswith("-") and "." not in rest[0] else []
    result = run(sys.executable, "-m", module, *verb, "--help")
    assert result.returncode == 0, result.stderr
    for option in (word for word in rest if word.startswith("-")):
        assert option in result.stdout, f"{command}: {option} is not in the help"


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"`make (\w+)`|^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    for target in {name for pair in targets for name in pair if name}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_requirements_pin_every_package_of_pyproject() -> None:
    pins = set()
    for path in (ROOT / "requirements").glob("*.txt"):
        lines = path.read_text().splitlines()
        pins |= {line.lower().replace("_", "-") for line in lines if "==" in line}
    declared = re.findall(r'"([\w.-]+==[\w.]+)"', (ROOT / "pyproject.toml").read_text())
    missing = {spec.lower() for spec in declared} - pins
    assert not missing


def test_no_file_names_a_path_of_a_developer_machine() -> None:
    pattern = re.compile(r"(?<![\w./-])/(?:work|root|home)/\w")
    for path in tracked():
        if path.suffix in {".py", ".c", ".h", ".md", ".toml", ".txt", ".json", ".csv"}:
            assert not pattern.search(path.read_text(errors="replace")), path


def test_generated_banners_carry_digests_and_no_date() -> None:
    sources = [path for path in tracked() if path.suffix in {".c", ".h"}]
    generated = [path for path in sources if "do not edit" in path.read_text()[:600].lower()]
    assert generated, "the committed tiny model is missing"
    for path in generated:
        head = path.read_text()[:1200]
        assert re.search(r"sha256|[0-9a-f]{64}", head), path
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b", head), path


def test_committed_files_stay_small() -> None:
    sizes = {path: path.stat().st_size for path in tracked()}
    assert max(sizes.values()) < 1_000_000
    assert sum(size for path, size in sizes.items() if "vectors" in path.parts) < 5_000_000
