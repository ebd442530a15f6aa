"""Where signed heads of the audit go, as the settings want it."""

from __future__ import annotations

from collections.abc import Sequence

from billfold import audit
from billfold.app import settings
from billfold.audit import Place, Store


def of(tree: settings.Audit) -> Sequence[Place]:
    """The places that are set; nothing is connected.

    Raises:
        SettingInvalid
    """
    found = audit.places(file=tree.publish_file, url=tree.publish_url)
    store = object_store(tree.publish_s3)
    return found if store is None else [*found, store]


def object_store(store: settings.AuditObjectStore) -> Store | None:
    """The bucket, if one is set; nothing is connected.

    Raises:
        SettingInvalid
    """
    if store.endpoint is None:
        return None
    if store.tls_ca is not None and not store.tls_ca.is_file():
        raise settings.SettingInvalid(f"audit.publish_s3.tls_ca is wrong: there is no file {store.tls_ca}.")
    try:
        return audit.object_store(
            endpoint=store.endpoint,
            bucket=_needed("bucket", store.bucket),
            prefix=store.prefix,
            region=store.region,
            access_key=_needed("access_key", store.access_key),
            secret_key=_needed("secret_key", store.secret_key),
            tls_ca=store.tls_ca,
        )
    except ValueError as error:
        raise settings.SettingInvalid(f"audit.publish_s3.endpoint can't be used: {error}.") from error


def _needed(name: str, value: str | None) -> str:
    if not value:
        raise settings.SettingInvalid(
            f"audit.publish_s3.endpoint is set and {settings.variable(f'audit.publish_s3.{name}')} is not."
        )
    return value
