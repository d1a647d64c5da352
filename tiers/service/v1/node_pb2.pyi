# SPDX-License-Identifier: GPL-3.0-or-later
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TransactionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSACTION_STATE_UNSPECIFIED: _ClassVar[TransactionState]
    TRANSACTION_STATE_WAITING: _ClassVar[TransactionState]
    TRANSACTION_STATE_IN_BLOCK: _ClassVar[TransactionState]
    TRANSACTION_STATE_REFUSED: _ClassVar[TransactionState]
TRANSACTION_STATE_UNSPECIFIED: TransactionState
TRANSACTION_STATE_WAITING: TransactionState
TRANSACTION_STATE_IN_BLOCK: TransactionState
TRANSACTION_STATE_REFUSED: TransactionState

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("tier", "state", "problem", "number", "state_root", "genesis_hash", "tasks", "waiting_transactions", "takes_tasks", "task_load")
    TIER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_ROOT_FIELD_NUMBER: _ClassVar[int]
    GENESIS_HASH_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    WAITING_TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    TAKES_TASKS_FIELD_NUMBER: _ClassVar[int]
    TASK_LOAD_FIELD_NUMBER: _ClassVar[int]
    tier: str
    state: str
    problem: str
    number: int
    state_root: bytes
    genesis_hash: bytes
    tasks: _containers.RepeatedScalarFieldContainer[str]
    waiting_transactions: int
    takes_tasks: bool
    task_load: int
    def __init__(self, tier: _Optional[str] = ..., state: _Optional[str] = ..., problem: _Optional[str] = ..., number: _Optional[int] = ..., state_root: _Optional[bytes] = ..., genesis_hash: _Optional[bytes] = ..., tasks: _Optional[_Iterable[str]] = ..., waiting_transactions: _Optional[int] = ..., takes_tasks: _Optional[bool] = ..., task_load: _Optional[int] = ...) -> None: ...

class RouteTaskRequest(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: str
    def __init__(self, task: _Optional[str] = ...) -> None: ...

class RouteTaskReply(_message.Message):
    __slots__ = ("allowed", "cost", "tier", "needs_gpu")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    NEEDS_GPU_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    cost: int
    tier: str
    needs_gpu: bool
    def __init__(self, allowed: _Optional[bool] = ..., cost: _Optional[int] = ..., tier: _Optional[str] = ..., needs_gpu: _Optional[bool] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("dtype", "shape", "data")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class HeldColumns(_message.Message):
    __slots__ = ("digest", "columns")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    digest: str
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    def __init__(self, digest: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ...) -> None: ...

class RunTaskRequest(_message.Message):
    __slots__ = ("task", "columns", "options", "held", "hops")
    TASK_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    task: str
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    options: str
    held: _containers.RepeatedCompositeFieldContainer[HeldColumns]
    hops: int
    def __init__(self, task: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., options: _Optional[str] = ..., held: _Optional[_Iterable[_Union[HeldColumns, _Mapping]]] = ..., hops: _Optional[int] = ...) -> None: ...

class RunTaskReply(_message.Message):
    __slots__ = ("columns", "lacks")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    LACKS_FIELD_NUMBER: _ClassVar[int]
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    lacks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., lacks: _Optional[_Iterable[str]] = ...) -> None: ...

class SubmitBlocksRequest(_message.Message):
    __slots__ = ("block",)
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    block: bytes
    def __init__(self, block: _Optional[bytes] = ...) -> None: ...

class BlockAcknowledgement(_message.Message):
    __slots__ = ("number", "hash", "state_root", "transactions", "committed", "failed", "rejected", "known")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    STATE_ROOT_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    number: int
    hash: bytes
    state_root: bytes
    transactions: int
    committed: int
    failed: int
    rejected: int
    known: bool
    def __init__(self, number: _Optional[int] = ..., hash: _Optional[bytes] = ..., state_root: _Optional[bytes] = ..., transactions: _Optional[int] = ..., committed: _Optional[int] = ..., failed: _Optional[int] = ..., rejected: _Optional[int] = ..., known: _Optional[bool] = ...) -> None: ...

class SubmitTransactionsRequest(_message.Message):
    __slots__ = ("data", "offsets")
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    offsets: bytes
    def __init__(self, data: _Optional[bytes] = ..., offsets: _Optional[bytes] = ...) -> None: ...

class SubmitTransactionsReply(_message.Message):
    __slots__ = ("hashes", "states", "reasons", "numbers", "known")
    HASHES_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    hashes: bytes
    states: _containers.RepeatedScalarFieldContainer[TransactionState]
    reasons: bytes
    numbers: _containers.RepeatedScalarFieldContainer[int]
    known: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, hashes: _Optional[bytes] = ..., states: _Optional[_Iterable[_Union[TransactionState, str]]] = ..., reasons: _Optional[bytes] = ..., numbers: _Optional[_Iterable[int]] = ..., known: _Optional[_Iterable[bool]] = ...) -> None: ...

