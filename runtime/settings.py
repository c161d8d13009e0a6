"""Every setting of a pipeline, from `tidemark.yaml` and the environment.

A variable `TIDEMARK__KAFKA__BOOTSTRAP_SERVERS` wins over the file's key. Unknown keys and variables are refused by name, with the
nearest right one; so is nonsense. No message holds a value of the file or the environment that could be a secret.
"""

import difflib
import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from contracts.errors import Invalid
from contracts.progress import shard_of
from contracts.table import TableId
from contracts.topics import Topics
from runtime import configfile
from runtime.configfile import ConfigFile, KeyPath
from runtime.sections import (
    S3,
    Batch,
    Janitor,
    Kafka,
    Loader,
    Logs,
    Metrics,
    Mysql,
    Redshift,
    SizeBytes,
    Streamer,
    TableOverride,
    Tables,
    Target,
)

DEFAULT_PATH = "tidemark.yaml"
PREFIX = "TIDEMARK__"
_OWN = {"mysql", "kafka", "s3", "redshift", "streamer", "loader", "janitor"}
"""Sections that are of no concern to a command which does not connect there. What is captured, and under which names, is every command's:
an `exclude` that was not filled in would exclude nothing."""


class Settings(BaseSettings):
    """A pipeline. `pipeline` is its name and the prefix of its topics, for its whole life."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix="TIDEMARK__",
        env_nested_delimiter="__",
        allow_inf_nan=False,
    )

    pipeline: str
    mysql: Mysql
    kafka: Kafka
    s3: S3
    redshift: Redshift
    tables: Tables
    target: Target = Field(default_factory=lambda: Target.model_validate({}))
    batch: Batch = Field(default_factory=lambda: Batch.model_validate({}))
    streamer: Streamer = Field(default_factory=lambda: Streamer.model_validate({}))
    loader: Loader = Field(default_factory=lambda: Loader.model_validate({}))
    janitor: Janitor = Field(default_factory=lambda: Janitor.model_validate({}))
    state_shards: int = Field(1, ge=1, le=1024)
    memory_bytes_max: SizeBytes = Field(512 * 1024**2, ge=64 * 1024**2)
    on_bad_row: Literal["quarantine", "halt"] = "quarantine"
    logs: Logs = Field(default_factory=lambda: Logs.model_validate({}))
    metrics: Metrics = Field(default_factory=lambda: Metrics.model_validate({}))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        topics = self.topics  # raises ValueError for a name Kafka or S3 could not carry
        for name, override in self.tables.override.items():
            shard_of(topics.rows(TableId.parse(name)), self.state_shards, override.shard)
        if self.batch.bytes > self.memory_bytes_max:
            raise ValueError(f"batch.bytes ({self.batch.bytes}) is more than memory_bytes_max ({self.memory_bytes_max})")
        return self

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the constructor is given: `load` reads file and environment, and nothing reads them behind its back."""
        return (init_settings,)

    @property
    def topics(self) -> Topics:
        return Topics(self.pipeline)

    @property
    def shard_bytes_max(self) -> int:
        """What the loader may hold of a shard while it reads: a fifth of the memory, for as much is on its way to the warehouse beside it,
        and is held up to three times while it becomes Parquet and goes to the bucket. Every shard may be one process's."""
        return self.memory_bytes_max // (5 * self.state_shards)

    @property
    def group_id(self) -> str:
        """The loaders' consumer group."""
        return self.kafka.group_id or f"tidemark-{self.pipeline}-loader"

    def shard(self, table: TableId) -> int:
        """The shard that owns a table."""
        override = self.tables.override.get(str(table))
        return shard_of(self.topics.rows(table), self.state_shards, override.shard if override else None)

    def server_id(self, role: str) -> int:
        """This client's replica id towards MySQL: `mysql.server_id` for the streamer when set, else one derived from pipeline and role. The
        server drops the older of two replicas with one id, so each role has its own, and what may run more than once a role each."""
        if self.mysql.server_id is not None and role == "streamer":
            return self.mysql.server_id
        # Above 2**31: people number their servers from 1.
        return 2**31 + int.from_bytes(hashlib.sha256(f"{self.pipeline}/{role}".encode()).digest()[:4], "big") % (2**31 - 1)


