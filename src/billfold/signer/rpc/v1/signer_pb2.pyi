import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Tree(_message.Message):
    __slots__ = ("id", "chain", "network", "public", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    chain: str
    network: str
    public: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., chain: _Optional[str] = ..., network: _Optional[str] = ..., public: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Place(_message.Message):
    __slots__ = ("purpose", "index")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    index: int
    def __init__(self, purpose: _Optional[str] = ..., index: _Optional[int] = ...) -> None: ...

class Payment(_message.Message):
    __slots__ = ("address", "amount", "token", "memo")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    address: str
    amount: str
    token: str
    memo: str
    def __init__(self, address: _Optional[str] = ..., amount: _Optional[str] = ..., token: _Optional[str] = ..., memo: _Optional[str] = ...) -> None: ...

class CreateRequest(_message.Message):
    __slots__ = ("tree_id", "chain", "network")
    TREE_ID_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    tree_id: str
    chain: str
    network: str
    def __init__(self, tree_id: _Optional[str] = ..., chain: _Optional[str] = ..., network: _Optional[str] = ...) -> None: ...

class CreateResponse(_message.Message):
    __slots__ = ("tree",)
    TREE_FIELD_NUMBER: _ClassVar[int]
    tree: Tree
    def __init__(self, tree: _Optional[_Union[Tree, _Mapping]] = ...) -> None: ...

class ListTreesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListTreesResponse(_message.Message):
    __slots__ = ("trees",)
    TREES_FIELD_NUMBER: _ClassVar[int]
    trees: _containers.RepeatedCompositeFieldContainer[Tree]
    def __init__(self, trees: _Optional[_Iterable[_Union[Tree, _Mapping]]] = ...) -> None: ...

class GetAddressesRequest(_message.Message):
    __slots__ = ("tree_id", "purpose", "first", "count")
    TREE_ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    tree_id: str
    purpose: str
    first: int
    count: int
    def __init__(self, tree_id: _Optional[str] = ..., purpose: _Optional[str] = ..., first: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class GetAddressesResponse(_message.Message):
    __slots__ = ("addresses",)
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, addresses: _Optional[_Iterable[str]] = ...) -> None: ...

class SignRequest(_message.Message):
    __slots__ = ("request_id", "tree_id", "payload", "places", "expected_payments", "expected_fee_max", "to_warm")
    class PlacesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Place
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Place, _Mapping]] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TREE_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_PAYMENTS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FEE_MAX_FIELD_NUMBER: _ClassVar[int]
    TO_WARM_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    tree_id: str
    payload: bytes
    places: _containers.MessageMap[str, Place]
    expected_payments: _containers.RepeatedCompositeFieldContainer[Payment]
    expected_fee_max: str
    to_warm: bool
    def __init__(self, request_id: _Optional[str] = ..., tree_id: _Optional[str] = ..., payload: _Optional[bytes] = ..., places: _Optional[_Mapping[str, Place]] = ..., expected_payments: _Optional[_Iterable[_Union[Payment, _Mapping]]] = ..., expected_fee_max: _Optional[str] = ..., to_warm: _Optional[bool] = ...) -> None: ...

class SignResponse(_message.Message):
    __slots__ = ("raw", "chain_tx")
    RAW_FIELD_NUMBER: _ClassVar[int]
    CHAIN_TX_FIELD_NUMBER: _ClassVar[int]
    raw: bytes
    chain_tx: str
    def __init__(self, raw: _Optional[bytes] = ..., chain_tx: _Optional[str] = ...) -> None: ...

class ClaimRequest(_message.Message):
    __slots__ = ("tree_id", "snapshot", "root", "places")
    class PlacesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Place
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Place, _Mapping]] = ...) -> None: ...
    TREE_ID_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    tree_id: str
    snapshot: str
    root: bytes
    places: _containers.MessageMap[str, Place]
    def __init__(self, tree_id: _Optional[str] = ..., snapshot: _Optional[str] = ..., root: _Optional[bytes] = ..., places: _Optional[_Mapping[str, Place]] = ...) -> None: ...

class ClaimResponse(_message.Message):
    __slots__ = ("signatures",)
    class SignaturesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    signatures: _containers.ScalarMap[str, str]
    def __init__(self, signatures: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ("request_id", "tree_id", "recipient")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TREE_ID_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    tree_id: str
    recipient: bytes
    def __init__(self, request_id: _Optional[str] = ..., tree_id: _Optional[str] = ..., recipient: _Optional[bytes] = ...) -> None: ...

class ExportResponse(_message.Message):
    __slots__ = ("package",)
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    package: bytes
    def __init__(self, package: _Optional[bytes] = ...) -> None: ...
