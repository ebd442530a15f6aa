"""Why the identity context turns a request down. One file for each topic.

BillfoldError
├── Denied     ScopeNotYours, OwnerNotYours, ExpiryNotYours
│   └── Unauthenticated
│       └── CredentialsInvalid
│           └── ApiKeyInvalid, TokenInvalid, RefreshTokenInvalid, RefreshTokenReused
├── NotFound   ApiKeyUnknown, OwnerUnknown, SessionUnknown
├── Conflict   OwnerExists, TooManyApiKeys
├── Invalid    ApiKeyExpiryInPast
│              PasswordTooShort, PasswordTooLong, PasswordTooCommon, PasswordPersonal
└── Unavailable  PasswordsBusy
"""

from billfold.identity.errors.keys import (
    ApiKeyExpiryInPast,
    ApiKeyInvalid,
    ApiKeyUnknown,
    CredentialsInvalid,
    ExpiryNotYours,
    OwnerExists,
    OwnerNotYours,
    OwnerUnknown,
    ScopeNotYours,
    TooManyApiKeys,
)
from billfold.identity.errors.passwords import (
    PasswordPersonal,
    PasswordsBusy,
    PasswordTooCommon,
    PasswordTooLong,
    PasswordTooShort,
)
from billfold.identity.errors.sessions import RefreshTokenInvalid, RefreshTokenReused, SessionUnknown
from billfold.identity.errors.tokens import TokenInvalid

__all__ = [
    "ApiKeyExpiryInPast",
    "ApiKeyInvalid",
    "ApiKeyUnknown",
    "CredentialsInvalid",
    "ExpiryNotYours",
    "OwnerExists",
    "OwnerNotYours",
    "OwnerUnknown",
    "PasswordPersonal",
    "PasswordTooCommon",
    "PasswordTooLong",
    "PasswordTooShort",
    "PasswordsBusy",
    "RefreshTokenInvalid",
    "RefreshTokenReused",
    "ScopeNotYours",
    "SessionUnknown",
    "TokenInvalid",
    "TooManyApiKeys",
]
