"""A mail server that is down, slow, refuses, or is killed in the middle: what must arrive does, and nothing is told."""

import asyncio
import ssl
from collections.abc import Iterator

import pytest
import structlog

from billfold.platform.mail import sending
from tests import certificates, smtp
from tests.integration.mail.support import ADA, VALUES, Post, at_work
from tests.integration.mail.test_sending import counter, until_tried

pytestmark = [
    pytest.mark.usefixtures("impatient"),
    # Said of a server that is inside of TLS from the first byte on.
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS"),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> certificates.Certificate:
    """Of localhost, signed by itself."""
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(certificate: certificates.Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


@pytest.fixture
def trusted(certificate: certificates.Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.certificate))


@pytest.fixture
def logged() -> Iterator[list[structlog.typing.EventDict]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


async def test_while_the_server_is_down_mails_wait(post: Post, smtp_server: smtp.SmtpServer) -> None:
    smtp_server.stop()
    await post.put()
    async with at_work(post.sending(smtp_server)):
        await until_tried(post, ADA, 3)
        smtp_server.start()
        await post.emptied()
    assert VALUES["code"] in smtp_server.received[0].text()


@pytest.mark.parametrize("step", ["sender", "recipient", "content"])
async def test_what_is_refused_for_now_is_sent_later(post: Post, smtp_server: smtp.SmtpServer, step: str) -> None:
    setattr(smtp_server.behaviour, f"reply_to_{step}", "451 4.7.1 Greylisted")
    await post.put()
    async with at_work(post.sending(smtp_server)):
        await asyncio.to_thread(smtp_server.wait_until, lambda: smtp_server.tries >= 3, "three tries")
        smtp_server.behaviour = smtp.Behaviour()
        await post.emptied()
    assert len(smtp_server.received) == 1


@pytest.mark.parametrize("step", ["recipient", "content"])
async def test_what_is_refused_for_ever_is_given_up_and_told_without_a_name(
    post: Post, smtp_server: smtp.SmtpServer, logged: list[structlog.typing.EventDict], step: str
) -> None:
    setattr(smtp_server.behaviour, f"reply_to_{step}", f"550 5.1.1 <{ADA}> is not known here")
    refused = counter("billfold_mail_failed_total", outcome="refused")
    await post.put()
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    assert smtp_server.tries == 1
    assert counter("billfold_mail_failed_total", outcome="refused") == refused + 1
    (entry,) = (entry for entry in logged if entry["event"] == "a mail is given up")
    assert "550" in entry["reason"]
    assert not [entry for entry in logged if ADA in str(entry) or VALUES["code"] in str(entry)]


async def test_a_server_that_refuses_us_is_no_reason_to_give_up(post: Post, smtp_server: smtp.SmtpServer) -> None:
    """Somebody has set the wrong sender; when it is mended the mails go out."""
    smtp_server.behaviour.reply_to_sender = "550 5.7.1 not your domain"
    await post.put()
    async with at_work(post.sending(smtp_server)):
        await asyncio.to_thread(smtp_server.wait_until, lambda: smtp_server.tries >= 3, "three tries")
        smtp_server.behaviour = smtp.Behaviour()
        await post.emptied()
    assert len(smtp_server.received) == 1


async def test_after_a_day_a_mail_is_given_up(
    post: Post, smtp_server: smtp.SmtpServer, logged: list[structlog.typing.EventDict]
) -> None:
    smtp_server.stop()
    await post.put(to="early@example.com")
    await post.put(to="late@example.com")
    await post.execute(
        "UPDATE mail.queue SET created_at = created_at - interval '25 h' WHERE recipient = 'late@example.com'"
    )
    async with at_work(post.sending(smtp_server)):
        await until_tried(post, "early@example.com", 3)
    assert await post.waiting() == 1
    assert [entry["outcome"] for entry in logged if entry["event"] == "a mail is given up"] == ["too_late"]


async def test_a_slow_server_holds_up_its_own_mail_alone(
    post: Post, smtp_server: smtp.SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the quick one takes on any machine.
    monkeypatch.setattr(sending, "SEND_TIMEOUT_S", 5.0)
    smtp_server.behaviour.silent = True
    await post.put(to="slow@example.com")
    async with at_work(post.sending(smtp_server)):
        await asyncio.to_thread(smtp_server.wait_for, 1)
        smtp_server.behaviour = smtp.Behaviour()
        await post.put(to="quick@example.com")
        await asyncio.to_thread(smtp_server.wait_for, 2)
        await post.emptied()
    assert [received.recipients[0] for received in smtp_server.received] == [
        "slow@example.com",
        "quick@example.com",
        "slow@example.com",
    ]


async def test_no_transaction_is_open_while_the_server_is_spoken_with(post: Post, smtp_server: smtp.SmtpServer) -> None:
    """An open one would hold up the vacuum of every table for as long as the server takes."""
    smtp_server.behaviour.silent = True
    await post.put()
    async with at_work(post.sending(smtp_server)):
        await asyncio.to_thread(smtp_server.wait_for, 1)
        async with post.database.connection() as connection:
            open_ones = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND state LIKE 'idle in transaction%'"
            )
    assert open_ones == 0


async def test_a_connection_cut_before_the_answer_loses_nothing(post: Post, smtp_server: smtp.SmtpServer) -> None:
    smtp_server.behaviour.cut_off = True
    await post.put()
    async with at_work(post.sending(smtp_server)):
        await asyncio.to_thread(smtp_server.wait_until, lambda: smtp_server.tries >= 2, "two tries")
        smtp_server.behaviour = smtp.Behaviour()
        await post.emptied()
    assert len(smtp_server.received) == 1


async def test_a_mail_that_comes_twice_is_known_as_the_same(post: Post, smtp_server: smtp.SmtpServer) -> None:
    smtp_server.behaviour = smtp.Behaviour(cut_off=True, keeps_when_cut_off=True)
    await post.put()
    async with at_work(post.sending(smtp_server)):
        await asyncio.to_thread(smtp_server.wait_for, 1)
        smtp_server.behaviour = smtp.Behaviour()
        await post.emptied()
    first, *others = smtp_server.received
    assert others
    for other in others:
        assert other.message["Message-ID"] == first.message["Message-ID"]
        assert other.message["Date"] == first.message["Date"]
        assert (other.text(), other.html()) == (first.text(), first.html())


async def test_a_server_killed_and_started_again_and_again_gets_every_mail(
    post: Post, smtp_server: smtp.SmtpServer
) -> None:
    wanted = {f"user{number}@example.com" for number in range(60)}
    async with at_work(post.sending(smtp_server), post.sending(smtp_server)):
        for number, recipient in enumerate(sorted(wanted)):
            await post.put(to=recipient)
            if number % 15 == 7:
                smtp_server.stop()
                await asyncio.sleep(0.05)
                smtp_server.start()
        await post.emptied()
    assert {received.recipients[0] for received in smtp_server.received} == wanted


async def test_who_is_stopped_in_the_middle_leaves_its_mail_to_the_next_at_once(
    post: Post, smtp_server: smtp.SmtpServer
) -> None:
    smtp_server.behaviour.silent = True
    await post.put()
    async with at_work(post.sending(smtp_server)):
        await asyncio.to_thread(smtp_server.wait_for, 1)
    smtp_server.behaviour = smtp.Behaviour()
    async with at_work(post.sending(smtp_server)):
        await asyncio.to_thread(smtp_server.wait_for, 2)
        await post.emptied()


async def test_a_mail_that_is_on_its_way_is_nobody_elses_and_anybodys_after_a_crash(
    post: Post, smtp_server: smtp.SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LEASE_S", 3.0)
    crashed = post.sending(smtp_server)
    await post.put()
    # It takes the mail and is never heard of again.
    assert len(await crashed._take(8)) == 1
    async with at_work(post.sending(smtp_server)):
        await asyncio.sleep(0.5)
        assert smtp_server.tries == 0
        await post.emptied()
    assert len(smtp_server.received) == 1


async def test_a_mail_that_can_not_be_written_holds_up_no_other(
    post: Post, smtp_server: smtp.SmtpServer, logged: list[structlog.typing.EventDict]
) -> None:
    await post.put("verification_code", to="missing@example.com", values={})
    await post.put("no_such_template", to="unknown@example.com")
    await post.put(to="fine@example.com")
    async with at_work(post.sending(smtp_server)):
        await until_tried(post, "missing@example.com", 2)
        await until_tried(post, "unknown@example.com", 2)
        await post.emptied(but=2)
    assert [received.recipients for received in smtp_server.received] == [["fine@example.com"]]
    reasons = {entry["reason"] for entry in logged if entry["log_level"] == "error"}
    assert reasons == {
        "UndefinedError in the template verification_code",
        "TemplateNotFound in the template no_such_template",
    }


@pytest.mark.parametrize("how", ["starttls", "implicit"])
async def test_mails_go_through_tls_with_a_name_and_a_password(
    post: Post, tls: ssl.SSLContext, trusted: ssl.SSLContext, how: str
) -> None:
    with smtp.running(tls=tls, implicit_tls=how == "implicit", credentials=("billfold", "s3cret")) as server:
        await post.put()
        async with at_work(post.sending(server, tls=how, user="billfold", password="s3cret", trusted=trusted)):
            await post.emptied()
        assert len(server.received) == 1


@pytest.mark.parametrize("how", ["starttls", "implicit"])
async def test_a_certificate_that_nobody_vouches_for_gets_no_mail(post: Post, tls: ssl.SSLContext, how: str) -> None:
    with smtp.running(tls=tls, implicit_tls=how == "implicit") as server:
        await post.put()
        async with at_work(post.sending(server, tls=how)):
            await until_tried(post, ADA, 2)
        assert (server.tries, await post.waiting()) == (0, 1)


async def test_a_server_without_tls_gets_no_mail_where_tls_is_wanted(post: Post, smtp_server: smtp.SmtpServer) -> None:
    """Whoever sits between takes STARTTLS out of the server's answer."""
    await post.put()
    async with at_work(post.sending(smtp_server, tls="starttls")):
        await until_tried(post, ADA, 2)
    assert (smtp_server.tries, await post.waiting()) == (0, 1)


async def test_a_wrong_password_is_told_and_mended_without_a_loss(
    post: Post, tls: ssl.SSLContext, trusted: ssl.SSLContext, logged: list[structlog.typing.EventDict]
) -> None:
    with smtp.running(tls=tls, credentials=("billfold", "s3cret")) as server:
        await post.put()
        async with at_work(post.sending(server, tls="starttls", user="billfold", password="wr0ng", trusted=trusted)):
            await until_tried(post, ADA, 2)
        assert "SMTPAuthenticationError: reply 535" in {entry.get("reason") for entry in logged}
        assert not [entry for entry in logged if "wr0ng" in str(entry)]
        async with at_work(post.sending(server, tls="starttls", user="billfold", password="s3cret", trusted=trusted)):
            await post.emptied()
        assert len(server.received) == 1
