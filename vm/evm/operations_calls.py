# SPDX-License-Identifier: GPL-3.0-or-later
"""CALL and its kin, CREATE and CREATE2, and the opcodes that end a frame."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import call_address, copy, shifted_down
from supervm.vm.evm.emitter import OP_HALT
from supervm.vm.evm.forks import (
    CALL_GAS,
    CLEARS_EMPTY,
    COLD_ACCOUNT_EXTRA,
    COLD_ACCOUNT_GAS,
    HAS_DELEGATION,
    INITCODE_WORD_GAS,
    KEEPS_A_64TH,
    MAX_INITCODE_BYTES,
    SELFDESTRUCT_NEW_ACCOUNT_GAS,
)
from supervm.vm.evm.frame import (
    F_CALLER,
    F_GAS,
    F_INPUT,
    F_INPUT_BYTES,
    F_KIND,
    F_MARK,
    F_MEMORY,
    F_OUTPUT,
    F_OUTPUT_BYTES,
    F_PLACE,
    F_RECORD,
    F_SELF,
    F_STATIC,
    F_TOP,
    F_VALUE,
    KIND_CALL,
    KIND_CREATE,
    charge,
    drop,
    fail,
    of,
    operand,
    set_of,
)
from supervm.vm.evm.machine import (
    CONTINUE,
    DEPTH,
    DEPTH_LIMIT,
    FRAME,
    GAS_LEFT,
    HALT,
    KECCAK256,
    NEEDS_RETURN_DATA,
    PAID_GAS,
    RETRY,
    RETURN_BYTES,
    RETURN_CAPACITY,
    RETURN_DATA,
    REVERT,
    SCRATCH,
    SUCCESS,
    get,
    put,
    retry,
    rule,
)
from supervm.vm.evm.memory import NOWHERE, area, expand, words_for
from supervm.vm.evm.messages import (
    copy_output,
    delegate_record,
    enter_frame,
    leave_frame,
    load_code,
    load_initcode,
    next_frame,
    run_precompile,
)
from supervm.vm.evm.opcodes import NUMBERS
from supervm.vm.evm.operations_memory import KECCAK_WORD_GAS
from supervm.vm.evm.operations_state import named_account
from supervm.vm.evm.outcomes import HaltReason
from supervm.vm.evm.precompile_numbers import precompile_number
from supervm.vm.evm.state.accounts import (
    account,
    balance_of,
    code_of,
    exists,
    nonce_of,
    set_nonce,
    touch,
    transfer,
    warm_account,
)
from supervm.vm.evm.state.contracts import (
    COLLISION,
    begin_create,
    create2_address,
    create_address,
    destroy,
)
from supervm.vm.evm.state.journal import checkpoint, revert_to
from supervm.vm.evm.state.records import ADDRESS
from supervm.vm.evm.words import copy_value, from_bytes, is_zero, less, set_small, small

OUT_OF_GAS, STATIC_CHANGE = int(HaltReason.OUT_OF_GAS), int(HaltReason.STATIC_CHANGE)
INITCODE_SIZE = int(HaltReason.INITCODE_SIZE)

VALUE_GAS, NEW_ACCOUNT_GAS, STIPEND = 9_000, 25_000, 2_300
"""A call that sends value, one that makes an account, and what of it the callee gets (Yellow Paper, appendix G)."""

MOST_NONCE = -1
"""2^64 − 1 as int64: no creation raises it (EIP-2681)."""

CALL, CALLCODE, DELEGATECALL, STATICCALL = (
    NUMBERS[name] for name in ("CALL", "CALLCODE", "DELEGATECALL", "STATICCALL")
)
CREATE, CREATE2 = NUMBERS["CREATE"], NUMBERS["CREATE2"]
STOP, RETURN, REVERTS, SELFDESTRUCT = (NUMBERS[name] for name in ("STOP", "RETURN", "REVERT", "SELFDESTRUCT"))

_CREATED_AT, _DIGEST_AT, _HASH_AT = 640, 672, 704
"""Places in the scratch."""


@njit(cache=True)
def _answer(frame: Any, success: Any) -> Any:
    """Put a call's success on the stack and go on behind it; `CONTINUE`."""
    set_small(drop(frame, -1), success)
    return CONTINUE


