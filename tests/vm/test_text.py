# SPDX-License-Identifier: GPL-3.0-or-later
"""Text becomes the binary that is deployed, or an error with its place."""

from __future__ import annotations

import pytest

from supervm.vm import contracts
from supervm.vm.errors import ContractRejected
from supervm.vm.text import to_binary


@pytest.mark.parametrize("name", contracts.names())
def test_the_samples(name: str) -> None:
    assert to_binary(contracts.source(name)) == contracts.load(name)


@pytest.mark.parametrize(
    ("text", "place"), [("(module\n  (func i32.bad))", "line 2, column 9"), ("\0asm", "line 1, column 1")]
)
def test_what_is_no_module(text: str, place: str) -> None:
    with pytest.raises(ContractRejected) as raised:
        to_binary(text)
    assert raised.value.rule == "text"
    assert raised.value.found.endswith(place)
    assert "\n" not in str(raised.value)
