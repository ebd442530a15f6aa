import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TransferKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSFER_KIND_UNSPECIFIED: _ClassVar[TransferKind]
    TRANSFER_KIND_TRANSFER: _ClassVar[TransferKind]
    TRANSFER_KIND_DEPOSIT: _ClassVar[TransferKind]
    TRANSFER_KIND_WITHDRAWAL: _ClassVar[TransferKind]
    TRANSFER_KIND_FEE: _ClassVar[TransferKind]
    TRANSFER_KIND_REVERSAL: _ClassVar[TransferKind]
    TRANSFER_KIND_SETTLEMENT: _ClassVar[TransferKind]
    TRANSFER_KIND_ADJUSTMENT: _ClassVar[TransferKind]

class AccountKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCOUNT_KIND_UNSPECIFIED: _ClassVar[AccountKind]
    ACCOUNT_KIND_USER: _ClassVar[AccountKind]
    ACCOUNT_KIND_EXTERNAL: _ClassVar[AccountKind]
    ACCOUNT_KIND_FEES: _ClassVar[AccountKind]
    ACCOUNT_KIND_SUSPENSE: _ClassVar[AccountKind]
    ACCOUNT_KIND_OMNIBUS: _ClassVar[AccountKind]
    ACCOUNT_KIND_LIQUIDITY: _ClassVar[AccountKind]

class AccountStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCOUNT_STATUS_UNSPECIFIED: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_OPEN: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_FROZEN: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_CLOSED: _ClassVar[AccountStatus]

class HoldStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HOLD_STATUS_UNSPECIFIED: _ClassVar[HoldStatus]
    HOLD_STATUS_ACTIVE: _ClassVar[HoldStatus]
    HOLD_STATUS_SETTLED: _ClassVar[HoldStatus]
    HOLD_STATUS_RELEASED: _ClassVar[HoldStatus]
    HOLD_STATUS_EXPIRED: _ClassVar[HoldStatus]

class AssetKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ASSET_KIND_UNSPECIFIED: _ClassVar[AssetKind]
    ASSET_KIND_FIAT: _ClassVar[AssetKind]
    ASSET_KIND_NATIVE: _ClassVar[AssetKind]
    ASSET_KIND_TOKEN: _ClassVar[AssetKind]

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_IN: _ClassVar[Direction]
    DIRECTION_OUT: _ClassVar[Direction]

