# SPDX-License-Identifier: GPL-3.0-or-later
"""The interpreter on small programs: stack, memory, jumps, gas to the unit, calls, creations; both loops alike."""

from __future__ import annotations

import random

import pytest
from evm_code import BALANCE, CALLER, CONTRACT, OTHER, CodeRunner, Run, op, push
from evm_state import keccak256

from supervm.vm.evm.forks import fork_named
from supervm.vm.evm.fusion import PAIRS
from supervm.vm.evm.machine import HALT, REVERT, SUCCESS
from supervm.vm.evm.opcodes import NUMBERS, OPCODES, opcodes_of
from supervm.vm.evm.outcomes import HaltReason

STORE = op("PUSH0", "MSTORE") + push(32) + op("PUSH0", "RETURN")
"""Returns the top of the stack."""


@pytest.fixture(scope="module", params=[False, True], ids=["blocks", "single"])
def runner(request: pytest.FixtureRequest) -> CodeRunner:
    return CodeRunner(single=request.param)


def halted(run: Run, reason: HaltReason, gas: int) -> bool:
    """Whether a run halted for a reason, all its gas lost."""
    return (run.status, run.reason, run.gas, run.output) == (HALT, reason, gas, b"")


def exact(runner: CodeRunner, code: bytes, gas: int) -> Run:
    """Run code that takes exactly this much gas: with one unit less it runs out."""
    assert halted(runner.run(code, gas=gas - 1), HaltReason.OUT_OF_GAS, gas - 1)
    run = runner.run(code, gas=gas)
    assert (run.status, run.gas) == (SUCCESS, gas)
    assert runner.run(code, gas=gas + 1000).gas == gas
    return run


# ---------------------------------------------------------------------------------------------------------
# Stack


@pytest.mark.parametrize("size", range(1, 33))
def test_push_takes_its_bytes(runner: CodeRunner, size: int) -> None:
    number = int.from_bytes(bytes(range(0xA1, 0xA1 + size)))
    assert runner.run(push(number, size)).stack == [number]
    # At the end of the code what is missing is zeros.
    assert runner.run(push(number, size)[:-1]).stack == [number >> 8 << 8]


@pytest.mark.parametrize("depth", range(1, 17))
def test_dup_and_swap(runner: CodeRunner, depth: int) -> None:
    numbers = list(range(1, 18))
    code = b"".join(push(number) for number in numbers)
    assert runner.run(code + bytes([0x7F + depth])).stack == [*numbers, numbers[-depth]]
    swapped = list(numbers)
    swapped[-1], swapped[-1 - depth] = swapped[-1 - depth], swapped[-1]
    assert runner.run(code + bytes([0x8F + depth])).stack == swapped


def test_every_opcode_finds_its_operands_missing(runner: CodeRunner) -> None:
    for row in OPCODES.values():
        if row.pops:
            code = op("PUSH0") * (row.pops - 1) + bytes([row.number])
            assert halted(runner.run(code), HaltReason.STACK_UNDERFLOW, 10**7), row.name


def test_stack_holds_1024(runner: CodeRunner) -> None:
    assert len(runner.run(op("PUSH0") * 1024).stack) == 1024
    assert halted(runner.run(op("PUSH0") * 1025), HaltReason.STACK_OVERFLOW, 10**7)
    assert runner.run(op("PUSH0") * 1024 + op("POP", "PUSH0")).status == SUCCESS
    # The block that overflows begins with a full stack.
    assert halted(runner.run(op("PUSH0") * 1024 + op("JUMPDEST", "PUSH0")), HaltReason.STACK_OVERFLOW, 10**7)
    assert halted(runner.run(op("PUSH0") * 1024 + op("JUMPDEST", "DUP1")), HaltReason.STACK_OVERFLOW, 10**7)


# ---------------------------------------------------------------------------------------------------------
# Jumps