@njit(cache=True)
def _call_price(machine: Any, opcode: Any, record: Any, sends: Any) -> Any:
    """What a call costs besides its static gas, memory and the gas that it hands on; `RETRY`. Makes accounts warm."""
    cold = warm_account(machine, record)
    if cold < 0:
        return RETRY
    price = rule(machine, COLD_ACCOUNT_EXTRA) if cold else 0
    if rule(machine, HAS_DELEGATION):
        number = code_of(machine, record)
        other = delegate_record(machine, number) if number >= 0 else RETRY
        if other < 0:
            return RETRY
        if other > 0:
            cold = warm_account(machine, other)
            if cold < 0:
                return RETRY
            price += rule(machine, COLD_ACCOUNT_GAS) if cold else rule(machine, CALL_GAS)
    if sends:
        price += VALUE_GAS
    makes = opcode == CALL and (sends or not rule(machine, CLEARS_EMPTY)) and not exists(machine, record)
    return price + NEW_ACCOUNT_GAS if makes else price


@njit(cache=True)
def _handed_on(machine: Any, frame: Any, requested: Any) -> Any:
    """The gas that a callee gets, or −1 where there is too little: what is asked for, at most all but a 64th (EIP-150)."""
    left = of(frame, F_GAS)
    if rule(machine, KEEPS_A_64TH):
        most = left - shifted_down(left, 6)
        return most if requested < 0 or requested > most else requested
    return -1 if requested < 0 or requested > left else requested


@njit(cache=True)
def _call(machine: Any, frame: Any, opcode: Any) -> Any:
    has_value = opcode in (CALL, CALLCODE)
    value = operand(frame, 2)
    sends = has_value and not is_zero(value)
    if opcode == CALL and sends and of(frame, F_STATIC):
        return fail(machine, STATIC_CHANGE)
    first = 3 if has_value else 2
    input_end = area(operand(frame, first), operand(frame, first + 1))
    output_end = area(operand(frame, first + 2), operand(frame, first + 3))
    if input_end == NOWHERE or output_end == NOWHERE:
        return fail(machine, OUT_OF_GAS)
    status = expand(frame, max(input_end, output_end))
    if status != CONTINUE:
        return status
    record = named_account(machine, operand(frame, 1))
    price = _call_price(machine, opcode, record, sends) if record >= 0 else RETRY
    if price < 0:
        return RETRY
    if not charge(frame, price):
        return fail(machine, OUT_OF_GAS)
    gas = _handed_on(machine, frame, small(operand(frame, 0)))
    if gas < 0:
        return fail(machine, OUT_OF_GAS)
    charge(frame, gas)
    put(machine, PAID_GAS, of(frame, F_GAS))
    if sends:
        gas += STIPEND
    set_of(frame, F_PLACE, of(frame, F_PLACE) + 1)
    put(machine, RETURN_BYTES, 0)
    data = of(frame, F_MEMORY) + (small(operand(frame, first)) if input_end > 0 else 0)
    size = small(operand(frame, first + 1))
    output = of(frame, F_MEMORY) + (small(operand(frame, first + 2)) if output_end > 0 else 0)
    output_size = small(operand(frame, first + 3))
    drop(frame, first + 4)
    poor = sends and less(balance_of(of(frame, F_RECORD)), value)
    if poor or get(machine, DEPTH) >= DEPTH_LIMIT:
        charge(frame, -gas)
        return _answer(frame, 0)
    return _send(machine, frame, opcode, record, value, data, size, gas, output, output_size)


@njit(cache=True)
def _send(
    machine: Any,
    frame: Any,
    opcode: Any,
    record: Any,
    value: Any,
    data: Any,
    size: Any,
    gas: Any,
    output: Any,
    output_size: Any,
) -> Any:
    """Call an account that is paid for; its frame is the one at work then, unless it has nothing to run."""
    mark = checkpoint(machine)
    if (opcode in (CALL, STATICCALL)) and touch(machine, record) < 0:
        return RETRY
    if opcode == CALL and transfer(machine, of(frame, F_RECORD), record, value) < 0:
        return RETRY
    number = precompile_number(machine, record + ADDRESS)
    if number > 0:
        status = run_precompile(machine, number, data, size, gas)
        if status == RETRY:
            return RETRY
        if status == HALT:
            revert_to(machine, mark)
        charge(frame, -get(machine, GAS_LEFT))
        copy_output(machine, output, output_size)
        return _answer(frame, 1 if status == SUCCESS else 0)
    number = _code(machine, record)
    if number < 0:
        return RETRY
    if number == 0:
        charge(frame, -gas)
        return _answer(frame, 1)
    inner = next_frame(machine, False)
    _describe(inner, frame, opcode, record, value)
    set_of(inner, F_MARK, mark)
    set_of(inner, F_GAS, gas)
    set_of(inner, F_INPUT, data)
    set_of(inner, F_INPUT_BYTES, size)
    set_of(inner, F_OUTPUT, output)
    set_of(inner, F_OUTPUT_BYTES, output_size)
    load_code(machine, inner, number)
    enter_frame(machine, inner)
    return CONTINUE


