import msgspec
import pytest

from billfold.app import mail, settings
from billfold.platform.keys import Envelope, NoProvider
from billfold.platform.mail.queue import MailQueue
from billfold.platform.postgres.database import Database

FINE = settings.Mail(
    host="mail.example.com", user="billfold", password="s3cret", sender="Wallet <no-reply@example.com>"
)


async def _no_session(_timeout: float) -> None:
    return None


def sending(tree: settings.Mail) -> object:
    envelope = Envelope(NoProvider())
    # Nothing is connected to: only the settings are looked at.
    database = Database(None, _no_session)  # type: ignore[arg-type]
    return mail.sending(tree, database=database, mails=MailQueue(envelope))


@pytest.mark.parametrize("tls", ["starttls", "implicit", "none"])
def test_a_server_is_set_by_its_name_and_how_the_connection_is_kept_secret(tls: str) -> None:
    assert sending(settings.Mail(host="mail.example.com", tls=tls)) is not None  # type: ignore[arg-type]


def test_without_a_server_nothing_is_sent() -> None:
    assert sending(settings.Mail()) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": None}, "mail.user and mail.password go together"),
        ({"user": None}, "mail.user and mail.password go together"),
        ({"tls": "none"}, "for everybody to read"),
        ({"sender": ""}, "mail.sender is wrong"),
        ({"sender": "Billfold"}, "mail.sender is wrong"),
        ({"sender": "Billfold <no-reply>"}, "mail.sender is wrong"),
        ({"sender": "Eve\r\nBcc: eve@evil.example <no-reply@example.com>"}, "mail.sender is wrong"),
    ],
)
def test_a_wrong_setting_is_told(wrong: dict[str, str | None], said: str) -> None:
    with pytest.raises(settings.SettingInvalid, match=said):
        sending(msgspec.structs.replace(FINE, **wrong))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_password_may_go_to_this_machine_as_it_is(host: str) -> None:
    assert sending(msgspec.structs.replace(FINE, tls="none", host=host)) is not None


@pytest.mark.parametrize("domain", ["", "sms example.com", "sms@example.com", "sms.example.com\r\nBcc: x"])
def test_a_gateway_to_phones_is_a_domain(domain: str) -> None:
    with pytest.raises(settings.SettingInvalid, match=r"mail\.sms_domain is wrong"):
        mail.queue(settings.Mail(sms_domain=domain), Envelope(NoProvider()))
