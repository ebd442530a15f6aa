"""API keys over HTTP."""

from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post

from billfold.identity import Identity, errors
from billfold.identity.contracts import ApiKey, CreatedApiKey, Grant, NewApiKey
from billfold.kernel import clock, idempotency, ids, paging
from billfold.kernel.principal import Principal
from billfold.platform import web

_TAG = "API keys"
_KEY_ID = "019aa2c6-7a00-7000-8000-00000000c001"
_EXAMPLE = {
    "id": _KEY_ID,
    "owner_id": "019aa2c6-7a00-7000-8000-00000000b001",
    "name": "Checkout server",
    "mode": "live",
    "scopes": ["transfers:write", "wallets:read"],
    "created_at": "2026-11-21T09:30:00.123456Z",
    "expires_at": "2027-12-31T00:00:00Z",
    "last_used_at": None,
    "revoked_at": None,
}
_TEXT = "bf_live_0AbCdEfGhIjKlMnOpQrStU_…"


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of keys."""

    limit: web.Limit = paging.LIMIT_DEFAULT
    cursor: web.Cursor = None


@post(
    "/api-keys",
    opt=web.operation(
        summary="Create an API key",
        tag=_TAG,
        scope="keys:write",
        description="The text of the key is in this answer and never shown again. If the answer is lost, revoke the "
        "key and create another: repeating the request gives the same key without its text. A person approves each "
        "key with a factor of theirs.",
        errors=(
            errors.ScopeNotYours,
            errors.OwnerNotYours,
            errors.ExpiryNotYours,
            errors.ApiKeyInvalid,
            errors.OwnerUnknown,
            errors.ApiKeyExpiryInPast,
            errors.TooManyApiKeys,
            errors.StepUpRequired,
            errors.SecondFactorMissing,
            clock.InvalidInstant,
            ids.InvalidId,
        ),
        sends={"name": "Checkout server", "scopes": ["wallets:read", "transfers:write"], "expires_at": "2027-12-31"},
        answers=_EXAMPLE | {"key": _TEXT},
    ),
)
async def create_key(
    command: NewApiKey, key: str, step_up: UUID | None, principal: Principal, identity: Identity
) -> Response[CreatedApiKey]:
    request = idempotency.key(
        owner=principal.owner_id, text=key, operation="api_keys.create", content=msgspec.json.encode(command)
    )
    owner_id = command.owner_id
    grant = Grant(
        owner_id=principal.owner_id if owner_id is None else ids.parse(owner_id, pointer="/owner_id"),
        name=command.name,
        scopes=frozenset(command.scopes),
        expires_at=_instant(command.expires_at),
    )
    created, replayed = await identity.keys.create_key(by=principal, grant=grant, request=request, proof=step_up)
    return Response(created, headers={"Idempotency-Replayed": "true"} if replayed else {})


@get(
    "/api-keys",
    opt=web.operation(
        summary="List API keys",
        tag=_TAG,
        scope="keys:read",
        everybody="everybody:read",
        description="Those of your owner, the newest first; an operator sees everybody's.",
        errors=(paging.InvalidCursor,),
        answers={"items": [_EXAMPLE], "next": None},
    ),
)
async def list_keys(parameters: KeyList, principal: Principal, identity: Identity) -> web.Page[ApiKey]:
    found = await identity.keys.list_keys(by=principal, limit=parameters.limit, cursor=parameters.cursor)
    return web.page(f"{web.PREFIX}/api-keys", parameters, found)


@get(
    "/api-keys/{key_id:str}",
    opt=web.operation(
        summary="Show an API key",
        tag=_TAG,
        scope="keys:read",
        everybody="everybody:read",
        errors=(errors.ApiKeyUnknown, ids.InvalidId),
        answers=_EXAMPLE,
    ),
)
async def show_key(key_id: str, principal: Principal, identity: Identity) -> ApiKey:
    return await identity.keys.find_key(by=principal, key_id=ids.parse(key_id))


@delete(
    "/api-keys/{key_id:str}",
    status_code=200,
    opt=web.operation(
        summary="Revoke an API key",
        tag=_TAG,
        scope="keys:write",
        everybody="operator",
        description="Within a second no server takes it any more. Revoking it again changes nothing.",
        errors=(errors.ApiKeyUnknown, ids.InvalidId),
        answers=_EXAMPLE | {"revoked_at": "2026-12-01T08:00:00Z"},
    ),
)
async def revoke_key(key_id: str, principal: Principal, identity: Identity) -> ApiKey:
    return await identity.keys.revoke_key(by=principal, key_id=ids.parse(key_id))


handlers = [create_key, list_keys, show_key, revoke_key]


def _instant(text: str | None) -> datetime | None:
    return clock.parse(text, pointer="/expires_at") if text is not None else None
