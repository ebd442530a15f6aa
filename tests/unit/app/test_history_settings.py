"""Where the copy of the history is, as settings say it."""

from pathlib import Path

import pytest

from billfold.app import history, settings


def server_of(**values: str) -> object:
    environ = {settings.variable(f"history.{name}"): value for name, value in values.items()}
    tree = settings.load(environ={"BILLFOLD_HISTORY__KIND": "cql", **environ}).settings
    return history._server(tree.history).contact_points


def test_nodes_are_names_or_addresses_with_or_without_a_port() -> None:
    assert server_of(contact_points="cassandra-1, 10.0.0.7:9142,[::1]:9043") == [
        ("cassandra-1", 9042),
        ("10.0.0.7", 9142),
        ("::1", 9043),
    ]


@pytest.mark.parametrize("text", ["", "a,,b", "a:0", "a:65536", "a b", "http://a", "a:x"])
def test_what_names_no_node_is_refused(text: str) -> None:
    with pytest.raises(settings.SettingInvalid, match=r"history\.contact_points is wrong"):
        server_of(contact_points=text)


def test_a_copy_needs_to_know_where_it_is() -> None:
    with pytest.raises(settings.SettingInvalid, match="BILLFOLD_HISTORY__CONTACT_POINTS"):
        server_of()


def test_an_authority_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingInvalid, match=r"history\.tls_ca"):
        server_of(contact_points="a", tls_ca=str(tmp_path / "none.pem"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keyspace", "x; DROP KEYSPACE y"),
        ("keyspace", "1x"),
        ("datacenter", "a' }"),
        ("copies", "0"),
        ("ttl_days", "1"),
        ("consistency", "ANY"),
    ],
)
def test_what_would_stand_in_a_statement_or_can_not_work_is_refused(name: str, value: str) -> None:
    with pytest.raises(settings.SettingInvalid):
        server_of(contact_points="a", **{name: value})