def test_jumps(runner: CodeRunner) -> None:
    assert exact(runner, push(4) + op("JUMP", "INVALID", "JUMPDEST"), 3 + 8 + 1).stack == []
    taken = push(1) + push(6) + op("JUMPI", "INVALID", "JUMPDEST")
    assert exact(runner, taken, 3 + 3 + 10 + 1).stack == []
    passed = op("PUSH0") + push(200) + op("JUMPI") + push(7)
    assert exact(runner, passed, 2 + 3 + 10 + 3).stack == [7]


def test_jump_needs_a_jumpdest(runner: CodeRunner) -> None:
    into_push = push(4) + op("JUMP") + bytes([0x60, 0x5B])
    for code in (
        into_push,
        push(0) + op("JUMP"),
        push(3) + op("JUMP"),
        push(200) + op("JUMP", "JUMPDEST"),
        push((1 << 64) + 11, 9) + op("JUMP", "JUMPDEST"),
        push((1 << 256) - 1) + op("JUMP", "JUMPDEST"),
        push(1) + push(0) + op("JUMPI", "JUMPDEST"),
    ):
        assert halted(runner.run(code), HaltReason.BAD_JUMP, 10**7), code.hex()


def test_loop(runner: CodeRunner) -> None:
    body = op("JUMPDEST") + push(1) + op("SWAP1", "SUB", "DUP1") + push(2) + op("JUMPI")
    run = exact(runner, push(100) + body, 3 + 100 * (1 + 3 + 3 + 3 + 3 + 3 + 10))
    assert run.stack == [0]


def test_jumpdests_one_behind_the_other(runner: CodeRunner) -> None:
    exact(runner, op("JUMPDEST") * 3 + op("PC", "GAS", "JUMPDEST"), 3 + 2 + 2 + 1)


def test_pc_gas_and_sizes(runner: CodeRunner) -> None:
    code = op("PUSH0", "PC", "GAS", "JUMPDEST", "GAS", "CODESIZE", "CALLDATASIZE", "MSIZE")
    run = runner.run(code, bytes(77), gas=1000)
    assert run.stack == [0, 1, 1000 - 6, 1000 - 9, len(code), 77, 0]


# ---------------------------------------------------------------------------------------------------------
# Memory


def memory_gas(size: int) -> int:
    words = (size + 31) // 32
    return 3 * words + words * words // 512


