"""Why custody turns a request down.

CustodyError
├── ChainUnknown                    a chain that is not served
├── ChainNotHalted                  there is nothing to resume
├── DepositUnknown
├── DepositNotUnmatched             it is somebody's already
├── CursorMoved                     another process reads the chain
├── TooManyAddresses                the wallet has had enough of them
└── BlockWrong                      what a node says of a block can't be
AddressesUnavailable                the signer does not answer, or there is none
"""

from __future__ import annotations

from billfold.kernel import errors


class CustodyError(errors.BillfoldError):
    """Custody could not do this."""

    code = "custody_error"


class ChainUnknown(CustodyError, errors.NotFound):
    """There is no such chain here; `GET /chains` lists those that are served."""

    code = "chain_unknown"


class ChainNotHalted(CustodyError, errors.Conflict):
    """The chain is being read: there is nothing to resume."""

    code = "chain_not_halted"


class DepositUnknown(CustodyError, errors.NotFound):
    """There is no such deposit, or it is not yours."""

    code = "deposit_unknown"


class DepositNotUnmatched(CustodyError, errors.Conflict):
    """The deposit is somebody's already."""

    code = "deposit_not_unmatched"


class CursorMoved(CustodyError):
    """Another process has read on in the chain meanwhile."""

    code = "cursor_moved"


class BlockWrong(CustodyError):
    """What the nodes say of a block can't be."""

    code = "block_wrong"


class TooManyAddresses(CustodyError, errors.Conflict):
    """The wallet has had so many addresses that it gets no more; all of them stay good."""

    code = "too_many_addresses"


class AddressesUnavailable(CustodyError, errors.Unavailable):
    """No new address can be had now; try again later."""

    code = "addresses_unavailable"
