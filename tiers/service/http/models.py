# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies of requests and answers. Texts are checked column by column in `columns`; here only that they are texts.

The document is made of these models; bodies are decoded by msgspec, to the same members, of which lists are columns
(`parsing`). What pydantic's fields say of numbers is said to msgspec by a `Meta`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

HEX_PATTERN = "^(0[xX])?([0-9a-fA-F]{2})*$"
LARGEST_WORD = (1 << 64) - 1
NUMBER_PATTERN = "^(0[xX][0-9a-fA-F]{1,64}|[0-9]{1,78})$"

Hex: TypeAlias = Annotated[str, WithJsonSchema({"type": "string", "pattern": HEX_PATTERN})]
HexList: TypeAlias = list[Hex]
HexLists: TypeAlias = list[HexList]
Number: TypeAlias = Annotated[str, WithJsonSchema({"type": "string", "pattern": NUMBER_PATTERN})]
NumberList: TypeAlias = list[Number]
NumberLists: TypeAlias = list[NumberList]
Word: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST_WORD)]
WordLists: TypeAlias = list[list[Word]]
Verdict: TypeAlias = Annotated[int, Field(ge=-1, le=1)]
Verdicts: TypeAlias = Annotated[
    list[Verdict],
    Field(description="For each item, in order: 1 valid, 0 invalid, -1 malformed."),
]


def _example(**members: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [members]})