@pytest.mark.parametrize("offset", [0, 1, 31, 32, 33, 991, 100_000])
def test_memory_grows_by_words(runner: CodeRunner, offset: int) -> None:
    at = push(offset, 3)
    run = exact(
        runner, push(0xABCD) + at + op("MSTORE") + at + op("MLOAD", "MSIZE"), 17 + memory_gas(offset + 32)
    )
    assert run.stack == [0xABCD, (offset + 32 + 31) // 32 * 32]
    run = exact(
        runner, push(0xABCD) + at + op("MSTORE8", "PUSH0", "MLOAD"), 14 + memory_gas(max(offset + 1, 32))
    )
    assert run.stack == [0xCD << (8 * (31 - offset)) if offset < 32 else 0]


@pytest.mark.parametrize("offset", [1 << 32, 1 << 63, (1 << 64) - 1, 1 << 64, (1 << 256) - 1])
@pytest.mark.parametrize(
    "name", ["MLOAD", "MSTORE", "MSTORE8", "KECCAK256", "RETURN", "CALLDATACOPY", "MCOPY", "LOG0"]
)
def test_memory_that_nobody_can_pay(runner: CodeRunner, name: str, offset: int) -> None:
    row = next(row for row in OPCODES.values() if row.name == name)
    code = push(1) * (row.pops - 1) + push(offset, 32) + bytes([row.number])
    assert halted(runner.run(code), HaltReason.OUT_OF_GAS, 10**7)
    if row.pops > 1 and name not in ("MSTORE", "MSTORE8"):
        nothing = op("PUSH0") * (row.pops - 1) + push(offset, 32) + bytes([row.number])
        assert runner.run(nothing).status == SUCCESS


def test_copies_fill_with_zeros(runner: CodeRunner) -> None:
    data = bytes(range(1, 41))
    fill = push((1 << 256) - 1) + op("PUSH0", "MSTORE")
    for start, expected in (
        (0, data[:20]),
        (30, data[30:] + bytes(10)),
        (41, bytes(20)),
        (1 << 255, bytes(20)),
    ):
        code = fill + push(20) + push(start) + push(2) + op("CALLDATACOPY") + push(32) + op("PUSH0", "RETURN")
        assert runner.run(code, data).output == b"\xff\xff" + expected + b"\xff" * 10
        loaded = runner.run(push(start) + op("CALLDATALOAD"), data).stack
        assert loaded == [int.from_bytes((data[start:] if start < 99 else b"")[:32].ljust(32, b"\0"))]
    own = push(40) + op("PUSH0", "PUSH0", "CODECOPY") + push(40) + op("PUSH0", "RETURN")
    assert runner.run(own).output == own.ljust(40, b"\0")


def test_mcopy_may_overlap(runner: CodeRunner) -> None:
    code = push(int.from_bytes(bytes(range(32)))) + op("PUSH0", "MSTORE") + push(20)
    forward = code + push(3) + push(7) + op("MCOPY") + push(32) + op("PUSH0", "RETURN")
    memory = bytes(range(32))
    assert runner.run(forward).output == memory[:7] + memory[3:23] + memory[27:]
    exact(runner, forward, 5 * 3 + 2 * 2 + (3 + 3) + (3 + 3))


def test_keccak(runner: CodeRunner) -> None:
    for size in (0, 1, 32, 135, 136, 137, 1000):
        code = push(size) * 2 + op("PUSH0", "PUSH0", "CALLDATACOPY")
        code += op("PUSH0", "KECCAK256") + STORE
        data = bytes(place % 251 for place in range(size))
        assert runner.run(code, data).output == keccak256(data)
    exact(runner, push(33) + op("PUSH0", "KECCAK256"), 3 + 2 + 30 + 2 * 6 + memory_gas(33))


# ---------------------------------------------------------------------------------------------------------
# Gas


def test_exp_pays_for_bytes(runner: CodeRunner) -> None:
    for size in (0, 1, 2, 31, 32):
        exponent = (1 << (8 * size)) - 1
        exact(runner, push(exponent, 32) + push(3) + op("EXP"), 3 + 3 + 10 + 50 * size)


def test_opcodes_that_a_fork_lacks_are_invalid() -> None:
    for name in ("Frontier", "Byzantium", "Istanbul", "London", "Cancun"):
        runner, there = CodeRunner(name), opcodes_of(fork_named(name))
        for number in set(range(256)) - set(there):
            code = push(1) * 17 + bytes([number])
            assert halted(runner.run(code), HaltReason.INVALID_OPCODE, 10**7), (name, hex(number))


# ---------------------------------------------------------------------------------------------------------
# Superinstructions


def apart(code: bytes) -> bytes:
    """The same code whose opcodes lie in blocks of their own, so that none are fused; it has no jumps."""
    parts, place = [], 0
    while place < len(code):
        size = 1 + OPCODES[code[place]].immediate
        parts.append(code[place : place + size])
        place += size
    return op("JUMPDEST").join(parts)


@pytest.mark.parametrize("pair", PAIRS, ids=" ".join)
def test_pairs_do_what_their_parts_do(pair: tuple[str, str]) -> None:
    runner, chance = CodeRunner(), random.Random(" ".join(pair))
    for _ in range(40):
        numbers = [
            chance.choice((0, 1, 32, 77, 500, 1 << 64, (1 << 255) + 3, (1 << 256) - 1)) for _ in range(6)
        ]
        code = (
            push(0x1234) + push(chance.choice((0, 64, 300)), 2) + op("MSTORE") + b"".join(map(push, numbers))
        )
        for name in pair:
            row = OPCODES[NUMBERS[name]]
            code += bytes([row.number]) + chance.choice((b"\0", b"\x21", b"\xff")) * row.immediate
        code += op("MSIZE") + push(96) + op("MLOAD")
        whole, parts = runner.run(code), runner.run(apart(code))
        assert (whole.status, whole.stack) == (parts.status, parts.stack), code.hex()
        if whole.status == SUCCESS:
            assert whole.gas == parts.gas - apart(code).count(op("JUMPDEST")) + code.count(op("JUMPDEST"))


def test_jumps_to_a_place_in_the_code(runner: CodeRunner) -> None:
    for size in (1, 2):
        jump = push(2 + size + 1, size) + op("JUMP", "INVALID", "JUMPDEST", "PC")
        assert exact(runner, jump, 3 + 8 + 1 + 2).stack == [size + 4]
        for condition in (0, 1, 1 << 255):
            for negated in (b"", op("ISZERO")):
                head = push(condition, 32) + negated
                target = len(head) + size + 4
                code = head + push(target, size) + op("JUMPI", "PC", "STOP", "JUMPDEST", "PC")
                jumps = (condition != 0) != bool(negated)
                gas = 3 + 3 * len(negated) + 3 + 10 + (3 if jumps else 2)
                assert exact(runner, code, gas).stack == [target + 1 if jumps else target - 2]


# ---------------------------------------------------------------------------------------------------------
# Ends


def test_ends(runner: CodeRunner) -> None:
    assert runner.run(b"").status == runner.run(op("STOP", "INVALID")).status == SUCCESS
    run = runner.run(push(7) + op("PUSH0", "MSTORE") + push(32) + op("PUSH0", "REVERT"), gas=1000)
    assert (run.status, run.word, run.gas) == (REVERT, 7, 3 + 2 + 3 + 3 + 3 + 2)
    assert halted(runner.run(op("INVALID")), HaltReason.INVALID_OPCODE, 10**7)


# ---------------------------------------------------------------------------------------------------------
# Calls


def calling(
    name: str, *, gas: int = 10**5, value: int = 0, data: int = 0, out: int = 0, to: int = OTHER
) -> bytes:
    """A call with `data` bytes of memory, whose first `out` bytes of output come back there."""
    code = push(out) + op("PUSH0") + push(data) + op("PUSH0")
    if name in ("CALL", "CALLCODE"):
        code += push(value)
    return code + push(to) + push(gas) + op(name)


RETURNDATA = op("RETURNDATASIZE", "PUSH0", "PUSH0", "RETURNDATACOPY", "RETURNDATASIZE", "PUSH0", "RETURN")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CALL", (OTHER, CONTRACT, 5)),
        ("CALLCODE", (CONTRACT, CONTRACT, 5)),
        ("DELEGATECALL", (CONTRACT, CALLER, 9)),
        ("STATICCALL", (OTHER, CONTRACT, 0)),
    ],
)
def test_who_calls_whom(name: str, expected: tuple[int, int, int]) -> None:
    """The callee returns its address, its caller, and the value that it got."""
    tells = b"".join(
        op(what) + push(32 * place) + op("MSTORE")
        for place, what in enumerate(("ADDRESS", "CALLER", "CALLVALUE"))
    )
    runner = CodeRunner(other=tells + push(96) + op("PUSH0", "RETURN"))
    run = runner.run(calling(name, value=5) + RETURNDATA, value=9)
    assert run.output == b"".join(number.to_bytes(32) for number in expected)


