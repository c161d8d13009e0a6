"""The sections of `tidemark.yaml`, one frozen class each: what may be written, its unit, its default, and what is nonsense.

Durations are `90s 15m 1h 7d` or a number of seconds, sizes `64MiB 128MB` or a number of bytes.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from contracts.table import TableId
from runtime.durations import parse_duration
from runtime.selection import TableSelection
from runtime.sizes import parse_size

MESSAGE_BYTES_LIMIT = 998_000_000  # librdkafka takes 1,000,000,000, of which a MiB is for what is around a row
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

Seconds = Annotated[float, BeforeValidator(lambda value: parse_duration(value).total_seconds() if isinstance(value, str) else value)]
SizeBytes = Annotated[int, BeforeValidator(lambda value: parse_size(value) if isinstance(value, str) else value)]
Names = Annotated[  # a list, or one text with commas, as variables have it
    tuple[str, ...],
    NoDecode,
    BeforeValidator(lambda value: tuple(n.strip() for n in value.split(",") if n.strip()) if isinstance(value, str) else value),
]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, values: object) -> object:
        """`batch:` with every line below it commented out is the section's defaults."""
        return {} if values is None else values


class Mysql(Section):
    """The source server. TLS, verified, unless `allow_plaintext`."""

    host: str = Field(min_length=1)
    port: int = Field(3306, ge=1, le=65535)
    user: str
    password: SecretStr
    server_id: int | None = Field(None, ge=1, le=4294967295)
    ssl_ca: str | None = None
    ssl_verify_identity: bool = True
    allow_plaintext: bool = False
    connect_timeout_seconds: Seconds = Field(10, gt=0)

    @model_validator(mode="after")
    def _verified(self) -> Self:
        if not self.ssl_verify_identity and not self.ssl_ca and not self.allow_plaintext:
            raise ValueError(
                "ssl_verify_identity: false trusts any server any public authority knows; name your own authority in ssl_ca,"
                " or say allow_plaintext: true"
            )
        return self


class Kafka(Section):
    """The brokers, and how the pipeline's topics are made."""

    bootstrap_servers: str = Field(min_length=1)
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL"] = "PLAINTEXT"
    ssl_ca: str | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    allow_plaintext: bool = False
    replication_factor: int = Field(3, ge=1)
    retention_hours: int = Field(168, ge=1)
    message_bytes_max: SizeBytes = Field(8388608, ge=65536, le=MESSAGE_BYTES_LIMIT)
    transaction_timeout_seconds: Seconds = Field(60, ge=1, le=900)
    group_id: str | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _verified(self) -> Self:
        if self.security_protocol == "PLAINTEXT" and not self.allow_plaintext:
            raise ValueError(
                "security_protocol PLAINTEXT: anyone on the way reads and writes rows; use SSL or SASL_SSL, or say allow_plaintext: true"
            )
        sasl = (self.sasl_mechanism, self.sasl_username, self.sasl_password)
        if self.security_protocol == "SASL_SSL" and None in sasl:
            raise ValueError("security_protocol SASL_SSL needs sasl_mechanism, sasl_username and sasl_password")
        if self.security_protocol != "SASL_SSL" and any(item is not None for item in sasl):
            raise ValueError(f"security_protocol {self.security_protocol} leaves the sasl_* settings unused; write SASL_SSL or remove them")
        return self


class S3(Section):
    """The bucket batches pass through. Without keys the AWS default chain finds credentials."""

    bucket: str = Field(min_length=1)
    prefix: str = Field("tidemark", pattern=r"^[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*$")
    region: str | None = None
    endpoint_url: str | None = Field(None, pattern=r"^https?://")
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    allow_plaintext: bool = False
    keep_committed_seconds: Seconds = Field(7 * 86400, ge=0)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key come together; leave both out for the AWS default chain")
        url = self.endpoint_url or ""
        local = url.removeprefix("http://").startswith(tuple(f"{host}{end}" for host in LOOPBACK for end in (":", "/"))) or url in {
            f"http://{host}" for host in LOOPBACK
        }
        if url.startswith("http://") and not local and not self.allow_plaintext:
            raise ValueError("endpoint_url without TLS: use https://, or say allow_plaintext: true")
        return self


