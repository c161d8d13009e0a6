import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from contracts.errors import Invalid
from contracts.table import TableId
from runtime.settings import Settings, load

EXAMPLE = Path(__file__).parents[2] / "tidemark.example.yaml"
SECRET = "hunter2-canary"


def smallest() -> dict[str, Any]:
    return {
        "pipeline": "shop",
        "mysql": {"host": "db", "user": "u", "password": SECRET},
        "kafka": {"bootstrap_servers": "k:9093", "security_protocol": "SSL"},
        "s3": {"bucket": "b"},
        "redshift": {"host": "r", "database": "dev", "user": "u", "password": SECRET},
        "tables": {"include": ["shop.*"]},
    }


def write(directory: Path, values: dict[str, Any] | str) -> str:
    path = directory / "tidemark.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values, sort_keys=False))
    return str(path)


def refusal(path: str | None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(Invalid) as caught:
        load(path, environ or {})
    assert SECRET not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def example(directory: Path, *, switched_on: Callable[[str], bool] = lambda line: False) -> Settings:
    (directory / "password").write_text("s3cret\n")
    text = EXAMPLE.read_text().replace("/run/secrets/redshift-password", str(directory / "password"))
    lines = [
        re.sub(r"^( *)#(?=[ a-z_.]+:)", r"\1", line) if re.match(r" *# *[a-z_.]+:", line) and switched_on(line) else line
        for line in text.splitlines()
    ]
    environ = {"MYSQL_PASSWORD": "m", "KAFKA_PASSWORD": "k", "AWS_KEY": "a", "AWS_SECRET": "s"}
    return load(write(directory, "\n".join(lines)), environ)


def test_the_example_loads(tmp_path: Path) -> None:
    settings = example(tmp_path)
    assert settings.redshift.password.get_secret_value() == "s3cret"
    assert settings.group_id == "tidemark-shop-loader"


def test_what_the_example_shows_as_a_default_is_the_default(tmp_path: Path) -> None:
    spelled_out = example(tmp_path, switched_on=lambda line: "e.g." not in line)
    plain = example(tmp_path)
    assert spelled_out.kafka.model_dump(exclude={"group_id"}) == plain.kafka.model_dump(exclude={"group_id"})
    assert spelled_out.group_id == plain.group_id
    assert spelled_out.model_dump(exclude={"kafka"}) == plain.model_dump(exclude={"kafka"})
    assert spelled_out.batch.model_fields_set == {"rows", "bytes", "seconds"}


def test_everything_the_example_shows_may_be_switched_on(tmp_path: Path) -> None:
    settings = example(tmp_path, switched_on=lambda line: True)
    assert settings.metrics.listen == "127.0.0.1:9400"
    assert settings.tables.override["shop.orders"].key == ("tenant_id", "order_no")
    shown = {f"{s}.{f}" for s, m in settings if isinstance(m, BaseModel) for f in type(m).model_fields if f not in m.model_fields_set}
    assert shown == set(), "settings the example does not show"


def test_an_empty_section_is_its_defaults(tmp_path: Path) -> None:
    assert load(write(tmp_path, {**smallest(), "batch": None}), {}).batch.seconds == 30


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, smallest())
    environ = {
        "TIDEMARK__KAFKA__BOOTSTRAP_SERVERS": "other:9093",
        "TIDEMARK__TABLES__INCLUDE": "crm.*, shop.orders",
        "TIDEMARK__BATCH__SECONDS": "1m",
        "TIDEMARK__REDSHIFT__SCHEMA": "ledger",
        "TIDEMARK__TABLES__OVERRIDE": '{"shop.orders": {"mode": "append"}}',
        "TIDEMARK_CONFIG": "elsewhere.yaml",
        "UNRELATED": "x",
    }
    settings = load(path, environ)
    assert settings.kafka.bootstrap_servers == "other:9093"
    assert settings.kafka.security_protocol == "SSL"
    assert settings.tables.include == ("crm.*", "shop.orders")
    assert settings.batch.seconds == 60
    assert settings.redshift.schema_ == "ledger"
    assert settings.tables.override["shop.orders"].mode == "append"