def test_a_failed_call_gives_nothing_back_but_a_revert_does() -> None:
    revert = push(7) + op("PUSH0", "MSTORE") + push(32) + op("PUSH0", "REVERT")
    run = CodeRunner(other=revert).run(calling("CALL", out=40) + op("PUSH0", "MLOAD", "RETURNDATASIZE"))
    assert run.stack == [0, 7, 32]
    run = CodeRunner(other=op("INVALID")).run(calling("CALL", gas=5000) + op("RETURNDATASIZE"))
    assert run.stack == [0, 0]
    assert run.gas == 2 * 2 + 5 * 3 + 2 + 2600 + 5000


def test_all_but_a_64th() -> None:
    runner = CodeRunner(other=op("GAS") + STORE)
    before = 2 * 2 + 5 * 3 + 2600
    for left in (64, 6400, 100_001):
        run = runner.run(
            calling("CALL", gas=(1 << 256) - 1, out=32) + op("PUSH0", "MLOAD") + STORE, gas=before + 3 + left
        )
        assert run.word == left - left // 64 - 2


def test_static_calls_change_nothing() -> None:
    for name in ("SSTORE", "TSTORE", "LOG0", "LOG4", "CREATE", "CREATE2", "SELFDESTRUCT", "CALL"):
        row = next(row for row in OPCODES.values() if row.name == name)
        code = push(1) * row.pops + bytes([row.number])
        run = CodeRunner(other=code + push(7) + STORE).run(calling("STATICCALL"))
        assert run.stack == [0], name
    nothing = op("PUSH0") * 7 + op("CALL") + STORE
    assert CodeRunner(other=nothing).run(calling("STATICCALL", out=32) + op("PUSH0", "MLOAD")).stack == [1, 1]


