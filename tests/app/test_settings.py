"""A flag wins over the environment, the environment over the file, the file over the default."""

from pathlib import Path

import pytest
from platformdirs import user_cache_path

from vaefrag.settings import Settings, load_settings
from vaefrag_core.errors import InvalidInputError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VAEFRAG_PORT", raising=False)
    monkeypatch.delenv("VAEFRAG_WORKSPACE", raising=False)
    return tmp_path


def test_the_defaults_listen_to_this_machine_alone() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.workspace) == ("127.0.0.1", 8050, Path("data"))
    assert not settings.cache_folder.is_relative_to(settings.workspace.absolute())  # which may be somebody else's
    assert settings.cache_folder.is_relative_to(user_cache_path("vaefrag"))
    assert settings.cache_folder != load_settings(workspace=Path("other")).cache_folder


def test_each_source_wins_over_the_one_below_it(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "vaefrag.toml").write_text("port = 1111\nhost = '0.0.0.0'\ncache_megabytes = 77\n")
    assert (load_settings().port, load_settings().host) == (1111, "0.0.0.0")
    monkeypatch.setenv("VAEFRAG_PORT", "2222")
    assert (load_settings().port, load_settings().cache_megabytes) == (2222, 77)
    assert (load_settings(port=3333).port, load_settings(port=None).port) == (3333, 2222)


def test_a_wrong_value_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAEFRAG_PORT", "70000")
    with pytest.raises(
        InvalidInputError, match=r"^port \(.*\): expected a value less than or equal to 65535, got 70000\.$"
    ):
        load_settings()


def test_an_unknown_setting_in_the_file_is_refused(elsewhere: Path) -> None:
    (elsewhere / "vaefrag.toml").write_text("prot = 1\n")
    with pytest.raises(InvalidInputError, match="prot"):
        load_settings()


def test_a_damaged_file_is_named(elsewhere: Path) -> None:
    (elsewhere / "vaefrag.toml").write_text("port = ")
    with pytest.raises(InvalidInputError, match=r"vaefrag\.toml: expected a TOML file"):
        load_settings()


@pytest.mark.parametrize("prefix", ["lab", "/lab", "lab/", "/lab/"])
def test_a_prefix_begins_and_ends_with_a_slash(prefix: str) -> None:
    assert Settings(url_prefix=prefix).url_prefix == "/lab/"


@pytest.mark.parametrize("prefix", ["/a b/", "/<x>/", "/../"])
def test_a_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidInputError, match=r"url prefix \(.*\): expected a path"):
        load_settings(url_prefix=prefix)
