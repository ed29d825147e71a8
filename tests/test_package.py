"""The wheel, as whoever installs it finds it: whole, and deaf to what lies in the current folder."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from zipfile import ZipFile

import pytest

from vaefrag_core.ensemble_store import EnsembleStore

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "app", "assets", "docs", "vaefrag_core")
PACKAGES = {"vaefrag": "app/vaefrag", "vaefrag/assets": "assets", "vaefrag_core": "vaefrag_core"}
# Modules that vaefrag, its libraries or Python itself import, and files that servers read by themselves.
STRANGERS = ("app", "queue", "torch", "numpy", "struct", "vaefrag_core", "sitecustomize", "gunicorn.conf")
# In a folder on PYTHONPATH: names of our own modules, and of what our packages were called once.
NAMESAKES = ("app", "assets", "auth", "cli", "commands", "jobs", "main", "pages", "settings", "server", "terminal")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it, without a network, from a copy: what an earlier build left in the checkout must not get in."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source, target = ROOT / name, folder / "checkout" / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-q"]
    run(sys.executable, "-m", "pip", "wheel", *offline, "-w", folder, folder / "checkout")
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a fresh environment, beside the packages it needs; return the folder of programs."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    programs = folder / "bin"
    offline = ["--no-index", "--no-deps", "--disable-pip-version-check", "-q"]
    run(sys.executable, "-m", "pip", "--python", programs / "python", "install", *offline, wheel)
    # Packages come from the environment of this test. A `.pth` file adds folders, and reads no `.pth` file in them: the
    # checkout, which such a file names here, is not among them.
    (libraries,) = folder.glob("lib/python*/site-packages")
    shared = [line for line in sys.path if line.endswith("site-packages") and Path(line).is_dir()]
    (libraries / "shared.pth").write_text("\n".join(shared))
    return programs


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Make a folder of modules and assets that would leave a mark if anything ran or served them."""
    (tmp_path / "networks").mkdir()
    for name in (*STRANGERS, *(f"networks/{name}" for name in NAMESAKES)):
        (tmp_path / f"{name}.py").write_text("open(__file__ + '.ran', 'w').close()\n")
    (tmp_path / "assets").mkdir()
    for name in ("app.css", "stranger.js"):
        (tmp_path / "assets" / name).write_text("stranger")
    return tmp_path


