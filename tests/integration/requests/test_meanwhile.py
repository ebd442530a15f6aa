"""What changes between a request's acceptance and its execution counts: wallets, accounts, logins, roles and keys."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from billfold.identity.contracts import KEY_SCOPES, Grant
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.wallets import errors
from tests.integration.approvals.people import give_roles
from tests.integration.requests.support import Office


async def _frozen(office: Office, ada: Principal, hers: str) -> None:
    await office.wallets.registry.freeze(principal=ada, wallet_id=UUID(hers))


async def _closed(office: Office, ada: Principal, hers: str) -> None:
    other = await office.wallet(ada)
    await office.move(ada, source=hers, target=other, amount="100")
    await office.wallets.registry.close(principal=ada, wallet_id=UUID(hers))


async def _departed(office: Office, ada: Principal, _hers: str) -> None:
    async with office.database.connection() as connection:
        await connection.execute("UPDATE identity.users SET closed_at = now() WHERE id = $1", ada.user_id)


async def _signed_out(office: Office, ada: Principal, _hers: str) -> None:
    async with office.database.connection() as connection:
        await connection.execute(
            "INSERT INTO identity.sessions (id, user_id, created_at, last_used_at, expires_at, revoked_at, "
            "authenticated_at, methods, device, address) "
            "VALUES ($1, $2, now(), now(), now() + interval '1 day', now(), now(), '{pwd}', '', '')",
            ada.credential_id,
            ada.user_id,
        )


async def _other_roles(office: Office, ada: Principal, _hers: str) -> None:
    await give_roles(office.database, ada, "support")


@pytest.mark.parametrize(
    ("meanwhile", "code"),
    [
        (_frozen, "wallet_frozen"),
        (_closed, "wallet_closed"),
        (_departed, "credentials_withdrawn"),
        (_signed_out, "credentials_withdrawn"),
        (_other_roles, "missing_scope"),
    ],
)
async def test_what_changes_before_it_is_carried_out_counts(
    office: Office,
    ada: Principal,
    hers: str,
    *,
    meanwhile: Callable[[Office, Principal, str], Awaitable[None]],
    code: str,
) -> None:
    his = await office.wallet(office.machine)
    request = await office.accept(ada, source=hers, target=his, key="k")
    await meanwhile(office, ada, hers)
    assert await office.carry_out(request) == {"failed": 1}
    failed = await office.look(ada, request)
    assert failed.error is not None
    assert failed.error.code == code
    with pytest.raises((ledger_errors.Voided, errors.WalletFrozen, errors.WalletClosed)):
        await office.move(ada, source=hers, target=his, key="k")
    assert await office.posted(his) == "0.00"


async def test_a_key_that_is_revoked_moves_nothing_any_more(office: Office) -> None:
    owner = await office.identity.keys.create_owner(name="Shop")
    made, _ = await office.identity.keys.create_key(
        by=None, grant=Grant(owner_id=UUID(owner.id), name="Till", scopes=KEY_SCOPES)
    )
    shop = Principal(credential_id=UUID(made.id), owner_id=UUID(owner.id), scopes=frozenset({"deposits:write"}))
    till = await office.wallet(shop)
    good = await office.accept(shop, "deposit", target=till)
    assert await office.carry_out(good) == {"completed": 1}
    late = await office.accept(shop, "deposit", target=till)
    await office.identity.keys.revoke_key(by=None, key_id=UUID(made.id))
    assert await office.carry_out(late) == {"failed": 1}
    assert await office.posted(till) == "1.00"


async def test_it_is_carried_out_with_no_more_rights_than_it_takes(office: Office, ada: Principal, hers: str) -> None:
    request = await office.accept(ada, source=hers, target=await office.wallet(ada))
    async with office.database.connection() as connection:
        scopes = await connection.fetchval("SELECT scopes FROM wallets.requests WHERE id = $1", request.id)
    assert scopes == ["transfers:write"]
