"""Whom passkeys are for, as the settings want it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from billfold.app import pages, settings
from billfold.identity.contracts import RelyingParty

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", re.ASCII)
_HOST = re.compile(r"(?!-)[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII)


def relying_party(tree: settings.Settings) -> RelyingParty:
    """By default the host of the API's address, and pages there.

    A passkey belongs to a name, never to an IP address, so what is reached by a loopback address is called localhost.

    Raises:
        SettingInvalid: what is set can be no host, or no origin.
    """
    url = urlsplit(tree.api.url)
    host = pages.LOCALHOST if pages.is_loopback(url.hostname or "") else url.hostname or pages.LOCALHOST
    port = f":{url.port}" if url.port else ""
    rp_id = tree.webauthn.rp_id or host
    if not _HOST.fullmatch(rp_id):
        raise settings.SettingInvalid("webauthn.rp_id is wrong: it is a host name in small letters, like example.com.")
    if tree.webauthn.origins is None:
        return RelyingParty(id=rp_id, origins=(f"{url.scheme}://{host}{port}",))
    origins = tuple(one.strip() for one in tree.webauthn.origins.split(","))
    for origin in origins:
        if not _ORIGIN.fullmatch(origin) or not _within(urlsplit(origin).hostname or "", rp_id):
            raise settings.SettingInvalid(
                f"webauthn.origins is wrong: {origin!r} is no origin of {rp_id}, like https://{rp_id}."
            )
    return RelyingParty(id=rp_id, origins=origins)


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
