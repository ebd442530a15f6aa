"""People over HTTP, for those who look after them."""

from typing import Annotated

import msgspec
from litestar import Response, get, post, put
from msgspec import Meta

from billfold.identity import Identity, errors
from billfold.identity.contracts import Approval, RoleChange, User, UserDetail
from billfold.kernel import ids, paging
from billfold.kernel.principal import Principal
from billfold.platform import web

_TAG = "People"
_USER = {
    "id": "019aa2c6-7a00-7000-8000-00000000d001",
    "display_name": "Ada Lovelace",
    "email": "ada@example.com",
    "phone": None,
    "locale": "en",
    "time_zone": "Europe/London",
    "roles": ["user"],
    "created_at": "2026-11-21T09:30:00.123456Z",
    "closed_at": None,
}
_UNKNOWN = (errors.UserUnknown, ids.InvalidId)


class UserList(msgspec.Struct, frozen=True, kw_only=True):
    """Which people are wanted."""

    email: Annotated[str, Meta(description="Who has exactly this address.", max_length=254)] | None = None
    handle: (
        Annotated[str, Meta(description="Who has exactly this handle.", examples=["@ada"], max_length=100)] | None
    ) = None
    limit: web.Limit = paging.LIMIT_DEFAULT
    cursor: web.Cursor = None


@get(
    "/users",
    opt=web.operation(
        summary="List people",
        tag=_TAG,
        scope="users:read",
        everybody="users:read",
        description="For those who look after them; the newest first.",
        errors=(paging.InvalidCursor, errors.InvalidEmail, errors.HandleInvalid, errors.HandleMixed),
        answers={"items": [_USER], "next": None},
    ),
)
async def list_users(parameters: UserList, principal: Principal, identity: Identity) -> web.Page[User]:
    found = await identity.staff.list(
        by=principal,
        email=parameters.email,
        handle=parameters.handle,
        limit=parameters.limit,
        cursor=parameters.cursor,
    )
    return web.page(f"{web.PREFIX}/users", parameters, found)


@get(
    "/users/{user_id:str}",
    opt=web.operation(
        summary="Show a person",
        tag=_TAG,
        scope="users:read",
        everybody="users:read",
        description="With their sessions that have not ended.",
        errors=_UNKNOWN,
        answers=_USER | {"sessions": []},
    ),
)
async def show_user(user_id: str, principal: Principal, identity: Identity) -> UserDetail:
    return await identity.staff.find(by=principal, user_id=ids.parse(user_id))


@put(
    "/users/{user_id:str}/roles",
    opt=web.operation(
        summary="Give a person roles",
        tag=_TAG,
        scope="users:write",
        everybody="users:write",
        description="These and no others. Nobody changes their own. Giving any role but `user` takes another person "
        "who approves it; taking roles away does not, and holds within a second. `compliance`, `treasurer` and `admin` "
        "stand instead of `user` and `service`, and not beside them.",
        errors=(*_UNKNOWN, errors.OwnRoles, errors.RolesApart, errors.RolesChanged, errors.TooManyApprovals),
        sends={"roles": ["support"]},
        answers=_USER | {"roles": ["support"]},
        defers=Approval,
    ),
)
async def set_roles(user_id: str, command: RoleChange, principal: Principal, identity: Identity) -> User:
    return await identity.staff.set_roles(by=principal, user_id=ids.parse(user_id), roles=command.roles)


@post(
    "/users/{user_id:str}/sign-out",
    status_code=204,
    opt=web.operation(
        summary="Sign a person out",
        tag=_TAG,
        scope="users:write",
        everybody="users:write",
        description="Ends all of their sessions: within a second no server takes their tokens. Their API keys stay.",
        errors=_UNKNOWN,
    ),
)
async def sign_out(user_id: str, principal: Principal, identity: Identity) -> Response[None]:
    await identity.staff.sign_out(by=principal, user_id=ids.parse(user_id))
    return Response(None, status_code=204)


handlers = [list_users, show_user, set_roles, sign_out]
