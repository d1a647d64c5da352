# SPDX-License-Identifier: GPL-3.0-or-later
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Scheme(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCHEME_UNSPECIFIED: _ClassVar[Scheme]
    SCHEME_ED25519: _ClassVar[Scheme]
    SCHEME_ECDSA_SECP256K1: _ClassVar[Scheme]
    SCHEME_SCHNORR_SECP256K1: _ClassVar[Scheme]

class Ed25519Rule(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ED25519_RULE_DALEK: _ClassVar[Ed25519Rule]
    ED25519_RULE_STRICT: _ClassVar[Ed25519Rule]
    ED25519_RULE_ZIP215: _ClassVar[Ed25519Rule]

class HashFunction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HASH_FUNCTION_UNSPECIFIED: _ClassVar[HashFunction]
    HASH_FUNCTION_SHA256: _ClassVar[HashFunction]
    HASH_FUNCTION_SHA512: _ClassVar[HashFunction]
    HASH_FUNCTION_KECCAK256: _ClassVar[HashFunction]
    HASH_FUNCTION_BLAKE2B: _ClassVar[HashFunction]

class ConflictRule(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONFLICT_RULE_VERSIONED: _ClassVar[ConflictRule]
    CONFLICT_RULE_LOCKING: _ClassVar[ConflictRule]

class BlsVariant(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BLS_VARIANT_MIN_PK: _ClassVar[BlsVariant]
    BLS_VARIANT_MIN_SIG: _ClassVar[BlsVariant]

class BlsSuite(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BLS_SUITE_POP: _ClassVar[BlsSuite]
    BLS_SUITE_BASIC: _ClassVar[BlsSuite]
    BLS_SUITE_AUGMENTED: _ClassVar[BlsSuite]
SCHEME_UNSPECIFIED: Scheme
SCHEME_ED25519: Scheme
SCHEME_ECDSA_SECP256K1: Scheme
SCHEME_SCHNORR_SECP256K1: Scheme
ED25519_RULE_DALEK: Ed25519Rule
ED25519_RULE_STRICT: Ed25519Rule
ED25519_RULE_ZIP215: Ed25519Rule
HASH_FUNCTION_UNSPECIFIED: HashFunction
HASH_FUNCTION_SHA256: HashFunction
HASH_FUNCTION_SHA512: HashFunction
HASH_FUNCTION_KECCAK256: HashFunction
HASH_FUNCTION_BLAKE2B: HashFunction
CONFLICT_RULE_VERSIONED: ConflictRule
CONFLICT_RULE_LOCKING: ConflictRule
BLS_VARIANT_MIN_PK: BlsVariant
BLS_VARIANT_MIN_SIG: BlsVariant
BLS_SUITE_POP: BlsSuite
BLS_SUITE_BASIC: BlsSuite
BLS_SUITE_AUGMENTED: BlsSuite

class Rows(_message.Message):
    __slots__ = ("data", "offsets")
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    offsets: bytes
    def __init__(self, data: _Optional[bytes] = ..., offsets: _Optional[bytes] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("id", "scheme", "public_keys", "signatures", "messages", "message", "digests", "rule", "allow_high_s")
    ID_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEYS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    ALLOW_HIGH_S_FIELD_NUMBER: _ClassVar[int]
    id: int
    scheme: Scheme
    public_keys: bytes
    signatures: bytes
    messages: Rows
    message: bytes
    digests: bytes
    rule: Ed25519Rule
    allow_high_s: bool
    def __init__(self, id: _Optional[int] = ..., scheme: _Optional[_Union[Scheme, str]] = ..., public_keys: _Optional[bytes] = ..., signatures: _Optional[bytes] = ..., messages: _Optional[_Union[Rows, _Mapping]] = ..., message: _Optional[bytes] = ..., digests: _Optional[bytes] = ..., rule: _Optional[_Union[Ed25519Rule, str]] = ..., allow_high_s: _Optional[bool] = ...) -> None: ...

class VerifyReply(_message.Message):
    __slots__ = ("id", "verdicts", "refusal")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    id: int
    verdicts: bytes
    refusal: Refusal
    def __init__(self, id: _Optional[int] = ..., verdicts: _Optional[bytes] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class VerifyReplies(_message.Message):
    __slots__ = ("replies",)
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    replies: _containers.RepeatedCompositeFieldContainer[VerifyReply]
    def __init__(self, replies: _Optional[_Iterable[_Union[VerifyReply, _Mapping]]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("code", "field", "message", "retry_after_ms")
    CODE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    code: int
    field: str
    message: str
    retry_after_ms: int
    def __init__(self, code: _Optional[int] = ..., field: _Optional[str] = ..., message: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class RecoverRequest(_message.Message):
    __slots__ = ("digests", "signatures")
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    digests: bytes
    signatures: bytes
    def __init__(self, digests: _Optional[bytes] = ..., signatures: _Optional[bytes] = ...) -> None: ...

class RecoverReply(_message.Message):
    __slots__ = ("public_keys", "verdicts")
    PUBLIC_KEYS_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    public_keys: bytes
    verdicts: bytes
    def __init__(self, public_keys: _Optional[bytes] = ..., verdicts: _Optional[bytes] = ...) -> None: ...

class HashRequest(_message.Message):
    __slots__ = ("function", "messages")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    function: HashFunction
    messages: Rows
    def __init__(self, function: _Optional[_Union[HashFunction, str]] = ..., messages: _Optional[_Union[Rows, _Mapping]] = ...) -> None: ...

class HashReply(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: bytes
    def __init__(self, digests: _Optional[bytes] = ...) -> None: ...

class MerkleRootRequest(_message.Message):
    __slots__ = ("hash", "arity", "leaves")
    HASH_FIELD_NUMBER: _ClassVar[int]
    ARITY_FIELD_NUMBER: _ClassVar[int]
    LEAVES_FIELD_NUMBER: _ClassVar[int]
    hash: str
    arity: int
    leaves: bytes
    def __init__(self, hash: _Optional[str] = ..., arity: _Optional[int] = ..., leaves: _Optional[bytes] = ...) -> None: ...

class MerkleRootReply(_message.Message):
    __slots__ = ("root",)
    ROOT_FIELD_NUMBER: _ClassVar[int]
    root: bytes
    def __init__(self, root: _Optional[bytes] = ...) -> None: ...

class MsmRequest(_message.Message):
    __slots__ = ("curve", "group", "encoding", "points", "scalars", "check_subgroup")
    CURVE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    SCALARS_FIELD_NUMBER: _ClassVar[int]
    CHECK_SUBGROUP_FIELD_NUMBER: _ClassVar[int]
    curve: str
    group: str
    encoding: str
    points: bytes
    scalars: bytes
    check_subgroup: bool
    def __init__(self, curve: _Optional[str] = ..., group: _Optional[str] = ..., encoding: _Optional[str] = ..., points: _Optional[bytes] = ..., scalars: _Optional[bytes] = ..., check_subgroup: _Optional[bool] = ...) -> None: ...

class MsmReply(_message.Message):
    __slots__ = ("point",)
    POINT_FIELD_NUMBER: _ClassVar[int]
    point: bytes
    def __init__(self, point: _Optional[bytes] = ...) -> None: ...

class PoseidonRequest(_message.Message):
    __slots__ = ("field", "inputs_per_hash", "inputs")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    INPUTS_PER_HASH_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    field: str
    inputs_per_hash: int
    inputs: bytes
    def __init__(self, field: _Optional[str] = ..., inputs_per_hash: _Optional[int] = ..., inputs: _Optional[bytes] = ...) -> None: ...

class PoseidonReply(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: bytes
    def __init__(self, digests: _Optional[bytes] = ...) -> None: ...

class DetectConflictsRequest(_message.Message):
    __slots__ = ("rule", "reads", "read_offsets", "writes", "write_offsets", "want_edges", "want_hot_keys")
    RULE_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    READ_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    WRITE_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    WANT_EDGES_FIELD_NUMBER: _ClassVar[int]
    WANT_HOT_KEYS_FIELD_NUMBER: _ClassVar[int]
    rule: ConflictRule
    reads: bytes
    read_offsets: bytes
    writes: bytes
    write_offsets: bytes
    want_edges: bool
    want_hot_keys: bool
    def __init__(self, rule: _Optional[_Union[ConflictRule, str]] = ..., reads: _Optional[bytes] = ..., read_offsets: _Optional[bytes] = ..., writes: _Optional[bytes] = ..., write_offsets: _Optional[bytes] = ..., want_edges: _Optional[bool] = ..., want_hot_keys: _Optional[bool] = ...) -> None: ...

class DetectConflictsReply(_message.Message):
    __slots__ = ("waves", "edge_offsets", "edges", "hot_keys", "hot_counts")
    WAVES_FIELD_NUMBER: _ClassVar[int]
    EDGE_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    HOT_KEYS_FIELD_NUMBER: _ClassVar[int]
    HOT_COUNTS_FIELD_NUMBER: _ClassVar[int]
    waves: bytes
    edge_offsets: bytes
    edges: bytes
    hot_keys: bytes
    hot_counts: bytes
    def __init__(self, waves: _Optional[bytes] = ..., edge_offsets: _Optional[bytes] = ..., edges: _Optional[bytes] = ..., hot_keys: _Optional[bytes] = ..., hot_counts: _Optional[bytes] = ...) -> None: ...

class VerifyGroth16Request(_message.Message):
    __slots__ = ("curve", "verifying_key", "proofs", "public_inputs", "circuit", "format", "key_format")
    CURVE_FIELD_NUMBER: _ClassVar[int]
    VERIFYING_KEY_FIELD_NUMBER: _ClassVar[int]
    PROOFS_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_INPUTS_FIELD_NUMBER: _ClassVar[int]
    CIRCUIT_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    KEY_FORMAT_FIELD_NUMBER: _ClassVar[int]
    curve: str
    verifying_key: bytes
    proofs: bytes
    public_inputs: bytes
    circuit: str
    format: str
    key_format: str
    def __init__(self, curve: _Optional[str] = ..., verifying_key: _Optional[bytes] = ..., proofs: _Optional[bytes] = ..., public_inputs: _Optional[bytes] = ..., circuit: _Optional[str] = ..., format: _Optional[str] = ..., key_format: _Optional[str] = ...) -> None: ...

class VerifyBlsRequest(_message.Message):
    __slots__ = ("public_keys", "signatures", "messages", "variant", "suite", "dst", "key_offsets")
    PUBLIC_KEYS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    DST_FIELD_NUMBER: _ClassVar[int]
    KEY_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    public_keys: bytes
    signatures: bytes
    messages: Rows
    variant: BlsVariant
    suite: BlsSuite
    dst: bytes
    key_offsets: bytes
    def __init__(self, public_keys: _Optional[bytes] = ..., signatures: _Optional[bytes] = ..., messages: _Optional[_Union[Rows, _Mapping]] = ..., variant: _Optional[_Union[BlsVariant, str]] = ..., suite: _Optional[_Union[BlsSuite, str]] = ..., dst: _Optional[bytes] = ..., key_offsets: _Optional[bytes] = ...) -> None: ...

class VerifyBlobsRequest(_message.Message):
    __slots__ = ("blobs", "commitments", "proofs")
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    COMMITMENTS_FIELD_NUMBER: _ClassVar[int]
    PROOFS_FIELD_NUMBER: _ClassVar[int]
    blobs: bytes
    commitments: bytes
    proofs: bytes
    def __init__(self, blobs: _Optional[bytes] = ..., commitments: _Optional[bytes] = ..., proofs: _Optional[bytes] = ...) -> None: ...
