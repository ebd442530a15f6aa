"""Why the identity context turns a request down. One file for each topic.

BillfoldError
├── Denied     ScopeNotYours, OwnerNotYours, ExpiryNotYours
│   └── CredentialsInvalid
│       └── ApiKeyInvalid
├── NotFound   ApiKeyUnknown, OwnerUnknown
├── Conflict   OwnerExists, TooManyApiKeys
└── Invalid    ApiKeyExpiryInPast
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

__all__ = [
    "ApiKeyExpiryInPast",
    "ApiKeyInvalid",
    "ApiKeyUnknown",
    "CredentialsInvalid",
    "ExpiryNotYours",
    "OwnerExists",
    "OwnerNotYours",
    "OwnerUnknown",
    "ScopeNotYours",
    "TooManyApiKeys",
]