class GetAccountsRequest(_message.Message):
    __slots__ = ("addresses", "snapshot")
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    addresses: bytes
    snapshot: str
    def __init__(self, addresses: _Optional[bytes] = ..., snapshot: _Optional[str] = ...) -> None: ...

class GetAccountsReply(_message.Message):
    __slots__ = ("number", "state_root", "nonces", "balances")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_ROOT_FIELD_NUMBER: _ClassVar[int]
    NONCES_FIELD_NUMBER: _ClassVar[int]
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    number: int
    state_root: bytes
    nonces: _containers.RepeatedScalarFieldContainer[int]
    balances: bytes
    def __init__(self, number: _Optional[int] = ..., state_root: _Optional[bytes] = ..., nonces: _Optional[_Iterable[int]] = ..., balances: _Optional[bytes] = ...) -> None: ...

class GetStorageRequest(_message.Message):
    __slots__ = ("contract", "key", "snapshot")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    contract: bytes
    key: bytes
    snapshot: str
    def __init__(self, contract: _Optional[bytes] = ..., key: _Optional[bytes] = ..., snapshot: _Optional[str] = ...) -> None: ...

class GetStorageReply(_message.Message):
    __slots__ = ("number", "state_root", "value")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_ROOT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    number: int
    state_root: bytes
    value: bytes
    def __init__(self, number: _Optional[int] = ..., state_root: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class GetProofRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    def __init__(self, key: _Optional[bytes] = ...) -> None: ...

class GetProofReply(_message.Message):
    __slots__ = ("number", "state_root", "value", "proof", "hash_function")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_ROOT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    HASH_FUNCTION_FIELD_NUMBER: _ClassVar[int]
    number: int
    state_root: bytes
    value: bytes
    proof: bytes
    hash_function: str
    def __init__(self, number: _Optional[int] = ..., state_root: _Optional[bytes] = ..., value: _Optional[bytes] = ..., proof: _Optional[bytes] = ..., hash_function: _Optional[str] = ...) -> None: ...

class GetBlockRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class BlockInfo(_message.Message):
    __slots__ = ("number", "hash", "parent", "timestamp", "state_root", "transactions", "committed", "failed", "rejected", "gas")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    STATE_ROOT_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    GAS_FIELD_NUMBER: _ClassVar[int]
    number: int
    hash: bytes
    parent: bytes
    timestamp: int
    state_root: bytes
    transactions: int
    committed: int
    failed: int
    rejected: int
    gas: int
    def __init__(self, number: _Optional[int] = ..., hash: _Optional[bytes] = ..., parent: _Optional[bytes] = ..., timestamp: _Optional[int] = ..., state_root: _Optional[bytes] = ..., transactions: _Optional[int] = ..., committed: _Optional[int] = ..., failed: _Optional[int] = ..., rejected: _Optional[int] = ..., gas: _Optional[int] = ...) -> None: ...

class GetReceiptsRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class GetReceiptsReply(_message.Message):
    __slots__ = ("receipts",)
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    receipts: bytes
    def __init__(self, receipts: _Optional[bytes] = ...) -> None: ...

class ListSnapshotsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("name", "number", "state_root")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_ROOT_FIELD_NUMBER: _ClassVar[int]
    name: str
    number: int
    state_root: bytes
    def __init__(self, name: _Optional[str] = ..., number: _Optional[int] = ..., state_root: _Optional[bytes] = ...) -> None: ...

class ListSnapshotsReply(_message.Message):
    __slots__ = ("snapshots",)
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    snapshots: _containers.RepeatedCompositeFieldContainer[Snapshot]
    def __init__(self, snapshots: _Optional[_Iterable[_Union[Snapshot, _Mapping]]] = ...) -> None: ...

class CreateSnapshotRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DropSnapshotRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DropSnapshotReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