_KEY = "0xd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
_SIGNATURE = (
    "0xe5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
    "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)
_DIGEST = "0x18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c"
_RECOVERABLE = (
    "0x73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f"
    "eeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c454901"
)
_GENERATOR = "0x" + f"{1:064x}" + f"{2:064x}"


class VerifyBody(BaseModel):
    """Signatures of one scheme."""

    model_config = _example(
        scheme="ed25519", public_keys=[_KEY], messages=["0x"], signatures=[_SIGNATURE], rule="strict"
    )

    scheme: Literal["ed25519", "ecdsa", "schnorr"] = Field(
        description="`ecdsa` is ECDSA over secp256k1, `schnorr` is BIP-340."
    )
    public_keys: HexList = Field(description="32 bytes each (Ed25519, Schnorr), or all 33, 64 or 65 (ECDSA).")
    signatures: HexList = Field(description="64 bytes each.")
    messages: HexList | None = Field(None, description="Ed25519 and Schnorr: as many, of any lengths.")
    digests: HexList | None = Field(None, description="ECDSA: as many, 32 bytes each.")
    rule: Literal["dalek", "strict", "zip215"] = Field(
        "dalek", description="Ed25519: which signatures are valid, see docs/verification-rules.md."
    )
    allow_high_s: bool = Field(False, description="ECDSA: accept s above half of the order too.")


class VerifyAnswer(BaseModel):
    """A verdict for each signature."""

    verdicts: Verdicts


class RecoverBody(BaseModel):
    """Signatures over secp256k1 whose keys are wanted."""

    model_config = _example(digests=[_DIGEST], signatures=[_RECOVERABLE])

    digests: HexList = Field(description="32 bytes each.")
    signatures: HexList = Field(description="65 bytes each: r, s and the recovery id from 0 to 3.")


class RecoverAnswer(BaseModel):
    """A key for each signature."""

    public_keys: list[Hex] = Field(description="64 bytes each, x and y; zero where the verdict is not 1.")
    verdicts: Verdicts


class HashBody(BaseModel):
    """Messages to be hashed."""

    model_config = _example(function="keccak256", messages=["0x", "616263"])

    function: Literal["sha256", "sha512", "keccak256", "blake2b"]
    messages: HexList = Field(description="Of any lengths.")


class HashAnswer(BaseModel):
    """A digest for each message."""

    digests: list[Hex]


class MerkleRootBody(BaseModel):
    """Leaves of a Merkle tree."""

    model_config = _example(hash="poseidon_bn254", leaves=["1", "0x2", "3"])

    hash: Literal["sha256", "keccak256", "poseidon_bn254", "poseidon_bls12_381"]
    arity: Annotated[int, Meta(ge=2, le=16)] = Field(2, ge=2, le=16, description="Children of a node.")
    leaves: list[str] = Field(
        description="32 bytes each, hexadecimal; for Poseidon numbers below the modulus, decimal or with 0x."
    )


class MerkleRootAnswer(BaseModel):
    """The root."""

    root: Hex = Field(description="32 bytes; for Poseidon a number.")


class MsmBody(BaseModel):
    """Points, and what each is multiplied by."""

    model_config = _example(curve="bn254", points=[_GENERATOR, _GENERATOR], scalars=["2", "0x3"])

    curve: Literal["bn254", "bls12_381", "ed25519"]
    group: Literal["g1", "g2"] = "g1"
    encoding: Literal[
        "limbs",
        "big",
        "little",
        "eip196",
        "eip197",
        "eip2537",
        "zcash_compressed",
        "zcash_uncompressed",
        "arkworks",
        "arkworks_compressed",
    ] = Field("big", description="Of points and sum, see docs/curves.md; ed25519 has `limbs` only.")
    points: HexList = Field(description="Each in the encoding.")
    scalars: NumberList = Field(description="As many, below the order: decimal, or hexadecimal with 0x.")
    check_subgroup: bool = Field(False, description="Refuse points outside the subgroup.")


class MsmAnswer(BaseModel):
    """The sum of the products."""

    point: Hex = Field(description="In the encoding.")


class PoseidonBody(BaseModel):
    """Inputs of Poseidon hashes."""

    model_config = _example(field="bn254", inputs=[["1", "2"], ["0x3", "0x4"]])

    field: Literal["bn254", "bls12_381"] = Field(description="The curve whose scalar field is meant.")
    inputs: NumberLists = Field(
        description="1 to 16 numbers below the modulus for each hash, as many for all."
    )


class PoseidonAnswer(BaseModel):
    """A digest for each row of inputs."""

    digests: list[Number]


class ConflictsBody(BaseModel):
    """What the transactions of a block read and write."""

    model_config = _example(reads=[[7], [5], []], writes=[[5], [6], [7]], want_edges=True)

    rule: Literal["versioned", "locking"] = "versioned"
    reads: WordLists = Field(description="Keys below 2^64, a list for each transaction.")
    writes: WordLists = Field(description="As many lists.")
    want_edges: bool = False
    want_hot_keys: bool = False


class ConflictsAnswer(BaseModel):
    """The order that a block imposes on its transactions."""

    waves: list[int] = Field(description="For each transaction the longest path to it, from 0.")
    edge_offsets: list[int] | None = Field(
        None, description="Transaction i depends on those in edges from edge_offsets[i] on."
    )
    edges: list[int] | None = None
    hot_keys: list[int] | None = Field(None, description="The most accessed keys, most accessed first.")
    hot_counts: list[int] | None = None


_G1 = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
_NO_SIGNATURE = "c0" + 95 * "00"


class Groth16Body(BaseModel):
    """Groth16 proofs of one circuit, whose key the server has or the body brings."""

    model_config = _example(curve="bn254", verifying_key="7b7d", proofs=["00" * 256], public_inputs=[["33"]])

    circuit: str = Field("", description="The id of a key that the server has; else `verifying_key`.")
    curve: Literal["bn254", "bls12_381"] | None = Field(
        None, description="Of a key that the body brings; beside `circuit` it may be left out."
    )
    verifying_key: Hex = Field("", description="The bytes of a key in `key_format`, at most 256 KiB.")
    key_format: Literal["snarkjs", "arkworks", "gnark"] = Field(
        "snarkjs", description="`snarkjs` is the text of a verification_key.json."
    )
    format: (
        Literal[
            "ethereum",
            "arkworks_compressed",
            "arkworks_uncompressed",
            "gnark_compressed",
            "gnark_uncompressed",
        ]
        | None
    ) = Field(
        None,
        description="Of the proofs, see docs/groth16.md. Without one `ethereum` on bn254: the eight words that Solidity "
        "verifiers take; `arkworks_compressed` on bls12_381.",
    )
    proofs: HexList = Field(description="Each in the format.")
    public_inputs: NumberLists = Field(
        description="A list for each proof, as many numbers as the key has inputs. A proof with a number that is not below "
        "the order is malformed."
    )


class BlsBody(BaseModel):
    """Signatures on BLS12-381, each by one key, or by several together."""

    model_config = _example(public_keys=[_G1], messages=["0x"], signatures=[_NO_SIGNATURE])

    variant: Literal["min-pk", "min-sig"] = Field(
        "min-pk", description="Keys of 48 bytes and signatures of 96 (Ethereum), or the other way round."
    )
    suite: Literal["pop", "basic", "augmented"] = Field("pop", description="See docs/bls.md.")
    dst: Hex = Field("", description="A domain separation tag in place of the suite's, at most 255 bytes.")
    public_keys: HexList | None = Field(None, description="A key for each signature.")
    committees: HexLists | None = Field(
        None,
        description="Aggregates, in place of `public_keys`: for each signature the keys that made it, all on its message.",
    )
    messages: HexList = Field(description="As many as there are signatures, of any lengths.")
    signatures: HexList


class BlobsBody(BaseModel):
    """Blobs of EIP-4844, and the commitments that they are checked against."""

    model_config = _example(blobs=[], commitments=[], proofs=[])

    blobs: HexList = Field(description="131,072 bytes each.")
    commitments: HexList = Field(description="As many, 48 bytes each.")
    proofs: HexList = Field(description="As many, 48 bytes each: those of whole blobs.")
