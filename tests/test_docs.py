"""What the documentation says can be typed, can be typed."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from test_cli import vaefrag
from vaefrag.cli import cli
from vaefrag.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.sh"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(page: Path) -> list[str]:
    """Return the lines of code blocks that call vaefrag, in a container or not."""
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"^(?:    )?(?:docker compose exec \w+ )?(vaefrag [a-z].*)$", text, flags=re.MULTILINE)
    return [line.strip().split("  #")[0] for line in lines]


ALL_COMMANDS = [command for page in [*PAGES, *EXAMPLES] for command in commands(page)]


def test_there_are_commands_to_check() -> None:
    assert len(ALL_COMMANDS) >= 5


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_every_command_has_the_options_it_is_given(command: str) -> None:
    group = typer.main.get_command(cli)
    name, *arguments = shlex.split(command)[1:]
    group.commands[name].make_context(name, arguments)  # type: ignore[attr-defined]


def test_the_quick_commands_of_the_readme_run(tmp_path: Path) -> None:
    slow = (
        "fashion",
        "serve",
        "import",
        "export",
    )  # the last two: as docs/posteriors.md gives them, in test_import_export
    quick = [command for command in commands(ROOT / "README.md") if not any(word in command for word in slow)]
    assert len(quick) == 2
    for command in quick:
        arguments = shlex.split(command)[1:]
        place = [] if arguments[0] == "datasets" else ["--workspace", str(tmp_path)]
        done = vaefrag(*arguments, *place, timeout=300)
        assert done.returncode == 0, done.stderr


def test_the_first_screen_shows_the_two_commands_the_makefile_has() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
    assert re.findall(r"^make (\w+)", README, flags=re.MULTILINE) == ["demo", "test"]


def test_python_s_version_is_the_one_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11"
    assert "Python 3.11 or newer" in README


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    assert f"VAEFRAG_{name.upper()}" in README


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml"])
def test_the_container_sets_what_can_be_set_and_calls_what_can_be_called(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    names = re.findall(r"^ +VAEFRAG_(\w+)[:=]", text, flags=re.MULTILINE)
    assert len(names) >= 2
    assert {name.lower() for name in names} <= set(Settings.model_fields)
    lists = re.findall(r"\[(?:CMD, )?(vaefrag, .*)\]$", text.replace('"', ""), flags=re.MULTILINE)
    assert len(lists) >= 2
    for called in lists:
        test_every_command_has_the_options_it_is_given(called.replace(",", ""))
    assert "://" not in text, "packages come from wherever pip is set to take them"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_pages_link_to_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target
