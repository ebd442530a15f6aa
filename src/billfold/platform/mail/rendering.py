"""From a template and its values to a mail. Only this file knows Jinja2.

A template is up to three files, `<locale>/<name>.{subject,txt,html}.j2`, in the folder `templates` of its context. A
mail to a phone has the text alone. HTML is escaped, a missing value is an error, and no value can become a header or
a line of its own: whatever could begin one is a blank by then.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import jinja2

from billfold.kernel import clock
from billfold.kernel.errors import BillfoldError
from billfold.platform.mail import errors
from billfold.platform.mail.queue import Mail

LOCALE_DEFAULT = "en"
#: Left by parts of a template that say nothing this time.
_EMPTY_LINES = re.compile(r"\n{3,}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
#: The longest that we send ourselves is a link with a token; the rest is what people call things.
VALUE_MAX = 500
#: Control characters, those that turn the direction of writing, and those that end a line or a paragraph.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Thai is not written without the first two in some names, nor an emoji in others.
_JOINERS = frozenset("\u200c\u200d")

# fmt: off
_MONTHS = {
    "en": (
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
        "November", "December",
    ),
    "th": (
        "มกราคม", "กุมภาพันธ์", "มีนาคม", "เมษายน", "พฤษภาคม", "มิถุนายน", "กรกฎาคม", "สิงหาคม", "กันยายน",
        "ตุลาคม", "พฤศจิกายน", "ธันวาคม",
    ),
}
# fmt: on
#: Years of the Buddhist era, which Thai counts in.
_BUDDHIST_ERA = 543


class Renderer:
    """Writes mails, from one sender."""

    def __init__(self, *, packages: Sequence[str], sender: Address) -> None:
        """`packages` are the contexts that have templates. The sender's display name is what the mails call us."""
        self.sender = sender
        loaders = [jinja2.PackageLoader(package, "templates") for package in packages]
        self._templates = jinja2.Environment(
            loader=jinja2.ChoiceLoader(loaders),
            autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), disabled_extensions=(), default=False),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["instant"] = _instant
        self._files = frozenset(self._templates.list_templates())

    def names(self) -> set[str]:
        """Every template that there is in the default language."""
        return {
            name.removeprefix(f"{LOCALE_DEFAULT}/").removesuffix(".txt.j2")
            for name in self._files
            if re.fullmatch(rf"{LOCALE_DEFAULT}/[a-z]\w*\.txt\.j2", name)
        }

    def render(self, mail: Mail, values: Mapping[str, str]) -> EmailMessage:
        """The mail, the same whenever it is rendered again, its Message-ID included.

        Raises: Unrenderable.
        """
        try:
            locale = self._locale(mail)
            known = {name: _clean(value) for name, value in values.items()}
            known |= {"locale": locale, "product": self.sender.display_name or self.sender.domain}
            return self._message(mail, locale, known)
        except (jinja2.TemplateError, BillfoldError, ValueError) as error:
            raise errors.Unrenderable(f"{type(error).__name__} in the template {mail.template}") from error

    def _locale(self, mail: Mail) -> str:
        """The nearest to the one that is wanted: th-TH, th, en."""
        wanted = mail.locale if _LOCALE.fullmatch(mail.locale) else LOCALE_DEFAULT
        for locale in (wanted, wanted.split("-")[0].lower(), LOCALE_DEFAULT):
            if f"{locale}/{mail.template}.txt.j2" in self._files:
                return locale
        raise jinja2.TemplateNotFound(mail.template)

    def _message(self, mail: Mail, locale: str, values: Mapping[str, str]) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self.sender
        message["To"] = Address(addr_spec=mail.recipient)
        message["Date"] = format_datetime(mail.created_at.astimezone(UTC))
        # Whoever gets the mail a second time can tell by this that it is the same.
        message["Message-ID"] = f"<{mail.id}@{self.sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        place = f"{locale}/{mail.template}"
        subject = self._part(f"{place}.subject.j2", values)
        if subject is not None:
            message["Subject"] = " ".join(subject.split())
        text = self._part(f"{place}.txt.j2", values)
        assert text is not None, "it was chosen because it is there"
        message.set_content(_EMPTY_LINES.sub("\n\n", text).strip() + "\n")
        html = self._part(f"{place}.html.j2", values)
        if html is not None:
            message.add_alternative(html, subtype="html")
        return message

    def _part(self, name: str, values: Mapping[str, str]) -> str | None:
        if name not in self._files:
            return None
        return self._templates.get_template(name).render(values)


def _clean(value: str) -> str:
    """One line that is shown as it is, however it was meant."""
    letters = (
        letter if letter in _JOINERS or unicodedata.category(letter) not in _UNPRINTABLE else " " for letter in value
    )
    line = "".join(letters).strip()
    return line if len(line) <= VALUE_MAX else line[: VALUE_MAX - 1] + "…"


@jinja2.pass_context
def _instant(context: jinja2.runtime.Context, value: str) -> str:
    """An instant in words, in the language of the mail."""
    instant = clock.parse(value).astimezone(UTC)
    return _in_words(instant, context["locale"].split("-")[0])


def _in_words(instant: datetime, language: str) -> str:
    months = _MONTHS.get(language, _MONTHS[LOCALE_DEFAULT])
    day = f"{instant.day} {months[instant.month - 1]}"
    if language == "th":
        return f"{day} {instant.year + _BUDDHIST_ERA} เวลา {instant:%H:%M} น. (UTC)"
    return f"{day} {instant.year}, {instant:%H:%M} UTC"