@njit(cache=True)
def _code(machine: Any, record: Any) -> Any:
    """The number of the code that runs where an account is called, 0 for none; `RETRY`."""
    number = code_of(machine, record)
    other = delegate_record(machine, number) if number > 0 else 0
    if other < 0:
        return RETRY
    return number if other == 0 else code_of(machine, other)


@njit(cache=True)
def _describe(inner: Any, frame: Any, opcode: Any, record: Any, value: Any) -> None:
    """Write who calls whom with what value into the callee's frame."""
    set_of(inner, F_KIND, KIND_CALL)
    set_of(inner, F_STATIC, 1 if opcode == STATICCALL else of(frame, F_STATIC))
    own = opcode in (CALLCODE, DELEGATECALL)
    set_of(inner, F_RECORD, of(frame, F_RECORD) if own else record)
    copy_value(inner + 8 * F_SELF, frame + 8 * F_SELF if own else record + ADDRESS)
    if opcode == DELEGATECALL:
        copy_value(inner + 8 * F_CALLER, frame + 8 * F_CALLER)
        copy_value(inner + 8 * F_VALUE, frame + 8 * F_VALUE)
        return
    copy_value(inner + 8 * F_CALLER, frame + 8 * F_SELF)
    if opcode == STATICCALL:
        set_small(inner + 8 * F_VALUE, 0)
    else:
        copy_value(inner + 8 * F_VALUE, value)


@njit(cache=True)
def _new_address(machine: Any, frame: Any, opcode: Any, data: Any, size: Any, salt: Any) -> None:
    """Write the address of what a creation makes into the scratch."""
    scratch, record = get(machine, SCRATCH), of(frame, F_RECORD)
    if opcode == CREATE:
        create_address(machine, record + ADDRESS, nonce_of(record), scratch + _CREATED_AT)
        return
    call_address(get(machine, KECCAK256), data, size, scratch + _DIGEST_AT)
    from_bytes(scratch + _HASH_AT, scratch + _DIGEST_AT)
    create2_address(machine, record + ADDRESS, salt, scratch + _HASH_AT, scratch + _CREATED_AT)


@njit(cache=True)
def _create(machine: Any, frame: Any, opcode: Any) -> Any:
    if of(frame, F_STATIC):
        return fail(machine, STATIC_CHANGE)
    value, salt = operand(frame, 0), operand(frame, 3)
    end = area(operand(frame, 1), operand(frame, 2))
    if end == NOWHERE:
        return fail(machine, OUT_OF_GAS)
    size = small(operand(frame, 2))
    if size > rule(machine, MAX_INITCODE_BYTES):
        return fail(machine, INITCODE_SIZE)
    word_gas = rule(machine, INITCODE_WORD_GAS) + (KECCAK_WORD_GAS if opcode == CREATE2 else 0)
    if not charge(frame, word_gas * words_for(size)):
        return fail(machine, OUT_OF_GAS)
    status = expand(frame, end)
    if status != CONTINUE:
        return status
    put(machine, PAID_GAS, of(frame, F_GAS))
    data = of(frame, F_MEMORY) + (small(operand(frame, 1)) if end > 0 else 0)
    put(machine, RETURN_BYTES, 0)
    set_of(frame, F_PLACE, of(frame, F_PLACE) + 1)
    drop(frame, 4 if opcode == CREATE2 else 3)
    record = of(frame, F_RECORD)
    nonce = nonce_of(record)
    if nonce == MOST_NONCE or less(balance_of(record), value) or get(machine, DEPTH) >= DEPTH_LIMIT:
        return _answer(frame, 0)
    gas = of(frame, F_GAS)
    if rule(machine, KEEPS_A_64TH):
        gas -= shifted_down(gas, 6)
    charge(frame, gas)
    _new_address(machine, frame, opcode, data, size, salt)
    created = account(machine, get(machine, SCRATCH) + _CREATED_AT)
    if created < 0 or warm_account(machine, created) < 0 or set_nonce(machine, record, nonce + 1) < 0:
        return RETRY
    return _begin(machine, frame, created, value, data, size, gas)