def test_variables_alone_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {
        f"TIDEMARK__{section.upper()}__{key.upper()}": ",".join(value) if isinstance(value, list) else str(value)
        for section, keys in smallest().items()
        if isinstance(keys, dict)
        for key, value in keys.items()
    }
    assert load(None, {**environ, "TIDEMARK__PIPELINE": "shop"}).s3.bucket == "b"
    assert "pipeline is missing" in refusal(None, environ)


def test_the_file_is_found_by_tidemark_config(tmp_path: Path) -> None:
    assert load(None, {"TIDEMARK_CONFIG": write(tmp_path, smallest())}).pipeline == "shop"
    assert "nowhere.yaml" in refusal(None, {"TIDEMARK_CONFIG": "nowhere.yaml"})


def test_the_process_environment_is_read_only_when_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK__S3__BUCKET", "sneaked-in")
    assert load(write(tmp_path, smallest()), {}).s3.bucket == "b"


@pytest.mark.parametrize(
    ("section", "key", "nearest"),
    [
        (None, "pipelin", "pipeline"),
        ("kafka", "bootstrap_server", "bootstrap_servers"),
        ("redshift", "shema", "schema"),
        ("redshift", "schema_", "schema"),
        ("batch", "second", "seconds"),
    ],
)
def test_an_unknown_key_names_its_line_and_its_nearest_neighbour(tmp_path: Path, section: str | None, key: str, nearest: str) -> None:
    values = smallest()
    (values.setdefault(section, {}) if section else values)[key] = SECRET
    text = refusal(write(tmp_path, values))
    line = next(number for number, text in enumerate((tmp_path / "tidemark.yaml").read_text().splitlines(), 1) if f"{key}:" in text)
    assert f"tidemark.yaml:{line}: unknown key {f'{section}.' if section else ''}{key}; did you mean {nearest}?" in text


def test_an_unknown_key_of_an_override_names_the_keys_there_are(tmp_path: Path) -> None:
    values = smallest()
    values["tables"]["override"] = {"shop.orders": {"moed": "append"}}
    assert "unknown key tables.override.shop.orders.moed; did you mean mode?" in refusal(write(tmp_path, values))


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("TIDEMARK__KAFKA__BOOTSTRAP_SERVER", "TIDEMARK__KAFKA__BOOTSTRAP_SERVERS"),
        ("TIDEMARK_KAFKA__BOOTSTRAP_SERVERS", "TIDEMARK__KAFKA__BOOTSTRAP_SERVERS"),
        ("TIDEMARK__PIPLINE", "TIDEMARK__PIPELINE"),
        ("TIDEMARK__REDSHIFT__SCHEMA_", "TIDEMARK__REDSHIFT__SCHEMA"),
    ],
)
def test_an_unknown_variable_names_its_nearest_neighbour(tmp_path: Path, variable: str, nearest: str) -> None:
    assert f"unknown variable {variable}; did you mean {nearest}?" in refusal(write(tmp_path, smallest()), {variable: SECRET})


def test_a_missing_variable_or_file_is_named_with_its_key_and_all_of_them_at_once(tmp_path: Path) -> None:
    values = smallest()
    values["mysql"]["password"] = "${NOT_SET}"
    values["redshift"]["password"] = "${file:/no/such/file}"
    text = refusal(write(tmp_path, values))
    assert "mysql.password: the environment has no variable NOT_SET" in text
    assert "redshift.password: cannot read the file of ${file:/no/such/file}" in text


def test_a_command_needs_only_the_secrets_of_its_own_sections(tmp_path: Path) -> None:
    values = smallest()
    values["mysql"]["password"] = "${NOT_SET}"
    assert load(write(tmp_path, values), {}, uses=("redshift", "s3")).s3.bucket == "b"
    with pytest.raises(Invalid, match="NOT_SET"):
        load(write(tmp_path, values), {}, uses=("mysql",))