def test_returndatacopy_stays_inside() -> None:
    runner = CodeRunner(other=push(7) + STORE)
    for start, count, good in (
        (0, 32, True),
        (32, 0, True),
        (1, 32, False),
        (33, 0, False),
        (1 << 255, 0, False),
    ):
        run = runner.run(calling("CALL") + push(count) + push(start) + op("PUSH0", "RETURNDATACOPY"))
        assert run.status == SUCCESS if good else halted(run, HaltReason.RETURN_DATA_BOUNDS, 10**7)


def test_calls_end_at_depth_1024() -> None:
    """Each frame calls its own account and answers one more than its callee did."""
    again = push(32) + op("PUSH0", "PUSH0", "PUSH0", "PUSH0", "ADDRESS", "GAS", "CALL", "POP")
    code = again + op("PUSH0", "MLOAD") + push(1) + op("ADD") + STORE
    assert CodeRunner().run(code, gas=1 << 50).word == 1025


# ---------------------------------------------------------------------------------------------------------
# Creations


def initcode(code: bytes) -> bytes:
    """Initcode that returns this code."""
    tail = push(0) + op("CODECOPY") + push(0) + op("RETURN")
    return push(len(code), 2) + op("DUP1") + push(6 + len(tail)) + tail + code


def creating(code: bytes, name: str = "CREATE") -> bytes:
    """Creates a contract by initcode from the end of the code, and leaves its address."""
    tail = op("PUSH0", "CODECOPY") + (push(3) if name == "CREATE2" else b"")
    tail += push(len(code), 2) + op("PUSH0", "PUSH0") + op(name) + STORE
    return push(len(code), 2) + push(6 + len(tail), 2) + tail + code


def test_create_addresses() -> None:
    code = initcode(op("STOP"))
    runner = CodeRunner()
    nonce_1 = keccak256(bytes([0xD6, 0x94]) + CONTRACT.to_bytes(20) + b"\x01")[12:]
    assert runner.run(creating(code)).output == nonce_1.rjust(32, b"\0")
    salted = keccak256(b"\xff" + CONTRACT.to_bytes(20) + (3).to_bytes(32) + keccak256(code))[12:]
    assert runner.run(creating(code, "CREATE2")).output == salted.rjust(32, b"\0")


@pytest.mark.parametrize(
    ("fork", "code", "reason"),
    [
        ("Osaka", bytes(24_576), None),
        ("Osaka", bytes(24_577), HaltReason.CODE_SIZE),
        ("London", b"\xef", HaltReason.CODE_PREFIX),
        ("Berlin", b"\xef", None),
        ("Frontier", bytes(24_577), None),
    ],
)
def test_what_code_may_be(fork: str, code: bytes, reason: HaltReason | None) -> None:
    run = CodeRunner(fork).run(initcode(code), creates=True)
    assert (run.status, run.reason) == ((HALT, reason) if reason else (SUCCESS, None))
    if not reason:
        assert run.gas > 200 * len(code)
        assert run.gas < 200 * len(code) + 10_000


def test_balance_is_the_sender_s() -> None:
    run = CodeRunner().run(op("SELFBALANCE") + push(CALLER) + op("BALANCE"), value=23)
    assert run.stack == [123, BALANCE - 23]
