"""Settings come from the source that wins, and a wrong one is named with its source and the nearest right name."""

from __future__ import annotations

from pathlib import Path

import pytest

from billfold.app import settings

DSN = "postgresql://billfold_app:hush@db/core"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(
    environ: dict[str, str] | None = None, *, file: Path | None = None, overrides: dict[str, object] | None = None
) -> settings.Loaded:
    return settings.load(environ=environ or {}, file=file, overrides=overrides)


def written(text: str, name: str = "billfold.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_source_every_setting_is_its_default() -> None:
    loaded = load()
    assert loaded.settings == settings.Settings()
    assert loaded.sources == {}


def test_the_file_in_the_working_folder_is_read() -> None:
    written("[api]\nport = 9000\n")
    loaded = load()
    assert loaded.settings.api.port == 9000
    assert loaded.sources == {"api.port": "billfold.toml"}


def test_a_named_file_is_read_instead() -> None:
    written("[api]\nport = 9000\n")
    other = written("[api]\nport = 9001\n", "other.toml")
    assert load(file=other).settings.api.port == 9001
    assert load({"BILLFOLD_CONFIG": str(other)}).settings.api.port == 9001


def test_each_source_wins_over_the_one_before_it(tmp_path: Path) -> None:
    written('[nats]\nurl = "nats://file"\n')
    secret = tmp_path / "secret"
    secret.write_text("nats://secret-file\n", encoding="utf-8")
    environ = {"BILLFOLD_NATS__URL": "nats://environment"}
    assert load().settings.nats.url == "nats://file"
    assert load(environ).settings.nats.url == "nats://environment"
    environ["BILLFOLD_NATS__URL_FILE"] = str(secret)
    assert load(environ).settings.nats.url == "nats://secret-file"
    assert load(environ, overrides={"nats.url": "nats://command-line"}).settings.nats.url == "nats://command-line"


def test_text_of_the_environment_becomes_the_type_of_the_setting() -> None:
    loaded = load({"BILLFOLD_POSTGRES__POOL_SIZE": "12", "BILLFOLD_DATA_DIR": "~/money"}).settings
    assert loaded.postgres.pool_size == 12
    assert loaded.data_dir == Path.home() / "money"


def test_the_short_names_stand_for_the_long_ones() -> None:
    loaded = load(
        {"BILLFOLD_DATA": "/srv/money", "BILLFOLD_URL": "http://here", "BILLFOLD_API_KEY": "bf_test_x"}
    ).settings
    assert loaded.data_dir == Path("/srv/money")
    assert (loaded.client.url, loaded.client.api_key) == ("http://here", "bf_test_x")


@pytest.mark.parametrize(
    ("environ", "toml", "words"),
    [
        ({"BILLFOLD_POSTGRES__DNS": "x"}, "", ("BILLFOLD_POSTGRES__DNS", "environment", "BILLFOLD_POSTGRES__DSN.")),
        ({"BILLFOLD_API__PORTS_FILE": "x"}, "", ("BILLFOLD_API__PORTS_FILE", "BILLFOLD_API__PORT_FILE.")),
        ({}, "[worker]\nmetric_port = 1", ("worker.metric_port", "billfold.toml", "worker.metrics_port.")),
        ({}, "postgres = 5", ("postgres in billfold.toml", "postgres.dsn.")),
    ],
)
def test_an_unknown_name_is_refused_with_its_source_and_the_nearest_name(
    environ: dict[str, str], toml: str, words: tuple[str, ...]
) -> None:
    written(toml)
    with pytest.raises(settings.SettingUnknown) as refused:
        load(environ)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("environ", "toml", "words"),
    [
        ({"BILLFOLD_API__PORT": "eighty"}, "", ("api.port", "$BILLFOLD_API__PORT", "whole number")),
        ({"BILLFOLD_API__PORT": "70000"}, "", ("api.port", "65535")),
        ({"BILLFOLD_LOG__LEVEL": "loud"}, "", ("log.level", "loud")),
        ({"BILLFOLD_BROKER__KIND": "pulsar"}, "", ("broker.kind", "pulsar", "There are nats, kafka, rabbitmq.")),
        ({}, '[api]\nport = "9000"', ("api.port", "billfold.toml", "whole number")),
        ({}, "[api\n", ("billfold.toml", "TOML")),
        ({"BILLFOLD_CONFIG": "absent.toml"}, "", ("absent.toml", "No such file")),
        ({"BILLFOLD_NATS__PASSWORD_FILE": "absent"}, "", ("absent", "$BILLFOLD_NATS__PASSWORD_FILE")),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_source(
    environ: dict[str, str], toml: str, words: tuple[str, ...]
) -> None:
    written(toml)
    with pytest.raises(settings.SettingInvalid) as refused:
        load(environ)
    for word in words:
        assert word in str(refused.value)


def test_no_text_form_shows_a_secret() -> None:
    environ = {
        "BILLFOLD_POSTGRES__DSN": DSN,
        "BILLFOLD_POSTGRES__OWNER_DSN": "postgresql://db/core?user=o&password=hush&sslmode=require",
        "BILLFOLD_NATS__PASSWORD": "hush",
        "BILLFOLD_API_KEY": "hush",
    }
    loaded = load(environ).settings
    assert loaded.postgres.dsn == DSN
    shown = f"{loaded!r} {loaded} {loaded.postgres!r} {dict(settings.leaves(loaded))}"
    assert "hush" not in shown
    assert "postgresql://billfold_app:********@db/core" in shown
    assert "password=********&sslmode=require" in shown


def test_a_secret_in_a_wrong_setting_is_not_repeated_in_the_error() -> None:
    with pytest.raises(settings.SettingInvalid) as refused:
        load({"BILLFOLD_API__PORT": "hush"})
    assert "hush" not in str(refused.value)


def test_settings_are_replaced_by_dotted_name_and_the_rest_stays() -> None:
    before = load(environ={}, overrides={"api.port": "1234", "nats.user": "me"}).settings
    after = settings.replaced(before, {"api.port": 99, "api.host": "::", "history.kind": "cql"})
    assert (after.api.port, after.api.host, after.history.kind, after.nats.user) == (99, "::", "cql", "me")
    assert before.api.port == 1234


def test_settings_that_json_has_kept_are_of_their_types_again() -> None:
    kept = {"kafka.tls_ca": "/etc/ca.pem", "kafka.tls": True, "kafka.replicas": 3}
    assert settings.converted(kept, "stack.json") == {**kept, "kafka.tls_ca": Path("/etc/ca.pem")}
    with pytest.raises(settings.SettingInvalid, match=r"kafka.replicas from stack.json"):
        settings.converted({"kafka.replicas": "many"}, "stack.json")
