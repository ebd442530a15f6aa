"""Every template in every language, read as it arrived at a mail server."""

from email.utils import parsedate_to_datetime
from html.parser import HTMLParser

import pytest

from billfold.platform.mail import errors
from tests import servers, smtp
from tests.integration.mail.support import ADA, MIGRATIONS, RENDERER, VALUES, Post, at_work

LOCALES = ("en", "th")
TEMPLATES = sorted(RENDERER.names())
LETTERS = [name for name in TEMPLATES if not name.endswith("_sms")]
#: What a mail has to say, beside its words; the rest of the values is said where there is one.
NEEDED = {
    "verification_code": "code",
    "verification_code_sms": "code",
    "password_reset": "token",
    "password_reset_sms": "token",
}
#: Three of the parts that a short message is sent in; whoever has asked for one is to get it soon, and whole.
SHORT_MAX = 3 * 67
#: Says where a mail came from, whatever its template.
HEADERS = {
    "From",
    "To",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "Subject",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
}


@pytest.fixture(scope="module")
def mail_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    """One for all: each test here leaves the queue empty."""
    return postgres_server.create_database(MIGRATIONS)


class Words(HTMLParser):
    """The text of a page, and the names of its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self.elements: set[str] = set()
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.said += data.split()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - given.
        self.elements.add(tag)


def test_there_are_the_templates_that_people_are_written_with() -> None:
    assert set(LETTERS) == {
        "account_closed",
        "account_exists",
        "address_changed",
        "factor_changed",
        "new_login",
        "password_changed",
        "password_reset",
        "refresh_reuse",
        "role_changed",
        "verification_code",
    }
    assert set(TEMPLATES) - set(LETTERS) == {f"{name}_sms" for name in LETTERS}


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("template", LETTERS)
async def test_a_letter_says_the_same_in_text_and_in_html(
    post: Post, smtp_server: smtp.SmtpServer, template: str, locale: str
) -> None:
    await post.put(template, locale=locale)
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    (received,) = smtp_server.received
    message = received.message
    assert set(message.keys()) == HEADERS - {"Content-Transfer-Encoding"}
    assert (received.sender, received.recipients) == ("no-reply@billfold.example", [ADA])
    assert message["From"] == "Billfold <no-reply@billfold.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert parsedate_to_datetime(message["Date"]).tzinfo is not None
    assert message.get_content_type() == "multipart/alternative"
    assert not message.defects
    words = Words(received.html())
    # The page has its title and the name of the product on top of the same words.
    title = [*message["Subject"].split(), "Billfold"]
    assert words.said == title + received.text().split()
    assert f'<html lang="{locale}">' in received.html()
    assert words.elements <= {"html", "head", "meta", "title", "body", "div", "p", "br"}
    assert is_thai(message["Subject"]) == is_thai(received.text()) == (locale == "th")
    if template in NEEDED:
        assert VALUES[NEEDED[template]] in received.text().splitlines()


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("template", sorted(set(TEMPLATES) - set(LETTERS)))
async def test_a_short_message_is_one_line_of_text(
    post: Post, smtp_server: smtp.SmtpServer, template: str, locale: str
) -> None:
    await post.put(template, to="+66812345678", locale=locale)
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    (received,) = smtp_server.received
    assert received.recipients == ["+66812345678@sms.example"]
    assert received.message.get_content_type() == "text/plain"
    assert "Subject" not in received.message
    (line,) = received.text().splitlines()
    assert len(line) <= SHORT_MAX
    assert is_thai(line) == (locale == "th")
    if template in NEEDED:
        assert VALUES[NEEDED[template]] in line.split()


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("template", TEMPLATES)
async def test_a_template_needs_nothing_but_what_it_is_for(
    post: Post, smtp_server: smtp.SmtpServer, template: str, locale: str
) -> None:
    needed = NEEDED.get(template)
    await post.put(template, locale=locale, values={needed: VALUES[needed]} if needed else {})
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    (received,) = smtp_server.received
    assert "\n\n\n" not in received.text()
    assert not {"Device:", "IP", "อุปกรณ์:"} & set(received.text().split())


@pytest.mark.parametrize(
    ("wanted", "read"),
    [("th-TH", "th"), ("TH", "th"), ("de", "en"), ("de-CH", "en"), ("../th", "en"), ("", "en"), ("ไทย", "en")],
)
async def test_who_reads_no_language_of_ours_reads_english(
    post: Post, smtp_server: smtp.SmtpServer, wanted: str, read: str
) -> None:
    await post.put(locale=wanted)
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    assert is_thai(smtp_server.received[0].text()) == (read == "th")


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("change", ["added", "removed"])
async def test_a_letter_names_the_provider_whose_account_was_linked_or_unlinked(
    post: Post, smtp_server: smtp.SmtpServer, change: str, locale: str
) -> None:
    told = {"factor": "identity", "change": change, "provider": "keycloak</p><script>"}
    await post.put("factor_changed", values=told, locale=locale)
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    (received,) = smtp_server.received
    text = received.text()
    assert "keycloak" in text
    assert "script" not in Words(received.html()).elements
    ended = {"en": "does not log you in any more", "th": "ใช้เข้าสู่ระบบไม่ได้อีกต่อไป"}[locale]
    assert (ended in text) == (change == "removed")


async def test_times_are_written_in_the_readers_calendar(post: Post, smtp_server: smtp.SmtpServer) -> None:
    await post.put("new_login", locale="en")
    await post.put("new_login", locale="th")
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    texts = sorted(received.text() for received in smtp_server.received)
    assert "21 November 2026, 19:24 UTC" in texts[0]
    assert "21 พฤศจิกายน 2569 เวลา 19:24 น. (UTC)" in texts[1]


@pytest.mark.parametrize("template", TEMPLATES)
async def test_no_value_becomes_a_header_a_line_or_markup(
    post: Post, smtp_server: smtp.SmtpServer, template: str
) -> None:
    """Every value in turn is what somebody would write who wants to forge a mail."""
    attack = (
        "x\r\nBcc: eve@evil.example\r\n\r\nforged\u2028line\x00\x1b[31m\u202egnp.exe</p><script>alert(1)</script>&amp;"
    )
    for name, value in VALUES.items():
        await post.put(template, values=VALUES | {name: value if name == "time" else attack})
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    assert len(smtp_server.received) == len(VALUES)
    for received in smtp_server.received:
        assert received.recipients == [ADA]
        assert set(received.message.keys()) <= HEADERS
        assert not received.message.defects
        assert not [line for line in received.text().splitlines() if line.startswith(("Bcc", "forged", "line"))]
        assert received.text().replace("\n", "").isprintable()
        if not template.endswith("_sms"):
            assert "script" not in Words(received.html()).elements
            assert len(list(received.message.iter_parts())) == 2


async def test_a_value_of_any_length_is_cut(post: Post, smtp_server: smtp.SmtpServer) -> None:
    await post.put("new_login", values={"device": "x" * 100_000})
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    assert len(smtp_server.received[0].text()) < 1_000


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@example.com\r\nBcc: eve@evil.example",
        "ada@example.com\n",
        "ada@example.com,eve@evil.example",
        "ada@example.com eve@evil.example",
        "ada@eve@example.com",
        "Ada <ada@example.com>",
        '"ada\r\n"@example.com',
        '"a b"@example.com',
        "ada@[127.0.0.1]",
        "a..b@example.com",
        "ada@example..com",
        "ada@-example.com",
        "ada\x00@example.com",
        "zoë@example.com",
        "+66812345678 @sms.example",
        "+0123",
        "a" * 65 + "@example.com",
    ],
)
async def test_what_is_no_address_is_refused(post: Post, address: str) -> None:
    with pytest.raises(errors.MailAddressInvalid):
        await post.put(to=address)
    assert await post.waiting() == 0


async def test_a_domain_of_other_letters_is_written_as_every_server_takes_it(
    post: Post, smtp_server: smtp.SmtpServer
) -> None:
    await post.put(to="ada@münchen.example")
    async with at_work(post.sending(smtp_server)):
        await post.emptied()
    assert smtp_server.received[0].recipients == ["ada@xn--mnchen-3ya.example"]


def is_thai(text: str) -> bool:
    return any("\u0e00" <= letter <= "\u0e7f" for letter in text)