class Redshift(Section):
    """The warehouse. TLS, verified against Amazon's authorities and `ssl_ca`, unless `allow_plaintext`. `schema`: the ledger's."""

    host: str = Field(min_length=1)
    port: int = Field(5439, ge=1, le=65535)
    database: str = Field(min_length=1)
    user: str
    password: SecretStr
    ssl_ca: str | None = None
    allow_plaintext: bool = False
    iam_role: str = Field("default", pattern=r"^(default|arn:[^\s'\"\\]+)$")
    schema_: str = Field("tidemark", alias="schema", pattern=r"^[a-z_][a-z0-9_]*$", max_length=127)
    connect_timeout_seconds: Seconds = Field(10, gt=0)
    statement_timeout_seconds: Seconds = Field(900, gt=0)
    lock_patience_seconds: Seconds = Field(60, gt=0)


class TableOverride(Section):
    """What one table has of its own. `key`: columns that name a row, instead of the primary key. `keep_committed_seconds`: as in `s3`."""

    mode: Literal["merge", "soft_delete", "append"] | None = None
    key: Names | None = Field(None, min_length=1)
    shard: int | None = Field(None, ge=0)
    keep_committed_seconds: Seconds | None = Field(None, ge=0)


class Tables(Section):
    """Patterns of `db.table` with `*`; `override` by exact name."""

    include: Names = Field(min_length=1)
    exclude: Names = ()
    override: dict[str, TableOverride] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _patterns(self) -> Self:
        selection = self.selection
        for name in self.override:
            if not selection.captures(TableId.parse(name)):
                raise ValueError(
                    f"override of {name}, a table that include and exclude do not capture; write an exact db.table that they do"
                )
        return self

    @property
    def selection(self) -> TableSelection:
        return TableSelection.of(self.include, self.exclude)


class Target(Section):
    """Names in the warehouse, with `{db}` and `{table}` standing for the source's."""

    schema_: str = Field("{db}", alias="schema", min_length=1)
    table: str = Field("{table}", min_length=1)
    grant_select_to: Names = ()

    @model_validator(mode="after")
    def _templates(self) -> Self:
        for name in (self.schema_, self.table):
            rest = name.replace("{db}", "").replace("{table}", "")
            if "{" in rest or "}" in rest:
                raise ValueError(f"template {name!r}: only {{db}} and {{table}} are filled in")
        return self


class Batch(Section):
    """A micro-batch closes at whichever comes first."""

    rows: int = Field(250_000, ge=1)
    bytes: SizeBytes = Field(256 * 1024**2, ge=1024)
    seconds: Seconds = Field(30, gt=0, le=86400)


class Streamer(Section):
    """`decoder`: the native kernel where it was built (`auto`), or one of the two for certain. `snapshot`: whether the rows a table holds
    when the pipeline meets it are read (`initial`; `only`: and nothing else is done). `snapshot_connections`: to read tables by."""

    decoder: Literal["auto", "kernel", "python"] = "auto"
    snapshot: Literal["initial", "never", "only"] = "initial"
    snapshot_connections: int = Field(2, ge=1, le=64)


class Loader(Section):
    """`decoder`: the native kernel where it was built (`auto`), or one of the two for certain. `ledger_keep_seconds`: how long the ledger
    remembers batches whose objects are gone, and values in quarantine that were mended; 0 for ever."""

    decoder: Literal["auto", "kernel", "python"] = "auto"
    ledger_keep_seconds: Seconds = Field(90 * 86400, ge=0)


class Janitor(Section):
    """Where a sweep leaves its figures, as it does not live long enough to be asked: `metrics_textfile` for the node exporter's textfile
    collector, `pushgateway_url` for a Pushgateway. Its client has no way to sign in, and messages show the URL: it takes no password."""

    metrics_textfile: str | None = Field(None, pattern=r"\.prom$")
    pushgateway_url: str | None = Field(None, pattern=r"^https?://[^/\s@]+(/\S*)?$")


class Logs(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Metrics(Section):
    """`listen`: host:port of /metrics, /healthz and /readyz; off when absent. `halt_linger_seconds`: how long a process that has
    halted goes on answering there before it exits, so that somebody sees why."""

    listen: str | None = Field(None, pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$")
    halt_linger_seconds: Seconds = Field(30, ge=0, le=600)