def run(*command: object, **options: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ran(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.ran"))


def test_the_wheel_holds_every_file_of_both_packages_and_nothing_else(wheel: Path) -> None:
    expected = {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files = {name for name in ZipFile(wheel).namelist() if name.startswith(("vaefrag/", "vaefrag_core/"))}
    assert files == expected
    assert {"vaefrag/py.typed", "vaefrag_core/py.typed", "vaefrag/assets/icons/sun.svg"} <= files


def test_documents_that_messages_name_are_installed_and_the_help_says_where(installed: Path, hostile: Path) -> None:
    sources = [path.read_text() for folder in ("app", "vaefrag_core") for path in (ROOT / folder).rglob("*.py")]
    named = {name for text in sources for name in re.findall(r"docs/\w+\.md", text)}
    assert named >= {"docs/engine.md", "docs/posteriors.md", "docs/training.md"}
    wide = os.environ | {"COLUMNS": "300"}
    usage = re.sub(r"\x1b\[[0-9;]*m", "", run(installed / "vaefrag", "--help", cwd=hostile, env=wide))
    (folder,) = re.findall(r"Documentation: (\S+)", usage)
    assert Path(folder).is_relative_to(installed.parent)
    for name in named:
        assert (Path(folder) / name).read_text() == (ROOT / name).read_text()


def test_what_is_installed_is_found_from_anywhere_and_is_not_the_checkout(installed: Path, hostile: Path) -> None:
    script = (
        "import sys, vaefrag, vaefrag_core, vaefrag.main; print(vaefrag.__file__, vaefrag_core.__file__, *sys.path)"
    )
    first, second, *places = run(installed / "python", "-P", "-c", script, cwd=hostile).split()
    library = installed.parent / "lib"
    assert Path(first).is_relative_to(library)
    assert Path(second).is_relative_to(library)
    assert not [place for place in places if (Path(place) / "vaefrag_core").exists() and str(library) not in place]


def test_the_version_is_one_wherever_it_is_asked_for(wheel: Path, installed: Path, hostile: Path) -> None:
    version = wheel.name.split("-")[1]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    for command in (["vaefrag"], ["python", "-m", "vaefrag"]):
        assert run(installed / command[0], *command[1:], "--version", cwd=hostile) == f"vaefrag {version}\n"
        usage = run(installed / command[0], *command[1:], "serve", "--help", cwd=hostile)
        assert "Usage: vaefrag serve [OPTIONS]" in re.sub(r"\x1b\[[0-9;]*m", "", usage)
    script = "import vaefrag, vaefrag_core, importlib.metadata as m; print(vaefrag.__version__, m.version('vaefrag'))"
    assert run(installed / "python", "-P", "-c", script, cwd=hostile).split() == [version, version]
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]
    assert ran(hostile) == []


def test_importing_the_package_loads_nothing_but_itself(installed: Path) -> None:
    script = "import sys; before = {*sys.modules}; import vaefrag; print(*sorted({*sys.modules} - before))"
    modules = run(installed / "python", "-P", "-c", script).split()
    assert {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) == {"vaefrag"}


@contextmanager
def demo(installed: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Run the demo in a folder until its pages are served, and yield their address and the ensemble's id."""
    command = [
        installed / "vaefrag",
        "demo",
        "--members",
        "2",
        "--steps",
        "50",
        "--port",
        "0",
        "--no-browser",
        "--json",
    ]
    # No setting of whoever runs the tests, nor a safe path of theirs, may lend a hand.
    names = [name for name in os.environ if name.startswith(("VAEFRAG_", "PYTHON"))]
    environment = {name: value for name, value in os.environ.items() if name not in names}
    with subprocess.Popen(
        [str(part) for part in [*command, "--workspace", folder / "data"]],
        cwd=folder,
        env=environment | {"VAEFRAG_ENGINE_IDLE_SECONDS": "1", "PYTHONPATH": str(folder / "networks")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            text = ""
            while process.poll() is None and "vaefrag is at" not in text:
                text += process.stderr.readline()
            match = re.search(r"vaefrag is at (\S+)", text)
            assert match, text
            yield match[1], json.loads(process.stdout.readline())["id"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def fetch(url: str, content: object = None) -> str:
    """Return what is at a URL, which has to be there."""
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
        return answer.read().decode(errors="replace")


def page_at(url: str) -> str:
    """Ask for the content of a page as its script does."""
    callbacks = json.loads(fetch(urljoin(url, "/_dash-dependencies")))
    router = next(callback for callback in callbacks if "page.children" in callback["output"])
    names = [name.rsplit(".", 1) for name in router["output"].strip(".").split("...")]
    values = {"pathname": urlsplit(url).path, "search": ""}
    body = {
        "output": router["output"],
        "outputs": [{"id": name, "property": attribute} for name, attribute in names],
        "inputs": [item | {"value": values[item["property"]]} for item in router["inputs"]],
        "state": [item | {"value": values[item["property"]]} for item in router["state"]],
        "changedPropIds": ["url.pathname"],
    }
    answer = fetch(urljoin(url, "/_dash-update-component"), body)
    return json.dumps(json.loads(answer))  # in it, slashes are slashes


# In a page, in the content that its script asks for, and in a sheet of styles.
ADDRESS = re.compile(r"""(?:src|href)(?:=|": )"([^"]+)"|"(/assets/[^"]+)"|url\("([^"]+)"\)""")


def named_by(url: str, text: str) -> set[str]:
    """Find the addresses on this site that a text names."""
    addresses = {urljoin(url, "".join(groups)) for groups in ADDRESS.findall(text)}
    return {address for address in addresses if urlsplit(address).netloc == urlsplit(url).netloc}


def test_demo_and_pages_work_from_a_folder_of_strangers_and_run_none(installed: Path, hostile: Path) -> None:
    with demo(installed, hostile) as (url, ensemble_id):
        site = urljoin(url, "/")
        assert url == f"{site}ensemble/{ensemble_id}"
        page = page_at(url)
        assert "Demo: handwritten digits" in page
        texts = [(url, fetch(url)), (url, page), (site, page_at(site)), (site, fetch(f"{site}_dash-layout"))]
        files: dict[str, str] = {}
        for place, text in texts:
            for address in named_by(place, text) - files.keys():
                files[address] = fetch(address)
                texts.append((address, files[address]))
    assets = {path for path in (ROOT / "assets").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    served = {urlsplit(address).path: text for address, text in files.items()}
    for path in assets:
        assert served[f"/assets/{path.relative_to(ROOT / 'assets').as_posix()}"] == path.read_text(encoding="utf-8")
    assert any(path.startswith("/_dash-component-suites/") for path in served)
    assert EnsembleStore(hostile / "data").ids() == [ensemble_id]
    assert ran(hostile) == []


CHILD = """
if __name__ == "__main__":
    import multiprocessing
    import sys

    from vaefrag.cli import main

    sys.argv = ["vaefrag", "--version"]
    try:
        main()
    except SystemExit:
        child = multiprocessing.get_context("spawn").Process(target=abs, args=(1,))
        child.start()
        child.join()
        sys.exit(child.exitcode)
"""


def test_processes_that_a_command_starts_run_no_stranger_either(
    installed: Path, hostile: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    script = tmp_path_factory.mktemp("script") / "child.py"
    script.write_text(CHILD)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    assert run(installed / "python", script, cwd=hostile, env=environment).startswith("vaefrag ")
    assert ran(hostile) == []
