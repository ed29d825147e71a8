"""Settings of pages and engine: a flag wins over the environment, that over a file, and that over the default."""

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_cache_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from vaefrag_core.config_errors import field_errors
from vaefrag_core.errors import InvalidInputError

SETTINGS_FILE = "vaefrag.toml"
DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]


class Settings(BaseSettings):
    """How pages are served and how the engine works.

    Every field can be set by the environment as VAEFRAG_<FIELD>, or in `vaefrag.toml` in the current folder.
    """

    model_config = SettingsConfigDict(env_prefix="VAEFRAG_", frozen=True, extra="forbid", toml_file=SETTINGS_FILE)

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on; 0.0.0.0 for every network")
    port: int = Field(8050, ge=0, le=65_535, description="port to listen on; 0 for any free one")
    token: SecretStr | None = Field(
        None, description="access token of 20 characters or more, without which nobody comes in"
    )
    token_file: Path | None = Field(
        None, description="file that holds the access token; default token within the workspace, when it is there"
    )
    session_hours: float = Field(168.0, gt=0, le=8760, description="for which a browser stays signed in")
    public_url: str | None = Field(
        None, description="address by which people reach the pages through a proxy, such as https://lab.example"
    )
    proxies: int = Field(
        0, ge=0, le=10, description="proxies in front whose word on the client's address and scheme is believed"
    )
    request_seconds: float = Field(30.0, gt=0, description="in which a client has to send a request whole")
    web_processes: int = Field(1, ge=1, le=64, description="processes that answer requests side by side")
    start_engine: bool = Field(True, description="whether `serve` starts an engine when none runs")
    workspace: Path = Field(Path("data"), description="folder of the ensembles")
    data_folders: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="folders whose files the pages may read as data sets, besides `datasets` in the workspace;"
        " separated by colons",
    )
    cache_dir: Path | None = Field(
        None, description="folder of derived pictures, safe to delete; default one within the user's own cache folder"
    )
    cache_megabytes: float = Field(500.0, ge=10, description="most that the cache holds, MB")
    slots: int | None = Field(
        None, ge=1, le=4096, description="processes of the engine that train side by side; default one per core"
    )
    scheduler: str | None = Field(
        None, description="address of a Dask scheduler that runs elsewhere; default the engine's own"
    )
    engine_host: str = Field("127.0.0.1", min_length=1, description="address at which workers join the engine")
    engine_port: int = Field(0, ge=0, le=65_535, description="port at which workers join; 0 for any free one")
    tls: Path | None = Field(None, description="folder of ca.pem, cert.pem and key.pem, for work on several machines")
    engine_idle_seconds: float = Field(
        30.0, gt=0, description="without work, after which an engine ends that was started by another command"
    )
    worker_lost_seconds: float = Field(
        60.0, ge=1, description="silence of a worker after which its work is given to another"
    )
    checkpoint_seconds: float = Field(
        5.0, ge=0, description="between two checkpoints of a member: what the loss of a worker costs at most"
    )
    grace_seconds: float = Field(
        10.0, gt=0, description="that a member has to stop by itself before its process is killed"
    )
    turn_seconds: float = Field(20.0, ge=0, description="that work keeps its slot before it makes room for other jobs")
    analysis_seconds: float = Field(60.0, ge=0, description="between analyses of an ensemble that is still trained")
    engine_silent_seconds: float = Field(
        60.0, ge=1, description="without a sign of life, after which an engine counts as hung"
    )
    least_free_mb: float = Field(
        200.0, ge=0, description="megabytes of room on the workspace's disk, below which it is not ready"
    )
    device: DeviceChoice = Field(
        "auto", description="of the engine's own machine: auto, cpu, cuda or mps; auto takes a GPU where there is one"
    )
    gpu_device: str | None = Field(
        None, min_length=1, description="torch's name for GPUs; default that of the kind found, else cuda"
    )
    gpu_members: int = Field(32, ge=1, le=4096, description="members trained together on one GPU: as many as fit")
    url_prefix: str = Field(
        "/", description="path under which the pages are served, such as /lab/, whether a proxy strips it or not"
    )

    @field_validator("url_prefix")
    @classmethod
    def _with_slashes(cls, value: str) -> str:
        if not all(part.replace("-", "").replace("_", "").isalnum() for part in value.split("/") if part):
            raise ValueError("a path of letters, digits, - and _, such as /lab/")
        return f"/{value.strip('/')}/".replace("//", "/")

    @field_validator("data_folders", mode="before")
    @classmethod
    def _split_folders(cls, value: object) -> object:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value

    @field_validator("data_folders")
    @classmethod
    def _absolute_folders(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(folder.expanduser().absolute() for folder in value)

    @field_validator("public_url")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[\w.\-\[\]:]+(/\S*)?", value, flags=re.ASCII):
            raise ValueError("an address such as https://lab.example")
        return value

    @property
    def cache_folder(self) -> Path:
        """The folder of derived pictures, whether it exists or not.

        It is not in the workspace, which may come from somebody else.
        """
        name = hashlib.sha256(str(self.workspace.resolve()).encode()).hexdigest()[:16]
        return self.cache_dir or user_cache_path("vaefrag") / "pages" / name

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the strongest first."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**flags: Any) -> Settings:
    """Read the settings from all sources.

    Args:
        flags: fields that were typed; those that are None were not.

    Raises:
        InvalidInputError: naming every setting at fault, what was expected and what came.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise InvalidInputError(" ".join(field_errors(error, Settings).values())) from None
    except ValueError as error:
        raise InvalidInputError(
            f"{SETTINGS_FILE}: expected a TOML file, got one that cannot be read: {error}."
        ) from None
