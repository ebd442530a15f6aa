"""What can be wrong with chains and their nodes.

ChainError
├── AddressInvalid        an address is none of this chain's
├── PaymentInvalid        this can't be paid so
├── FundsShort            what is there is not enough
├── NotReplaceable        the chain replaces nothing
├── PayloadRefused        a transaction is not understood, so it is not signed
├── PublicKeyInvalid      no public key of an account of this chain
├── SignedUnreadable, SignedDiffers, SignatureMissing, SignatureWrong
│                         what was signed elsewhere is not what was handed out with its signatures
├── Refused               the nodes don't take a transaction
└── NodeWrong             a node says what can't be
NodeUnavailable           no node answers; later again
└── Uncertain             a transaction was handed over, and nobody said whether it was taken
"""

from __future__ import annotations

from billfold.kernel import errors


class ChainError(errors.BillfoldError):
    """Something about a chain is not as it should be."""

    code = "chain_error"


class AddressInvalid(ChainError, errors.Invalid):
    """This is not an address of the chain."""

    code = "address_invalid"


class PaymentInvalid(ChainError, errors.Invalid):
    """This can't be paid on the chain."""

    code = "payment_invalid"


class FundsShort(ChainError):
    """What the source holds is not enough for the payments and the fee."""

    code = "chain_funds_short"


class NotReplaceable(ChainError):
    """A transaction of this chain can't be replaced by another."""

    code = "not_replaceable"


class PayloadRefused(ChainError, errors.Invalid):
    """The transaction is not one that is understood to the last byte, so it is not signed."""

    code = "payload_refused"


class PublicKeyInvalid(ChainError, errors.Invalid):
    """This is not the public key of an account of the chain."""

    code = "public_key_invalid"


class SignedUnreadable(ChainError, errors.Invalid):
    """What was handed in is no signed transaction in the form that the chain has for it."""

    code = "signed_unreadable"


class SignedDiffers(ChainError, errors.Invalid):
    """What was handed in is another transaction than the one that was handed out."""

    code = "signed_differs"


class SignatureMissing(ChainError, errors.Invalid):
    """A signature that the transaction needs is missing."""

    code = "signature_missing"


class SignatureWrong(ChainError, errors.Invalid):
    """A signature is not one of the key that it has to be of, for this transaction on this network."""

    code = "signature_wrong"


class Refused(ChainError):
    """The nodes of the chain don't take the transaction."""

    code = "chain_refused"


class NodeWrong(ChainError):
    """A node of the chain gave an answer that can't be right."""

    code = "node_wrong"


class NodeUnavailable(errors.Unavailable):
    """No node of the chain answers now; nothing is lost."""

    code = "node_unavailable"


class Uncertain(NodeUnavailable):
    """Nobody knows yet whether the chain has taken the transaction; the same bytes are sent again."""

    code = "broadcast_uncertain"