@njit(cache=True)
def _begin(machine: Any, frame: Any, created: Any, value: Any, data: Any, size: Any, gas: Any) -> Any:
    """Begin a creation that is paid for; its frame is the one at work then, unless there is a contract already."""
    mark = checkpoint(machine)
    begun = begin_create(machine, created)
    if begun == COLLISION:
        return _answer(frame, 0)
    if begun < 0 or transfer(machine, of(frame, F_RECORD), created, value) < 0:
        return RETRY
    inner = next_frame(machine, False)
    describe_creation(inner, frame + 8 * F_SELF, created, value, mark, gas)
    if load_initcode(machine, inner, data, size) < 0:
        return RETRY
    enter_frame(machine, inner)
    return CONTINUE


@njit(cache=True)
def describe_creation(inner: Any, caller: Any, created: Any, value: Any, mark: Any, gas: Any) -> None:
    """Write into a frame that it creates an account."""
    set_of(inner, F_KIND, KIND_CREATE)
    set_of(inner, F_STATIC, 0)
    set_of(inner, F_RECORD, created)
    copy_value(inner + 8 * F_SELF, created + ADDRESS)
    copy_value(inner + 8 * F_CALLER, caller)
    copy_value(inner + 8 * F_VALUE, value)
    set_of(inner, F_MARK, mark)
    set_of(inner, F_GAS, gas)
    set_of(inner, F_INPUT, 0)
    set_of(inner, F_INPUT_BYTES, 0)


@njit(cache=True)
def on_calls(machine: Any, opcode: Any) -> Any:
    """Opcodes that open a frame."""
    frame = get(machine, FRAME)
    if opcode in (CREATE, CREATE2):
        return _create(machine, frame, opcode)
    return _call(machine, frame, opcode)


@njit(cache=True)
def _destruct(machine: Any, frame: Any) -> Any:
    if of(frame, F_STATIC):
        return fail(machine, STATIC_CHANGE)
    record, beneficiary = of(frame, F_RECORD), named_account(machine, of(frame, F_TOP))
    cold = warm_account(machine, beneficiary) if beneficiary >= 0 else RETRY
    if cold < 0:
        return RETRY
    price = rule(machine, COLD_ACCOUNT_GAS) if cold else 0
    sends = not rule(machine, CLEARS_EMPTY) or not is_zero(balance_of(record))
    if sends and not exists(machine, beneficiary):
        price += rule(machine, SELFDESTRUCT_NEW_ACCOUNT_GAS)
    if not charge(frame, price):
        return fail(machine, OUT_OF_GAS)
    if destroy(machine, record, beneficiary) < 0:
        return RETRY
    put(machine, RETURN_BYTES, 0)
    return leave_frame(machine, SUCCESS)


@njit(cache=True)
def _return(machine: Any, frame: Any, status: Any) -> Any:
    end = area(operand(frame, 0), operand(frame, 1))
    answer = expand(frame, end)
    if answer != CONTINUE:
        return answer
    size = small(operand(frame, 1))
    if size > get(machine, RETURN_CAPACITY):
        return retry(machine, NEEDS_RETURN_DATA, size)
    if size > 0:
        copy(get(machine, RETURN_DATA), of(frame, F_MEMORY) + small(operand(frame, 0)), size)
    put(machine, RETURN_BYTES, size)
    put(machine, PAID_GAS, of(frame, F_GAS))
    return leave_frame(machine, status)


@njit(cache=True)
def on_ends(machine: Any, opcode: Any) -> Any:
    """Opcodes that end a frame, and the end of one that failed."""
    frame = get(machine, FRAME)
    if opcode == RETURN:
        return _return(machine, frame, SUCCESS)
    if opcode == REVERTS:
        return _return(machine, frame, REVERT)
    if opcode == SELFDESTRUCT:
        return _destruct(machine, frame)
    put(machine, RETURN_BYTES, 0)
    return leave_frame(machine, HALT if opcode == OP_HALT else SUCCESS)