def load(path: str | None, environ: Mapping[str, str], *, uses: Collection[str] | None = None) -> Settings:
    """Settings from the file at `path`, else at `TIDEMARK_CONFIG`, else `tidemark.yaml` if it is there, and from `environ`.

    `uses`: what the command needs of the sections in `_OWN`; references `${…}` in the others of them may stay unfilled, and those a
    variable replaces. Raises Invalid, which names every fault with the file's line or the variable.
    """
    chosen = path or environ.get("TIDEMARK_CONFIG")

    def concerns(section: str) -> bool:
        return uses is None or section in uses or section not in _OWN

    if chosen or Path(DEFAULT_PATH).exists():
        named = {name.upper() for name in environ}

        def needs(key_path: KeyPath) -> bool:
            return PREFIX + "__".join(key_path).upper() not in named and concerns(key_path[0])

        file = configfile.read(Path(chosen or DEFAULT_PATH), environ, needs)
    else:
        file = ConfigFile(f"{DEFAULT_PATH} (not there; name another with --config or TIDEMARK_CONFIG)")
    _refuse_unknown_variables(environ)
    variables = _Variables(environ)
    try:
        from_environ = variables()
        values = _merged(file.values, from_environ)
        for section in {path[0] for path in file.unfilled if not concerns(path[0])}:
            values[section] = _untold(section)
        return Settings(**values)
    except SettingsError as error:
        # The library's message names the section; what it failed to parse may be a secret.
        raise Invalid(f"a variable {PREFIX}… is not the JSON its setting needs: {error}") from None
    except ValidationError as error:
        faults = [
            _fault(item["loc"], item["type"], item["msg"], file, from_environ)
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise Invalid("the settings are not right:\n  " + "\n  ".join(faults)) from None


def _untold(section: str) -> BaseModel:
    """A section of which nothing is known: what was not filled in fits no setting but text."""
    model = Settings.model_fields[section].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model.model_construct()


class _Variables(EnvSettingsSource):
    """The library's reading of variables, from a given environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name: value for name, value in environ.items() if name.upper().startswith(PREFIX)}
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items()}


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(low)
    for key, value in high.items():
        below = out.get(key)
        out[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return out


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = {PREFIX + "__".join(path).upper() for path in _paths(Settings, ())}
    # TIDEMARK_KAFKA__… is a slip of the same kind. One underscore alone is for others: TIDEMARK_CONFIG, a Kubernetes service's variables.
    meant = (name for name in environ if name.upper().startswith("TIDEMARK_") and "__" in name)
    faults = [f"unknown variable {name}{_nearest(name.upper(), known)}" for name in sorted(meant) if name.upper() not in known]
    if faults:
        raise Invalid("\n  ".join(faults))


def _paths(model: type[BaseModel], above: KeyPath) -> Iterator[KeyPath]:
    for name, field in model.model_fields.items():
        path = (*above, field.alias or name)
        yield path
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _paths(field.annotation, path)


def _fault(location: tuple[int | str, ...], kind: str, message: str, file: ConfigFile, from_environ: Mapping[str, Any]) -> str:
    path = tuple(str(part) for part in location)
    key = ".".join(path)
    place = f"variable {PREFIX}{'__'.join(path).upper()}" if path and _holds(from_environ, path) else file.place(path)
    if kind == "extra_forbidden":
        return f"{place}: unknown key {key}{_nearest(path[-1], _names_beside(path))}"
    if kind == "missing":
        return f"{place}: {key} is missing"
    return f"{place}: {key + ': ' if key else ''}{message.removeprefix('Value error, ')}"


def _holds(values: Any, path: KeyPath) -> bool:
    for part in path:
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _names_beside(path: KeyPath) -> set[str]:
    if path[:2] == ("tables", "override"):
        return {field.alias or name for name, field in TableOverride.model_fields.items()}
    return {other[-1] for other in _paths(Settings, ()) if other[:-1] == path[:-1]}


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}" if len(known) < 20 else ""
