# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a transaction enters: its message or creation, and the run of its code.

`enter_call` and `enter_create` do what a message or a creation does before its code runs: checkpoint, value, precompiled
contract, collision. Where they answer `ENTERED`, `run` runs the code; any other answer is the status itself. In both cases
the machine's `GAS_LEFT`, `RETURN_DATA` and `RETURN_BYTES` say what is left, and what a failure undoes is undone.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import call_address
from supervm.vm.evm.frame import (
    F_CALLER,
    F_GAS,
    F_INPUT,
    F_INPUT_BYTES,
    F_KIND,
    F_MARK,
    F_RECORD,
    F_SELF,
    F_STATIC,
    F_VALUE,
    KIND_CALL,
    set_of,
)
from supervm.vm.evm.machine import (
    ENTERED,
    GAS_LEFT,
    HALT,
    HALT_REASON,
    LOOP,
    RETRY,
    RETURN_BYTES,
    REVERT,
    SUCCESS,
    get,
    put,
)
from supervm.vm.evm.messages import (
    delegate_record,
    enter_frame,
    load_code,
    load_initcode,
    next_frame,
    run_precompile,
)
from supervm.vm.evm.operations_calls import describe_creation
from supervm.vm.evm.outcomes import HaltReason
from supervm.vm.evm.precompile_numbers import precompile_number
from supervm.vm.evm.state.accounts import INSUFFICIENT, account, code_of, touch, transfer, warm_account
from supervm.vm.evm.state.contracts import COLLISION, begin_create
from supervm.vm.evm.state.journal import checkpoint, revert_to
from supervm.vm.evm.words import copy_value

_COLLISION = int(HaltReason.COLLISION)


@njit(cache=True)
def _end(machine: Any, mark: Any, status: Any, gas: Any) -> Any:
    """Nothing is run: the status, and the gas that is left."""
    if status != SUCCESS:
        revert_to(machine, mark)
    put(machine, GAS_LEFT, gas)
    return status


@njit(cache=True)
def _delivered(machine: Any, caller: Any, record: Any, value: Any) -> Any:
    """Touch the recipient and move the value; 0, `INSUFFICIENT` or `RETRY`."""
    sender = account(machine, caller)
    if sender < 0 or touch(machine, record) < 0:
        return RETRY
    return transfer(machine, sender, record, value)


@njit(cache=True)
def _code(machine: Any, record: Any) -> Any:
    """The number of the code that a message to an account runs, 0 for none; whom it delegates to gets warm. `RETRY`."""
    number = code_of(machine, record)
    other = delegate_record(machine, number) if number >= 0 else RETRY
    if other < 0:
        return RETRY
    if other == 0:
        return number
    if warm_account(machine, other) < 0:
        return RETRY
    return code_of(machine, other)


@njit(cache=True)
def enter_call(machine: Any, caller: Any, target: Any, value: Any, data: Any, size: Any, gas: Any) -> Any:
    """Enter a transaction's message, whose sender has paid; `ENTERED` or the status.

    Args:
        caller, target, value: addresses of values.
        data, size: address and bytes of the input, which stay as they are until the end.
        gas: what it has.
    """
    put(machine, RETURN_BYTES, 0)
    put(machine, HALT_REASON, 0)
    mark = checkpoint(machine)
    record = account(machine, target)
    delivered = _delivered(machine, caller, record, value) if record >= 0 else RETRY
    if delivered == INSUFFICIENT:
        return _end(machine, mark, REVERT, gas)
    if delivered < 0:
        return RETRY
    number = precompile_number(machine, target)
    if number > 0:
        status = run_precompile(machine, number, data, size, gas)
        if status == HALT:
            revert_to(machine, mark)
        return status
    number = _code(machine, record)
    if number < 0:
        return RETRY
    if number == 0:
        return _end(machine, mark, SUCCESS, gas)
    frame = next_frame(machine, True)
    set_of(frame, F_KIND, KIND_CALL)
    set_of(frame, F_STATIC, 0)
    set_of(frame, F_RECORD, record)
    copy_value(frame + 8 * F_SELF, target)
    copy_value(frame + 8 * F_CALLER, caller)
    copy_value(frame + 8 * F_VALUE, value)
    set_of(frame, F_MARK, mark)
    set_of(frame, F_GAS, gas)
    set_of(frame, F_INPUT, data)
    set_of(frame, F_INPUT_BYTES, size)
    load_code(machine, frame, number)
    enter_frame(machine, frame)
    return ENTERED


@njit(cache=True)
def enter_create(machine: Any, caller: Any, created: Any, value: Any, data: Any, size: Any, gas: Any) -> Any:
    """Enter a transaction's creation of the account `created`, an address of a value; `ENTERED` or the status.

    The caller's nonce has been raised. A success stores the code.
    """
    put(machine, RETURN_BYTES, 0)
    put(machine, HALT_REASON, 0)
    mark = checkpoint(machine)
    record, sender = account(machine, created), account(machine, caller)
    begun = begin_create(machine, record) if record >= 0 and sender >= 0 else RETRY
    if begun == COLLISION:
        put(machine, HALT_REASON, _COLLISION)
        return _end(machine, mark, HALT, 0)
    delivered = transfer(machine, sender, record, value) if begun >= 0 else RETRY
    if delivered == INSUFFICIENT:
        return _end(machine, mark, REVERT, gas)
    if delivered < 0:
        return RETRY
    frame = next_frame(machine, True)
    describe_creation(frame, caller, record, value, mark, gas)
    if load_initcode(machine, frame, data, size) < 0:
        return RETRY
    enter_frame(machine, frame)
    return ENTERED


@njit(cache=True)
def run(machine: Any) -> Any:
    """Run the outermost frame to its end; its status."""
    return call_address(get(machine, LOOP), machine)