def test_a_reference_that_may_stay_unfilled_may_stand_for_a_number(tmp_path: Path) -> None:
    values = smallest()
    values["mysql"]["server_id"] = "${NOT_SET}"
    settings = load(write(tmp_path, values), {}, uses=("redshift", "s3"))
    assert settings.s3.bucket == "b"
    assert SECRET not in repr(settings)
    with pytest.raises(Invalid, match="NOT_SET"):
        load(write(tmp_path, values), {}, uses=("mysql",))


@pytest.mark.parametrize("key", ["include", "exclude"])
def test_what_is_captured_is_every_command_s_concern(tmp_path: Path, key: str) -> None:
    values = smallest()
    values["tables"] = {"include": ["shop.*"], key: ["${NOT_SET}.*"]}
    with pytest.raises(Invalid, match=rf"tables\.{key}: the environment has no variable NOT_SET"):
        load(write(tmp_path, values), {}, uses=("mysql", "kafka"))


def test_a_variable_wins_over_a_reference_that_leads_nowhere(tmp_path: Path) -> None:
    values = smallest()
    values["mysql"]["password"] = "${NOT_SET}"
    made = load(write(tmp_path, values), {"tidemark__mysql__password": SECRET})
    assert made.mysql.password.get_secret_value() == SECRET


def test_a_doubled_dollar_is_text(tmp_path: Path) -> None:
    values = smallest()
    values["mysql"]["password"] = "a$${b}c$$d"
    assert load(write(tmp_path, values), {}).mysql.password.get_secret_value() == "a${b}c$$d"


@pytest.mark.parametrize(
    ("section", "change", "complaint"),
    [
        ("kafka", {"security_protocol": "PLAINTEXT"}, "allow_plaintext: true"),
        ("kafka", {"security_protocol": "SASL_SSL"}, "needs sasl_mechanism"),
        ("kafka", {"sasl_username": "u"}, "leaves the sasl_* settings unused"),
        ("kafka", {"sasl_mechanism": "GSSAPI"}, "kafka.sasl_mechanism"),
        ("mysql", {"ssl_verify_identity": False}, "ssl_ca"),
        ("mysql", {"port": 0}, "mysql.port"),
        ("mysql", {"server_id": 0}, "mysql.server_id"),
        ("s3", {"endpoint_url": "http://s3.example.com"}, "endpoint_url without TLS"),
        ("s3", {"endpoint_url": "http://localhost.example.com:80"}, "endpoint_url without TLS"),
        ("s3", {"access_key_id": "a"}, "come together"),
        ("s3", {"prefix": "/a/"}, "s3.prefix"),
        ("s3", {"keep_committed_seconds": "7 days"}, "write 90s, 15m, 1h or 7d"),
        ("redshift", {"schema": 'a"b'}, "redshift.schema"),
        ("redshift", {"iam_role": "arn:x' CREDENTIALS '"}, "redshift.iam_role"),
        ("tables", {"include": ["orders"]}, "write db.table"),
        ("tables", {"include": []}, "tables.include"),
        ("tables", {"override": {"crm.x": {"mode": "append"}}}, "do not capture"),
        ("tables", {"override": {"shop.x": {"shard": 1}}}, "shards 0 to 0"),
        ("tables", {"override": {"shop.x": {"key": []}}}, "tables.override.shop.x.key"),
        ("target", {"table": "{tabel}"}, "only {db} and {table}"),
        ("batch", {"seconds": 0}, "batch.seconds"),
        ("batch", {"seconds": float("nan")}, "batch.seconds"),
        ("batch", {"rows": 0}, "batch.rows"),
        ("batch", {"bytes": "1GiB"}, "memory_bytes_max"),
        ("batch", {"bytes": "1M"}, "write 64MiB"),
        ("logs", {"level": "loud"}, "logs.level"),
        ("metrics", {"listen": "9400"}, "metrics.listen"),
    ],
)
def test_nonsense_is_refused_by_name(tmp_path: Path, section: str, change: dict[str, Any], complaint: str) -> None:
    values = smallest()
    values.setdefault(section, {}).update(change)
    assert complaint in refusal(write(tmp_path, values))


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("pipeline", "a.b", "pipeline prefix"),
        ("state_shards", 0, "state_shards"),
        ("on_bad_row", "skip", "on_bad_row"),
        ("mysql", None, "mysql"),
    ],
)
def test_nonsense_at_the_top_is_refused_by_name(tmp_path: Path, key: str, value: object, complaint: str) -> None:
    assert complaint in refusal(write(tmp_path, {**smallest(), key: value}))


