"""Why the identity context turns a request down. One file for each topic.

BillfoldError
├── Denied     ScopeNotYours, OwnerNotYours, ExpiryNotYours, PasswordWrong, LoginTooOld, AliasNotYours
│   │          SecondFactorMissing, StepUpRequired
│   ├── SecondFactorWrong  PasskeyCloned
│   └── Unauthenticated  LoginFailed, LoginNotPending
│       └── CredentialsInvalid
│           └── ApiKeyInvalid, RefreshTokenInvalid, RefreshTokenReused
├── NotFound   ApiKeyUnknown, OwnerUnknown, SessionUnknown, UserUnknown, AliasUnknown
│              TotpUnknown, PasskeyUnknown, ChallengeUnknown, StepUpUnknown
├── Conflict   OwnerExists, TooManyApiKeys, AddressTaken, PasswordNotSet, MoneyLeft
│              AliasTaken, TooManyAliases, AliasNotVerifiable
│              TotpExists, PasskeyExists, TooManyPasskeys, FactorsChanged
├── Invalid    ApiKeyExpiryInPast
│              PasswordTooShort, PasswordTooLong, PasswordTooCommon, PasswordPersonal
│              InvalidEmail, InvalidPhone, InvalidDisplayName, InvalidTimeZone, AddressNeeded
│              CodeWrong, ResetTokenInvalid
│              HandleReserved, OneFactorWanted, PasskeyInvalid, RolesApart
│   └── AliasInvalid  HandleInvalid, HandleMixed
├── TooOften   TooManyAttempts, TooManyAliasRequests
└── Unavailable  PasswordsBusy
"""

from billfold.identity.errors.aliases import (
    AliasInvalid,
    AliasNotVerifiable,
    AliasNotYours,
    AliasTaken,
    AliasUnknown,
    HandleInvalid,
    HandleMixed,
    HandleReserved,
    TooManyAliases,
    TooManyAliasRequests,
)
from billfold.identity.errors.approvals import (
    ApprovalConcernsYou,
    ApprovalEnded,
    ApprovalStale,
    ApprovalUnknown,
    OwnApproval,
    TooManyApprovals,
)
from billfold.identity.errors.factors import (
    ChallengeUnknown,
    FactorsChanged,
    LoginNotPending,
    OneFactorWanted,
    PasskeyCloned,
    PasskeyExists,
    PasskeyInvalid,
    PasskeyUnknown,
    SecondFactorMissing,
    SecondFactorWrong,
    TooManyPasskeys,
    TotpExists,
    TotpUnknown,
)
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
from billfold.identity.errors.providers import (
    AccountExists,
    IdentityTaken,
    IdentityUnknown,
    LastWayToLogIn,
    LoginAnswerInvalid,
    LoginDeclined,
    LoginStateInvalid,
    ProviderTokenInvalid,
    ProviderUnavailable,
    ProviderUnknown,
    ReturnToInvalid,
)
from billfold.identity.errors.sessions import RefreshTokenInvalid, RefreshTokenReused, SessionUnknown
from billfold.identity.errors.staff import OwnRoles, RolesApart, RolesChanged
from billfold.identity.errors.step_up import StepUpRequired, StepUpUnknown
from billfold.identity.errors.tokens import TokenInvalid
from billfold.identity.errors.users import (
    AddressNeeded,
    AddressTaken,
    CodeWrong,
    InvalidDisplayName,
    InvalidEmail,
    InvalidPhone,
    InvalidTimeZone,
    LoginFailed,
    LoginTooOld,
    MoneyLeft,
    PasswordNotSet,
    PasswordWrong,
    ResetTokenInvalid,
    TooManyAttempts,
    UserUnknown,
)

__all__ = [
    "AccountExists",
    "AddressNeeded",
    "AddressTaken",
    "AliasInvalid",
    "AliasNotVerifiable",
    "AliasNotYours",
    "AliasTaken",
    "AliasUnknown",
    "ApiKeyExpiryInPast",
    "ApiKeyInvalid",
    "ApiKeyUnknown",
    "ApprovalConcernsYou",
    "ApprovalEnded",
    "ApprovalStale",
    "ApprovalUnknown",
    "ChallengeUnknown",
    "CodeWrong",
    "CredentialsInvalid",
    "ExpiryNotYours",
    "FactorsChanged",
    "HandleInvalid",
    "HandleMixed",
    "HandleReserved",
    "IdentityTaken",
    "IdentityUnknown",
    "InvalidDisplayName",
    "InvalidEmail",
    "InvalidPhone",
    "InvalidTimeZone",
    "LastWayToLogIn",
    "LoginAnswerInvalid",
    "LoginDeclined",
    "LoginFailed",
    "LoginNotPending",
    "LoginStateInvalid",
    "LoginTooOld",
    "MoneyLeft",
    "OneFactorWanted",
    "OwnApproval",
    "OwnRoles",
    "OwnerExists",
    "OwnerNotYours",
    "OwnerUnknown",
    "PasskeyCloned",
    "PasskeyExists",
    "PasskeyInvalid",
    "PasskeyUnknown",
    "PasswordNotSet",
    "PasswordPersonal",
    "PasswordTooCommon",
    "PasswordTooLong",
    "PasswordTooShort",
    "PasswordWrong",
    "PasswordsBusy",
    "ProviderTokenInvalid",
    "ProviderUnavailable",
    "ProviderUnknown",
    "RefreshTokenInvalid",
    "RefreshTokenReused",
    "ResetTokenInvalid",
    "ReturnToInvalid",
    "RolesApart",
    "RolesChanged",
    "ScopeNotYours",
    "SecondFactorMissing",
    "SecondFactorWrong",
    "SessionUnknown",
    "StepUpRequired",
    "StepUpUnknown",
    "TokenInvalid",
    "TooManyAliasRequests",
    "TooManyAliases",
    "TooManyApiKeys",
    "TooManyApprovals",
    "TooManyAttempts",
    "TooManyPasskeys",
    "TotpExists",
    "TotpUnknown",
    "UserUnknown",
]
