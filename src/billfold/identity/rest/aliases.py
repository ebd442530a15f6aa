"""Aliases over HTTP."""

import msgspec
from litestar import delete, get, patch, post

from billfold.identity import Identity, errors
from billfold.identity.contracts import Alias, AliasChange, AliasCode, NewAlias, Payee
from billfold.kernel import ids, paging
from billfold.kernel.principal import Principal
from billfold.platform import web
from billfold.platform.mail.errors import MailAddressInvalid, PhonesUnreachable

_TAG = "Aliases"
_READ = "aliases:read"
_WRITE = "aliases:write"
_EXAMPLE = {
    "id": "019aa2c6-7a00-7000-8000-00000000d001",
    "owner_id": "019aa2c6-7a00-7000-8000-00000000b001",
    "alias": "@ada",
    "kind": "handle",
    "status": "active",
    "visibility": "name",
    "created_at": "2026-11-21T09:30:00.123456Z",
    "verified_at": None,
    "released_at": None,
    "kept_until": None,
}
_EMAIL = _EXAMPLE | {"alias": "ada@example.com", "kind": "email", "status": "pending", "visibility": "masked"}
#: What a text that names no alias is refused with.
_FORM = (errors.AliasInvalid, errors.HandleInvalid, errors.HandleMixed, errors.InvalidEmail, errors.InvalidPhone)


class AliasList(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of aliases."""

    limit: web.Limit = paging.LIMIT_DEFAULT
    cursor: web.Cursor = None


@post(
    "/aliases",
    status_code=201,
    opt=web.operation(
        summary="Take an alias",
        tag=_TAG,
        scope=_WRITE,
        description="A handle is yours at once. An e-mail address or a phone number is pending until you send back the "
        "code that is sent there, unless you have verified it before. Names of your own, such as customer:4711, are "
        "for programs. Taking what you have already changes nothing.",
        errors=(
            *_FORM,
            errors.HandleReserved,
            errors.AliasNotYours,
            errors.AliasTaken,
            errors.TooManyAliases,
            errors.TooManyAliasRequests,
            errors.OwnerUnknown,
            ids.InvalidId,
            MailAddressInvalid,
            PhonesUnreachable,
        ),
        sends={"alias": "@ada"},
        answers=_EXAMPLE,
    ),
)
async def add_alias(command: NewAlias, principal: Principal, identity: Identity) -> Alias:
    return await identity.aliases.add(by=principal, new=command)


@get(
    "/aliases",
    opt=web.operation(
        summary="List your aliases",
        tag=_TAG,
        scope=_READ,
        description="Those of your owner, the newest first. Nobody lists other people's.",
        errors=(paging.InvalidCursor,),
        answers={"items": [_EXAMPLE], "next": None},
    ),
)
async def list_aliases(parameters: AliasList, principal: Principal, identity: Identity) -> web.Page[Alias]:
    found = await identity.aliases.list(by=principal, limit=parameters.limit, cursor=parameters.cursor)
    return web.page(f"{web.PREFIX}/aliases", parameters, found)


@get(
    "/aliases/{alias:str}",
    opt=web.operation(
        summary="Ask who an alias is",
        tag=_TAG,
        scope=_READ,
        everybody="everybody:read",
        description="Show the name to whoever pays, before they pay, and send it along as `payee`. An alias that its "
        "owner hides is answered as one that is not there. How often you may ask is limited.",
        errors=(*_FORM, errors.AliasUnknown, errors.TooManyAliasRequests),
        answers={"alias": "@ada", "kind": "handle", "payee": "Ada Lovelace", "verified": False, "yours": False},
    ),
)
async def resolve_alias(alias: str, principal: Principal, identity: Identity) -> Payee:
    return await identity.aliases.resolve(by=principal, alias=alias)


@patch(
    "/aliases/{alias:str}",
    opt=web.operation(
        summary="Change an alias",
        tag=_TAG,
        scope=_WRITE,
        everybody="operator",
        description="What it shows of your name to others.",
        errors=(*_FORM, errors.AliasUnknown),
        sends={"visibility": "masked"},
        answers=_EXAMPLE | {"visibility": "masked"},
    ),
)
async def change_alias(alias: str, command: AliasChange, principal: Principal, identity: Identity) -> Alias:
    return await identity.aliases.change(by=principal, alias=alias, change=command)


@delete(
    "/aliases/{alias:str}",
    status_code=200,
    opt=web.operation(
        summary="Release an alias",
        tag=_TAG,
        scope=_WRITE,
        everybody="operator",
        description="From now on nobody can pay to it. For 90 days nobody but you can take it again.",
        errors=(*_FORM, errors.AliasUnknown),
        answers=_EXAMPLE
        | {
            "status": "released",
            "released_at": "2026-12-01T08:00:00Z",
            "kept_until": "2027-03-01T08:00:00Z",
        },
    ),
)
async def release_alias(alias: str, principal: Principal, identity: Identity) -> Alias:
    return await identity.aliases.release(by=principal, alias=alias)


@post(
    "/aliases/{alias:str}/verify",
    status_code=200,
    opt=web.operation(
        summary="Verify an alias",
        tag=_TAG,
        scope=_WRITE,
        everybody="operator",
        description="Send the code that was sent to the address: it is good for ten minutes and five tries. Without "
        "one, another is sent.",
        errors=(
            *_FORM,
            errors.AliasUnknown,
            errors.AliasNotVerifiable,
            errors.AliasTaken,
            errors.CodeWrong,
            errors.TooManyAliasRequests,
        ),
        sends={"code": "48151623"},
        answers=_EMAIL | {"status": "active", "verified_at": "2026-11-21T09:31:00Z"},
    ),
)
async def verify_alias(alias: str, command: AliasCode, principal: Principal, identity: Identity) -> Alias:
    return await identity.aliases.verify(by=principal, alias=alias, code=command.code)


handlers = [add_alias, list_aliases, resolve_alias, change_alias, release_alias, verify_alias]