def test_a_fault_in_a_variable_names_the_variable(tmp_path: Path) -> None:
    assert "variable TIDEMARK__MYSQL__PORT: mysql.port" in refusal(write(tmp_path, smallest()), {"TIDEMARK__MYSQL__PORT": SECRET})


def test_a_key_set_twice_is_refused(tmp_path: Path) -> None:
    text = yaml.safe_dump(smallest(), sort_keys=False) + "pipeline: other\n"
    assert "pipeline is set twice, first in line 1" in refusal(write(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        f"mysql: {{password: {SECRET}",
        f"- {SECRET}",
        f"a: !!python/object:x {SECRET}",
        f"a: *{SECRET}",
        f"a: !{SECRET}",
        f"a: !x!{SECRET}",
        f"a: !!bool {SECRET}",
    ],
)
def test_a_file_that_is_no_mapping_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    assert "tidemark.yaml" in refusal(write(tmp_path, text))


def test_a_gateway_with_a_password_in_its_url_is_refused_without_quoting_it(tmp_path: Path) -> None:
    values = {**smallest(), "janitor": {"pushgateway_url": f"http://ops:{SECRET}@gateway:9091"}}
    assert "janitor.pushgateway_url" in refusal(write(tmp_path, values))
    values["janitor"]["pushgateway_url"] = "http://gateway:9091/some/path"
    assert load(write(tmp_path, values), {}).janitor.pushgateway_url == "http://gateway:9091/some/path"


def test_secrets_show_in_no_text_of_the_settings(tmp_path: Path) -> None:
    settings = load(write(tmp_path, smallest()), {})
    assert settings.mysql.password.get_secret_value() == SECRET
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_plaintext_is_spoken_only_when_allowed_and_to_this_machines_own_s3(tmp_path: Path) -> None:
    values = smallest()
    values["kafka"] = {"bootstrap_servers": "k:9092", "allow_plaintext": True}
    values["s3"]["endpoint_url"] = "http://127.0.0.1:9000"
    settings = load(write(tmp_path, values), {})
    assert settings.kafka.security_protocol == "PLAINTEXT"


def test_a_table_belongs_to_its_configured_shard(tmp_path: Path) -> None:
    values = {**smallest(), "state_shards": 8}
    values["tables"]["override"] = {"shop.orders": {"shard": 5}}
    settings = load(write(tmp_path, values), {})
    assert settings.shard(TableId("shop", "orders")) == 5
    assert {settings.shard(TableId("shop", f"t{n}")) for n in range(100)} == set(range(8))


def test_each_role_is_a_replica_of_its_own_towards_mysql(tmp_path: Path) -> None:
    values = smallest()
    settings = load(write(tmp_path, values), {})
    assert settings.server_id("streamer") == settings.server_id("streamer") != settings.server_id("backfill")
    assert 2**31 <= settings.server_id("streamer") < 2**32
    values["mysql"]["server_id"] = 4101
    settings = load(write(tmp_path, values), {})
    assert settings.server_id("streamer") == 4101 != settings.server_id("backfill")
