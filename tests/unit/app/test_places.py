"""Where signed heads go, as settings say it."""

from pathlib import Path

import pytest

from billfold.app import places, settings
from billfold.audit import Place

STORE = {
    "endpoint": "https://s3.example.com",
    "bucket": "billfold-heads",
    "access_key": "AKIDEXAMPLE",
    "secret_key": "hidden/as+it=is",
}


def loaded(**values: str) -> settings.Audit:
    given = {settings.variable(f"audit.publish_s3.{name}"): value for name, value in values.items() if value}
    return settings.load(environ=given).settings.audit


def place(**values: str) -> Place:
    (found,) = places.of(loaded(**STORE | values))
    return found


def test_without_an_endpoint_nothing_is_put_anywhere() -> None:
    assert not places.of(loaded(bucket="billfold-heads"))


@pytest.mark.parametrize(
    "endpoint",
    ["https://s3.example.com", "https://s3.example.com:9000/", "http://127.0.0.1:9000", "http://[::1]:9000"],
)
def test_a_place_is_known_by_its_address_bucket_and_prefix(endpoint: str) -> None:
    assert place(endpoint=endpoint).name == f"s3 {endpoint.rstrip('/')}/billfold-heads/audit/heads/"
    assert place(endpoint=endpoint, prefix="a/b/").name == f"s3 {endpoint.rstrip('/')}/billfold-heads/a/b/"


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("http://s3.example.com", "without https://"),
        ("http://10.0.0.7:9000", "without https://"),
        ("s3.example.com", "does not begin with https://"),
        ("ftp://s3.example.com", "does not begin with https://"),
        ("https://", "does not begin with https://"),
        ("https://key:secret@s3.example.com", "more in it"),
        ("https://s3.example.com/bucket", "more in it"),
        ("https://s3.example.com/?x=1", "more in it"),
        ("https://s3.example.com:x", "no URL"),
    ],
)
def test_an_endpoint_that_is_none_or_would_be_overheard_is_refused(endpoint: str, said: str) -> None:
    with pytest.raises(
        settings.SettingInvalid, match=rf"audit\.publish_s3\.endpoint can't be used: .*{said}"
    ) as refused:
        place(endpoint=endpoint)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["bucket", "access_key", "secret_key"])
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(settings.SettingInvalid, match=f"BILLFOLD_AUDIT__PUBLISH_S3__{name.upper()}"):
        place(**{name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bucket", "No_Bucket"),
        ("bucket", "a/b"),
        ("prefix", "/begins"),
        ("prefix", "no-slash-at-the-end"),
        ("prefix", "../"),
        ("prefix", "a//"),
        ("region", "eu central"),
        ("access_key", "a,b/c"),
    ],
)
def test_what_would_not_be_sent_as_it_is_signed_is_refused(name: str, value: str) -> None:
    with pytest.raises(settings.SettingInvalid, match=rf"audit\.publish_s3\.{name}") as refused:
        place(**{name: value})
    assert name != "access_key" or value not in str(refused.value)


def test_an_authority_is_a_file_of_certificates(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(settings.SettingInvalid, match=r"audit\.publish_s3\.tls_ca is wrong: there is no file"):
        place(tls_ca=str(file))
    file.write_text("nothing")
    with pytest.raises(settings.SettingInvalid, match="holds no certificate"):
        place(tls_ca=str(file))


def test_keys_come_from_files_too_and_are_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hidden-in-a-file\n")
    given = {f"BILLFOLD_AUDIT__PUBLISH_S3__{name.upper()}": value for name, value in STORE.items()}
    del given["BILLFOLD_AUDIT__PUBLISH_S3__SECRET_KEY"]
    tree = settings.load(environ={**given, "BILLFOLD_AUDIT__PUBLISH_S3__SECRET_KEY_FILE": str(file)}).settings
    assert tree.audit.publish_s3.secret_key == "hidden-in-a-file"
    (found,) = places.of(tree.audit)
    shown = f"{tree!r} {dict(settings.leaves(tree))} {found.name} {vars(found)}"
    assert "hidden-in-a-file" not in shown
    assert STORE["access_key"] not in shown