class Basis(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BASIS_UNSPECIFIED: _ClassVar[Basis]
    BASIS_RECORDED: _ClassVar[Basis]
    BASIS_EFFECTIVE: _ClassVar[Basis]
TRANSFER_KIND_UNSPECIFIED: TransferKind
TRANSFER_KIND_TRANSFER: TransferKind
TRANSFER_KIND_DEPOSIT: TransferKind
TRANSFER_KIND_WITHDRAWAL: TransferKind
TRANSFER_KIND_FEE: TransferKind
TRANSFER_KIND_REVERSAL: TransferKind
TRANSFER_KIND_SETTLEMENT: TransferKind
TRANSFER_KIND_ADJUSTMENT: TransferKind
ACCOUNT_KIND_UNSPECIFIED: AccountKind
ACCOUNT_KIND_USER: AccountKind
ACCOUNT_KIND_EXTERNAL: AccountKind
ACCOUNT_KIND_FEES: AccountKind
ACCOUNT_KIND_SUSPENSE: AccountKind
ACCOUNT_KIND_OMNIBUS: AccountKind
ACCOUNT_KIND_LIQUIDITY: AccountKind
ACCOUNT_STATUS_UNSPECIFIED: AccountStatus
ACCOUNT_STATUS_OPEN: AccountStatus
ACCOUNT_STATUS_FROZEN: AccountStatus
ACCOUNT_STATUS_CLOSED: AccountStatus
HOLD_STATUS_UNSPECIFIED: HoldStatus
HOLD_STATUS_ACTIVE: HoldStatus
HOLD_STATUS_SETTLED: HoldStatus
HOLD_STATUS_RELEASED: HoldStatus
HOLD_STATUS_EXPIRED: HoldStatus
ASSET_KIND_UNSPECIFIED: AssetKind
ASSET_KIND_FIAT: AssetKind
ASSET_KIND_NATIVE: AssetKind
ASSET_KIND_TOKEN: AssetKind
DIRECTION_UNSPECIFIED: Direction
DIRECTION_IN: Direction
DIRECTION_OUT: Direction
BASIS_UNSPECIFIED: Basis
BASIS_RECORDED: Basis
BASIS_EFFECTIVE: Basis

class Key(_message.Message):
    __slots__ = ("text", "digested")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DIGESTED_FIELD_NUMBER: _ClassVar[int]
    text: str
    digested: DigestedKey
    def __init__(self, text: _Optional[str] = ..., digested: _Optional[_Union[DigestedKey, _Mapping]] = ...) -> None: ...

class DigestedKey(_message.Message):
    __slots__ = ("digest", "fingerprint")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    digest: str
    fingerprint: int
    def __init__(self, digest: _Optional[str] = ..., fingerprint: _Optional[int] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("code", "detail", "replayed", "retryable")
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    code: str
    detail: str
    replayed: bool
    retryable: bool
    def __init__(self, code: _Optional[str] = ..., detail: _Optional[str] = ..., replayed: _Optional[bool] = ..., retryable: _Optional[bool] = ...) -> None: ...

class NewTransfer(_message.Message):
    __slots__ = ("debit_account", "credit_account", "amount", "asset", "kind", "reference", "description", "metadata", "effective_at", "forced")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DEBIT_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_AT_FIELD_NUMBER: _ClassVar[int]
    FORCED_FIELD_NUMBER: _ClassVar[int]
    debit_account: str
    credit_account: str
    amount: str
    asset: str
    kind: TransferKind
    reference: str
    description: str
    metadata: _containers.ScalarMap[str, str]
    effective_at: _timestamp_pb2.Timestamp
    forced: bool
    def __init__(self, debit_account: _Optional[str] = ..., credit_account: _Optional[str] = ..., amount: _Optional[str] = ..., asset: _Optional[str] = ..., kind: _Optional[_Union[TransferKind, str]] = ..., reference: _Optional[str] = ..., description: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., effective_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., forced: _Optional[bool] = ...) -> None: ...

class Transfer(_message.Message):
    __slots__ = ("id", "debit_account", "credit_account", "amount", "asset", "kind", "reference", "description", "metadata", "effective_at", "recorded_at", "debit_version", "credit_version", "debit_balance", "credit_balance")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    DEBIT_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_AT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    DEBIT_VERSION_FIELD_NUMBER: _ClassVar[int]
    CREDIT_VERSION_FIELD_NUMBER: _ClassVar[int]
    DEBIT_BALANCE_FIELD_NUMBER: _ClassVar[int]
    CREDIT_BALANCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    debit_account: str
    credit_account: str
    amount: str
    asset: str
    kind: TransferKind
    reference: str
    description: str
    metadata: _containers.ScalarMap[str, str]
    effective_at: _timestamp_pb2.Timestamp
    recorded_at: _timestamp_pb2.Timestamp
    debit_version: int
    credit_version: int
    debit_balance: str
    credit_balance: str
    def __init__(self, id: _Optional[str] = ..., debit_account: _Optional[str] = ..., credit_account: _Optional[str] = ..., amount: _Optional[str] = ..., asset: _Optional[str] = ..., kind: _Optional[_Union[TransferKind, str]] = ..., reference: _Optional[str] = ..., description: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., effective_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., debit_version: _Optional[int] = ..., credit_version: _Optional[int] = ..., debit_balance: _Optional[str] = ..., credit_balance: _Optional[str] = ...) -> None: ...

class Wanted(_message.Message):
    __slots__ = ("transfer", "refusal")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    transfer: NewTransfer
    refusal: Refusal
    def __init__(self, transfer: _Optional[_Union[NewTransfer, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("transfer", "refusal")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    transfer: Transfer
    refusal: Refusal
    def __init__(self, transfer: _Optional[_Union[Transfer, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Posting(_message.Message):
    __slots__ = ("results", "replayed")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Result]
    replayed: bool
    def __init__(self, results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class UnopenedAccount(_message.Message):
    __slots__ = ("id", "asset", "status")
    ID_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    id: str
    asset: str
    status: AccountStatus
    def __init__(self, id: _Optional[str] = ..., asset: _Optional[str] = ..., status: _Optional[_Union[AccountStatus, str]] = ...) -> None: ...

class NewHold(_message.Message):
    __slots__ = ("account", "amount", "asset", "expires_at", "reference", "description")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    account: str
    amount: str
    asset: str
    expires_at: _timestamp_pb2.Timestamp
    reference: str
    description: str
    def __init__(self, account: _Optional[str] = ..., amount: _Optional[str] = ..., asset: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reference: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("id", "account", "asset", "amount", "settled", "status", "expires_at", "reference", "description", "created_at", "ended_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    account: str
    asset: str
    amount: str
    settled: str
    status: HoldStatus
    expires_at: _timestamp_pb2.Timestamp
    reference: str
    description: str
    created_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., account: _Optional[str] = ..., asset: _Optional[str] = ..., amount: _Optional[str] = ..., settled: _Optional[str] = ..., status: _Optional[_Union[HoldStatus, str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reference: _Optional[str] = ..., description: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class HoldChange(_message.Message):
    __slots__ = ("hold", "transfer", "replayed")
    HOLD_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    transfer: Transfer
    replayed: bool
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ..., transfer: _Optional[_Union[Transfer, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class Asset(_message.Message):
    __slots__ = ("code", "scale", "kind", "name", "chain", "contract", "external_account")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    code: str
    scale: int
    kind: AssetKind
    name: str
    chain: str
    contract: str
    external_account: str
    def __init__(self, code: _Optional[str] = ..., scale: _Optional[int] = ..., kind: _Optional[_Union[AssetKind, str]] = ..., name: _Optional[str] = ..., chain: _Optional[str] = ..., contract: _Optional[str] = ..., external_account: _Optional[str] = ...) -> None: ...

class NewAccount(_message.Message):
    __slots__ = ("id", "asset", "kind", "floor", "unlimited")
    ID_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    UNLIMITED_FIELD_NUMBER: _ClassVar[int]
    id: str
    asset: str
    kind: AccountKind
    floor: str
    unlimited: bool
    def __init__(self, id: _Optional[str] = ..., asset: _Optional[str] = ..., kind: _Optional[_Union[AccountKind, str]] = ..., floor: _Optional[str] = ..., unlimited: _Optional[bool] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("id", "asset", "kind", "floor", "status", "posted", "held", "version", "created_at", "changes")
    ID_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    POSTED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    id: str
    asset: str
    kind: AccountKind
    floor: str
    status: AccountStatus
    posted: str
    held: str
    version: int
    created_at: _timestamp_pb2.Timestamp
    changes: int
    def __init__(self, id: _Optional[str] = ..., asset: _Optional[str] = ..., kind: _Optional[_Union[AccountKind, str]] = ..., floor: _Optional[str] = ..., status: _Optional[_Union[AccountStatus, str]] = ..., posted: _Optional[str] = ..., held: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., changes: _Optional[int] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("transfer_id", "account", "version", "amount", "balance", "counterparty", "kind", "reference", "description", "metadata", "effective_at", "recorded_at")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_AT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    account: str
    version: int
    amount: str
    balance: str
    counterparty: str
    kind: TransferKind
    reference: str
    description: str
    metadata: _containers.ScalarMap[str, str]
    effective_at: _timestamp_pb2.Timestamp
    recorded_at: _timestamp_pb2.Timestamp
    def __init__(self, transfer_id: _Optional[str] = ..., account: _Optional[str] = ..., version: _Optional[int] = ..., amount: _Optional[str] = ..., balance: _Optional[str] = ..., counterparty: _Optional[str] = ..., kind: _Optional[_Union[TransferKind, str]] = ..., reference: _Optional[str] = ..., description: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., effective_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TransferKinds(_message.Message):
    __slots__ = ("kinds",)
    KINDS_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedScalarFieldContainer[TransferKind]
    def __init__(self, kinds: _Optional[_Iterable[_Union[TransferKind, str]]] = ...) -> None: ...

class EntryFilter(_message.Message):
    __slots__ = ("recorded_from", "recorded_to", "kinds", "direction", "reference", "asset", "amount_min", "amount_max")
    RECORDED_FROM_FIELD_NUMBER: _ClassVar[int]
    RECORDED_TO_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MIN_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MAX_FIELD_NUMBER: _ClassVar[int]
    recorded_from: _timestamp_pb2.Timestamp
    recorded_to: _timestamp_pb2.Timestamp
    kinds: TransferKinds
    direction: Direction
    reference: str
    asset: str
    amount_min: str
    amount_max: str
    def __init__(self, recorded_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recorded_to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kinds: _Optional[_Union[TransferKinds, _Mapping]] = ..., direction: _Optional[_Union[Direction, str]] = ..., reference: _Optional[str] = ..., asset: _Optional[str] = ..., amount_min: _Optional[str] = ..., amount_max: _Optional[str] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("count", "credited", "debited")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CREDITED_FIELD_NUMBER: _ClassVar[int]
    DEBITED_FIELD_NUMBER: _ClassVar[int]
    count: int
    credited: str
    debited: str
    def __init__(self, count: _Optional[int] = ..., credited: _Optional[str] = ..., debited: _Optional[str] = ...) -> None: ...

class PostRequest(_message.Message):
    __slots__ = ("key", "transfers", "linked")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    LINKED_FIELD_NUMBER: _ClassVar[int]
    key: Key
    transfers: _containers.RepeatedCompositeFieldContainer[Wanted]
    linked: bool
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., transfers: _Optional[_Iterable[_Union[Wanted, _Mapping]]] = ..., linked: _Optional[bool] = ...) -> None: ...

class PostResponse(_message.Message):
    __slots__ = ("posting",)
    POSTING_FIELD_NUMBER: _ClassVar[int]
    posting: Posting
    def __init__(self, posting: _Optional[_Union[Posting, _Mapping]] = ...) -> None: ...

class PostStreamRequest(_message.Message):
    __slots__ = ("items", "ids_only")
    class Item(_message.Message):
        __slots__ = ("key", "transfer")
        KEY_FIELD_NUMBER: _ClassVar[int]
        TRANSFER_FIELD_NUMBER: _ClassVar[int]
        key: Key
        transfer: Wanted
        def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., transfer: _Optional[_Union[Wanted, _Mapping]] = ...) -> None: ...
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    IDS_ONLY_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[PostStreamRequest.Item]
    ids_only: bool
    def __init__(self, items: _Optional[_Iterable[_Union[PostStreamRequest.Item, _Mapping]]] = ..., ids_only: _Optional[bool] = ...) -> None: ...

class PostStreamResponse(_message.Message):
    __slots__ = ("answers",)
    class Answer(_message.Message):
        __slots__ = ("posting", "failure", "posted_id")
        POSTING_FIELD_NUMBER: _ClassVar[int]
        FAILURE_FIELD_NUMBER: _ClassVar[int]
        POSTED_ID_FIELD_NUMBER: _ClassVar[int]
        posting: Posting
        failure: Refusal
        posted_id: str
        def __init__(self, posting: _Optional[_Union[Posting, _Mapping]] = ..., failure: _Optional[_Union[Refusal, _Mapping]] = ..., posted_id: _Optional[str] = ...) -> None: ...
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[PostStreamResponse.Answer]
    def __init__(self, answers: _Optional[_Iterable[_Union[PostStreamResponse.Answer, _Mapping]]] = ...) -> None: ...

class RehearseRequest(_message.Message):
    __slots__ = ("transfers", "unopened", "linked")
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    UNOPENED_FIELD_NUMBER: _ClassVar[int]
    LINKED_FIELD_NUMBER: _ClassVar[int]
    transfers: _containers.RepeatedCompositeFieldContainer[NewTransfer]
    unopened: _containers.RepeatedCompositeFieldContainer[UnopenedAccount]
    linked: bool
    def __init__(self, transfers: _Optional[_Iterable[_Union[NewTransfer, _Mapping]]] = ..., unopened: _Optional[_Iterable[_Union[UnopenedAccount, _Mapping]]] = ..., linked: _Optional[bool] = ...) -> None: ...

class RehearseResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Result]
    def __init__(self, results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ...) -> None: ...

class VoidRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: Key
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ...) -> None: ...

class VoidResponse(_message.Message):
    __slots__ = ("posting",)
    POSTING_FIELD_NUMBER: _ClassVar[int]
    posting: Posting
    def __init__(self, posting: _Optional[_Union[Posting, _Mapping]] = ...) -> None: ...

class ReverseRequest(_message.Message):
    __slots__ = ("key", "transfer_id", "amount")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    key: Key
    transfer_id: str
    amount: str
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., transfer_id: _Optional[str] = ..., amount: _Optional[str] = ...) -> None: ...

class ReverseResponse(_message.Message):
    __slots__ = ("posting",)
    POSTING_FIELD_NUMBER: _ClassVar[int]
    posting: Posting
    def __init__(self, posting: _Optional[_Union[Posting, _Mapping]] = ...) -> None: ...

class PlaceHoldRequest(_message.Message):
    __slots__ = ("key", "hold")
    KEY_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    key: Key
    hold: NewHold
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., hold: _Optional[_Union[NewHold, _Mapping]] = ...) -> None: ...

class PlaceHoldResponse(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: HoldChange
    def __init__(self, change: _Optional[_Union[HoldChange, _Mapping]] = ...) -> None: ...

class SettleHoldRequest(_message.Message):
    __slots__ = ("key", "hold_id", "credit_account", "amount", "release_rest", "forced")
    KEY_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    CREDIT_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_REST_FIELD_NUMBER: _ClassVar[int]
    FORCED_FIELD_NUMBER: _ClassVar[int]
    key: Key
    hold_id: str
    credit_account: str
    amount: str
    release_rest: bool
    forced: bool
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., hold_id: _Optional[str] = ..., credit_account: _Optional[str] = ..., amount: _Optional[str] = ..., release_rest: _Optional[bool] = ..., forced: _Optional[bool] = ...) -> None: ...

class SettleHoldResponse(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: HoldChange
    def __init__(self, change: _Optional[_Union[HoldChange, _Mapping]] = ...) -> None: ...

class ReleaseHoldRequest(_message.Message):
    __slots__ = ("key", "hold_id")
    KEY_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    key: Key
    hold_id: str
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., hold_id: _Optional[str] = ...) -> None: ...

class ReleaseHoldResponse(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: HoldChange
    def __init__(self, change: _Optional[_Union[HoldChange, _Mapping]] = ...) -> None: ...

class ExpireHoldsRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ExpireHoldsResponse(_message.Message):
    __slots__ = ("expired",)
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    expired: int
    def __init__(self, expired: _Optional[int] = ...) -> None: ...

class RehearseHoldRequest(_message.Message):
    __slots__ = ("hold", "unopened")
    HOLD_FIELD_NUMBER: _ClassVar[int]
    UNOPENED_FIELD_NUMBER: _ClassVar[int]
    hold: NewHold
    unopened: UnopenedAccount
    def __init__(self, hold: _Optional[_Union[NewHold, _Mapping]] = ..., unopened: _Optional[_Union[UnopenedAccount, _Mapping]] = ...) -> None: ...

class RehearseHoldResponse(_message.Message):
    __slots__ = ("refusal",)
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    refusal: Refusal
    def __init__(self, refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class RehearseSettlementRequest(_message.Message):
    __slots__ = ("hold_id", "unopened", "amount", "release_rest")
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    UNOPENED_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_REST_FIELD_NUMBER: _ClassVar[int]
    hold_id: str
    unopened: UnopenedAccount
    amount: str
    release_rest: bool
    def __init__(self, hold_id: _Optional[str] = ..., unopened: _Optional[_Union[UnopenedAccount, _Mapping]] = ..., amount: _Optional[str] = ..., release_rest: _Optional[bool] = ...) -> None: ...

class RehearseSettlementResponse(_message.Message):
    __slots__ = ("refusal",)
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    refusal: Refusal
    def __init__(self, refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class RefuseHoldRequest(_message.Message):
    __slots__ = ("key", "refusal")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    key: Key
    refusal: Refusal
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class RefuseHoldResponse(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: HoldChange
    def __init__(self, change: _Optional[_Union[HoldChange, _Mapping]] = ...) -> None: ...

class LookUpRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: Key
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ...) -> None: ...

class LookUpResponse(_message.Message):
    __slots__ = ("posting", "change", "refusal")
    POSTING_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    posting: Posting
    change: HoldChange
    refusal: Refusal
    def __init__(self, posting: _Optional[_Union[Posting, _Mapping]] = ..., change: _Optional[_Union[HoldChange, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class ListAnsweredRequest(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    def __init__(self, keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ...) -> None: ...

class ListAnsweredResponse(_message.Message):
    __slots__ = ("answered",)
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    answered: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, answered: _Optional[_Iterable[bool]] = ...) -> None: ...

class ListAssetsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAssetsResponse(_message.Message):
    __slots__ = ("assets",)
    ASSETS_FIELD_NUMBER: _ClassVar[int]
    assets: _containers.RepeatedCompositeFieldContainer[Asset]
    def __init__(self, assets: _Optional[_Iterable[_Union[Asset, _Mapping]]] = ...) -> None: ...

class OpenAccountsRequest(_message.Message):
    __slots__ = ("accounts",)
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[NewAccount]
    def __init__(self, accounts: _Optional[_Iterable[_Union[NewAccount, _Mapping]]] = ...) -> None: ...

class OpenAccountsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetAccountsRequest(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetAccountsResponse(_message.Message):
    __slots__ = ("accounts",)
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    def __init__(self, accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ...) -> None: ...

class WatchAccountRequest(_message.Message):
    __slots__ = ("account", "after")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    account: str
    after: _timestamp_pb2.Timestamp
    def __init__(self, account: _Optional[str] = ..., after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WatchAccountResponse(_message.Message):
    __slots__ = ("account", "entries")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    account: Account
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ...) -> None: ...

class GetBalancesRequest(_message.Message):
    __slots__ = ("points", "basis")
    class Point(_message.Message):
        __slots__ = ("account", "at")
        ACCOUNT_FIELD_NUMBER: _ClassVar[int]
        AT_FIELD_NUMBER: _ClassVar[int]
        account: str
        at: _timestamp_pb2.Timestamp
        def __init__(self, account: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    POINTS_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[GetBalancesRequest.Point]
    basis: Basis
    def __init__(self, points: _Optional[_Iterable[_Union[GetBalancesRequest.Point, _Mapping]]] = ..., basis: _Optional[_Union[Basis, str]] = ...) -> None: ...

class GetBalancesResponse(_message.Message):
    __slots__ = ("posted",)
    POSTED_FIELD_NUMBER: _ClassVar[int]
    posted: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, posted: _Optional[_Iterable[str]] = ...) -> None: ...

class GetBalanceHistoryRequest(_message.Message):
    __slots__ = ("account", "since", "until", "step", "basis")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    account: str
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    step: _duration_pb2.Duration
    basis: Basis
    def __init__(self, account: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., step: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., basis: _Optional[_Union[Basis, str]] = ...) -> None: ...

class GetBalanceHistoryResponse(_message.Message):
    __slots__ = ("points",)
    class Point(_message.Message):
        __slots__ = ("at", "posted")
        AT_FIELD_NUMBER: _ClassVar[int]
        POSTED_FIELD_NUMBER: _ClassVar[int]
        at: _timestamp_pb2.Timestamp
        posted: str
        def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., posted: _Optional[str] = ...) -> None: ...
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[GetBalanceHistoryResponse.Point]
    def __init__(self, points: _Optional[_Iterable[_Union[GetBalanceHistoryResponse.Point, _Mapping]]] = ...) -> None: ...

class GetTimeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetTimeResponse(_message.Message):
    __slots__ = ("now",)
    NOW_FIELD_NUMBER: _ClassVar[int]
    now: _timestamp_pb2.Timestamp
    def __init__(self, now: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetTransferRequest(_message.Message):
    __slots__ = ("transfer_id",)
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    def __init__(self, transfer_id: _Optional[str] = ...) -> None: ...

class GetTransferResponse(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: Transfer
    def __init__(self, transfer: _Optional[_Union[Transfer, _Mapping]] = ...) -> None: ...

class GetHoldRequest(_message.Message):
    __slots__ = ("hold_id",)
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    hold_id: str
    def __init__(self, hold_id: _Optional[str] = ...) -> None: ...

class GetHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class ListHoldsRequest(_message.Message):
    __slots__ = ("accounts", "status", "after", "limit")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedScalarFieldContainer[str]
    status: HoldStatus
    after: str
    limit: int
    def __init__(self, accounts: _Optional[_Iterable[str]] = ..., status: _Optional[_Union[HoldStatus, str]] = ..., after: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListHoldsResponse(_message.Message):
    __slots__ = ("holds",)
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    holds: _containers.RepeatedCompositeFieldContainer[Hold]
    def __init__(self, holds: _Optional[_Iterable[_Union[Hold, _Mapping]]] = ...) -> None: ...

class ListAllHoldsRequest(_message.Message):
    __slots__ = ("status", "after", "limit")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    status: HoldStatus
    after: str
    limit: int
    def __init__(self, status: _Optional[_Union[HoldStatus, str]] = ..., after: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListAllHoldsResponse(_message.Message):
    __slots__ = ("holds",)
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    holds: _containers.RepeatedCompositeFieldContainer[Hold]
    def __init__(self, holds: _Optional[_Iterable[_Union[Hold, _Mapping]]] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("accounts", "filter", "after", "limit")
    class After(_message.Message):
        __slots__ = ("recorded_at", "account")
        RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
        ACCOUNT_FIELD_NUMBER: _ClassVar[int]
        recorded_at: _timestamp_pb2.Timestamp
        account: str
        def __init__(self, recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account: _Optional[str] = ...) -> None: ...
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedScalarFieldContainer[str]
    filter: EntryFilter
    after: ListEntriesRequest.After
    limit: int
    def __init__(self, accounts: _Optional[_Iterable[str]] = ..., filter: _Optional[_Union[EntryFilter, _Mapping]] = ..., after: _Optional[_Union[ListEntriesRequest.After, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ...) -> None: ...

class ListAllEntriesRequest(_message.Message):
    __slots__ = ("filter", "after", "limit")
    class After(_message.Message):
        __slots__ = ("transfer_id", "account")
        TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
        ACCOUNT_FIELD_NUMBER: _ClassVar[int]
        transfer_id: str
        account: str
        def __init__(self, transfer_id: _Optional[str] = ..., account: _Optional[str] = ...) -> None: ...
    FILTER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    filter: EntryFilter
    after: ListAllEntriesRequest.After
    limit: int
    def __init__(self, filter: _Optional[_Union[EntryFilter, _Mapping]] = ..., after: _Optional[_Union[ListAllEntriesRequest.After, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class ListAllEntriesResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ...) -> None: ...

class StreamEntriesRequest(_message.Message):
    __slots__ = ("accounts", "filter")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedScalarFieldContainer[str]
    filter: EntryFilter
    def __init__(self, accounts: _Optional[_Iterable[str]] = ..., filter: _Optional[_Union[EntryFilter, _Mapping]] = ...) -> None: ...

class StreamEntriesResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ...) -> None: ...

class SummarizeEntriesRequest(_message.Message):
    __slots__ = ("accounts", "filter")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedScalarFieldContainer[str]
    filter: EntryFilter
    def __init__(self, accounts: _Optional[_Iterable[str]] = ..., filter: _Optional[_Union[EntryFilter, _Mapping]] = ...) -> None: ...

class SummarizeEntriesResponse(_message.Message):
    __slots__ = ("summary",)
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    summary: Summary
    def __init__(self, summary: _Optional[_Union[Summary, _Mapping]] = ...) -> None: ...

class SummarizeAllEntriesRequest(_message.Message):
    __slots__ = ("filter",)
    FILTER_FIELD_NUMBER: _ClassVar[int]
    filter: EntryFilter
    def __init__(self, filter: _Optional[_Union[EntryFilter, _Mapping]] = ...) -> None: ...

class SummarizeAllEntriesResponse(_message.Message):
    __slots__ = ("summaries",)
    class SummariesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Summary
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Summary, _Mapping]] = ...) -> None: ...
    SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    summaries: _containers.MessageMap[str, Summary]
    def __init__(self, summaries: _Optional[_Mapping[str, Summary]] = ...) -> None: ...
