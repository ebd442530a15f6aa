"""Why the signer turns a request down.

SignerError
├── TreeNotFound          no such tree of keys
├── TreeDiffers           the id is another tree's
├── ChainNotSigned        the signer has no such chain
├── ChainFailed           the chain's code can't do this
├── RequestInvalid        the request is none
├── RequestDiffers        the request's id has signed another transaction
├── NotAsExpected         the transaction does something else than its sender says
├── BackupInvalid         a backup that can't be opened
├── PackageInvalid        a package with a seed that can't be opened
├── RecipientUnknown      no such recipient of seeds
├── ClockJumped           the machine's clock is not believed now
└── PolicyRefused         the signer's own policy is against it
    ├── PolicyMissing     and does not know the asset
    ├── LimitExceeded
    ├── DestinationNotAllowed
    ├── ExportNotAllowed
    ├── SweepElsewhere
    ├── ClaimsForbidden
    └── WarmElsewhere
LogBroken                 the log is not as it was written
"""

from __future__ import annotations

from billfold.kernel import errors


class SignerError(errors.BillfoldError):
    """The signer could not do this."""

    code = "signer_error"


class TreeNotFound(SignerError, errors.NotFound):
    """The signer has no such tree of keys."""

    code = "tree_not_found"


class TreeDiffers(SignerError, errors.Conflict):
    """There is a tree of this id, of another chain, network or seed."""

    code = "tree_differs"


class ChainNotSigned(SignerError, errors.Invalid):
    """The signer does not sign for this chain."""

    code = "chain_not_signed"


class ChainFailed(SignerError, errors.Refusal):
    """The code of the chain failed at this, so nothing is signed; the signer's log says where."""

    code = "chain_failed"


class RequestInvalid(SignerError, errors.Invalid):
    """The request to the signer is not valid."""

    code = "signing_request_invalid"


class RequestDiffers(SignerError, errors.Conflict):
    """Another transaction was signed for this request; a request signs one."""

    code = "signing_request_differs"


class NotAsExpected(SignerError, errors.Refusal):
    """The transaction does something else than was expected of it, so it is not signed."""

    code = "not_as_expected"


class BackupInvalid(SignerError, errors.Invalid):
    """The backup can't be opened: it was changed, is not whole, or the passphrase or the shares are others."""

    code = "backup_invalid"


class PackageInvalid(SignerError, errors.Invalid):
    """The package can't be opened: it was changed, or is for another key."""

    code = "package_invalid"


class RecipientUnknown(SignerError, errors.NotFound):
    """The signer knows no such recipient."""

    code = "recipient_unknown"


class ClockJumped(SignerError, errors.Unavailable):
    """The signer's clock has jumped ahead, so nothing is signed: set it right, or restart the signer if it is right."""

    code = "signer_clock_jumped"


class PolicyRefused(SignerError, errors.Denied):
    """The signer's own policy is against it."""

    code = "signing_policy"


class PolicyMissing(PolicyRefused):
    """The signer's policy has no limit for this asset, so none of it leaves."""

    code = "signing_policy_missing"


class LimitExceeded(PolicyRefused):
    """More of the asset would leave than the signer's policy allows."""

    code = "signing_limit_exceeded"


class DestinationNotAllowed(PolicyRefused):
    """The signer's policy pays only known destinations on this chain, and this is none of them."""

    code = "destination_not_allowed"


class ExportNotAllowed(PolicyRefused):
    """The signer's policy names no such recipient of seeds, so none is given out."""

    code = "export_not_allowed"


class SweepElsewhere(PolicyRefused):
    """Keys of deposit addresses pay only the hot address of their own tree."""

    code = "sweep_elsewhere"


class ClaimsForbidden(PolicyRefused):
    """The signer's policy has no addresses of this chain claimed for a proof of reserves."""

    code = "claims_forbidden"


class WarmElsewhere(PolicyRefused):
    """It is said to go to the operator's own warm address, and the signer does not know this one as that."""

    code = "warm_elsewhere"


class LogBroken(SignerError):
    """The log of signatures is not as it was written."""

    code = "signing_log_broken"
