# SPDX-License-Identifier: GPL-3.0-or-later
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Refusal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSAL_UNSPECIFIED: _ClassVar[Refusal]
    REFUSAL_STALE: _ClassVar[Refusal]
    REFUSAL_VERSION: _ClassVar[Refusal]
    REFUSAL_LOCKED: _ClassVar[Refusal]
    REFUSAL_UNDECLARED: _ClassVar[Refusal]
    REFUSAL_LATE: _ClassVar[Refusal]
REFUSAL_UNSPECIFIED: Refusal
REFUSAL_STALE: Refusal
REFUSAL_VERSION: Refusal
REFUSAL_LOCKED: Refusal
REFUSAL_UNDECLARED: Refusal
REFUSAL_LATE: Refusal

class Strings(_message.Message):
    __slots__ = ("data", "offsets")
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    offsets: bytes
    def __init__(self, data: _Optional[bytes] = ..., offsets: _Optional[bytes] = ...) -> None: ...

class VersionRequest(_message.Message):
    __slots__ = ("version", "keys", "map_digest", "supply")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    MAP_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_FIELD_NUMBER: _ClassVar[int]
    version: int
    keys: Strings
    map_digest: bytes
    supply: bool
    def __init__(self, version: _Optional[int] = ..., keys: _Optional[_Union[Strings, _Mapping]] = ..., map_digest: _Optional[bytes] = ..., supply: _Optional[bool] = ...) -> None: ...

class Voted(_message.Message):
    __slots__ = ("height", "attempt")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    height: int
    attempt: int
    def __init__(self, height: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class VersionReply(_message.Message):
    __slots__ = ("version", "root", "timestamp", "values", "present", "locked", "voted", "shard", "attempt", "coordinator", "supply", "durable")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    VOTED_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    version: int
    root: bytes
    timestamp: int
    values: Strings
    present: bytes
    locked: bytes
    voted: _containers.RepeatedCompositeFieldContainer[Voted]
    shard: int
    attempt: int
    coordinator: bytes
    supply: bytes
    durable: bool
    def __init__(self, version: _Optional[int] = ..., root: _Optional[bytes] = ..., timestamp: _Optional[int] = ..., values: _Optional[_Union[Strings, _Mapping]] = ..., present: _Optional[bytes] = ..., locked: _Optional[bytes] = ..., voted: _Optional[_Iterable[_Union[Voted, _Mapping]]] = ..., shard: _Optional[int] = ..., attempt: _Optional[int] = ..., coordinator: _Optional[bytes] = ..., supply: _Optional[bytes] = ..., durable: _Optional[bool] = ...) -> None: ...

class PrepareRequest(_message.Message):
    __slots__ = ("attempt", "height", "timestamp", "base_root", "map_digest", "transactions", "home", "foreign_keys", "foreign_values", "foreign_present", "entry_keys", "entry_values", "codes", "coordinator")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    BASE_ROOT_FIELD_NUMBER: _ClassVar[int]
    MAP_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_KEYS_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_VALUES_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_PRESENT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_KEYS_FIELD_NUMBER: _ClassVar[int]
    ENTRY_VALUES_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    height: int
    timestamp: int
    base_root: bytes
    map_digest: bytes
    transactions: Strings
    home: bytes
    foreign_keys: Strings
    foreign_values: Strings
    foreign_present: bytes
    entry_keys: Strings
    entry_values: Strings
    codes: _containers.RepeatedScalarFieldContainer[bytes]
    coordinator: bytes
    def __init__(self, attempt: _Optional[int] = ..., height: _Optional[int] = ..., timestamp: _Optional[int] = ..., base_root: _Optional[bytes] = ..., map_digest: _Optional[bytes] = ..., transactions: _Optional[_Union[Strings, _Mapping]] = ..., home: _Optional[bytes] = ..., foreign_keys: _Optional[_Union[Strings, _Mapping]] = ..., foreign_values: _Optional[_Union[Strings, _Mapping]] = ..., foreign_present: _Optional[bytes] = ..., entry_keys: _Optional[_Union[Strings, _Mapping]] = ..., entry_values: _Optional[_Union[Strings, _Mapping]] = ..., codes: _Optional[_Iterable[bytes]] = ..., coordinator: _Optional[bytes] = ...) -> None: ...

class Vote(_message.Message):
    __slots__ = ("yes", "refusal", "reason", "row", "fees", "receipts", "reasons", "gas")
    YES_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    GAS_FIELD_NUMBER: _ClassVar[int]
    yes: bool
    refusal: Refusal
    reason: str
    row: int
    fees: bytes
    receipts: bytes
    reasons: bytes
    gas: bytes
    def __init__(self, yes: _Optional[bool] = ..., refusal: _Optional[_Union[Refusal, str]] = ..., reason: _Optional[str] = ..., row: _Optional[int] = ..., fees: _Optional[bytes] = ..., receipts: _Optional[bytes] = ..., reasons: _Optional[bytes] = ..., gas: _Optional[bytes] = ...) -> None: ...

class CommitRequest(_message.Message):
    __slots__ = ("attempt", "height", "fees", "map_digest", "coordinator")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    MAP_DIGEST_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    height: int
    fees: bytes
    map_digest: bytes
    coordinator: bytes
    def __init__(self, attempt: _Optional[int] = ..., height: _Optional[int] = ..., fees: _Optional[bytes] = ..., map_digest: _Optional[bytes] = ..., coordinator: _Optional[bytes] = ...) -> None: ...

class CommitReply(_message.Message):
    __slots__ = ("version", "root")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    version: int
    root: bytes
    def __init__(self, version: _Optional[int] = ..., root: _Optional[bytes] = ...) -> None: ...

class AbortRequest(_message.Message):
    __slots__ = ("attempt", "height", "map_digest", "coordinator")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MAP_DIGEST_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    height: int
    map_digest: bytes
    coordinator: bytes
    def __init__(self, attempt: _Optional[int] = ..., height: _Optional[int] = ..., map_digest: _Optional[bytes] = ..., coordinator: _Optional[bytes] = ...) -> None: ...

class AbortReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VoteRecord(_message.Message):
    __slots__ = ("attempt", "height", "timestamp", "keys", "values", "present", "codes", "vote", "coordinator", "request")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    VOTE_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    height: int
    timestamp: int
    keys: Strings
    values: Strings
    present: bytes
    codes: _containers.RepeatedScalarFieldContainer[bytes]
    vote: Vote
    coordinator: bytes
    request: bytes
    def __init__(self, attempt: _Optional[int] = ..., height: _Optional[int] = ..., timestamp: _Optional[int] = ..., keys: _Optional[_Union[Strings, _Mapping]] = ..., values: _Optional[_Union[Strings, _Mapping]] = ..., present: _Optional[bytes] = ..., codes: _Optional[_Iterable[bytes]] = ..., vote: _Optional[_Union[Vote, _Mapping]] = ..., coordinator: _Optional[bytes] = ..., request: _Optional[bytes] = ...) -> None: ...

class LogRecord(_message.Message):
    __slots__ = ("epoch", "height", "attempt", "timestamp", "fees", "map_digest", "coordinator")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    MAP_DIGEST_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    height: int
    attempt: int
    timestamp: int
    fees: bytes
    map_digest: bytes
    coordinator: bytes
    def __init__(self, epoch: _Optional[int] = ..., height: _Optional[int] = ..., attempt: _Optional[int] = ..., timestamp: _Optional[int] = ..., fees: _Optional[bytes] = ..., map_digest: _Optional[bytes] = ..., coordinator: _Optional[bytes] = ...) -> None: ...
