# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of signature schemes says what the batch functions do."""

from __future__ import annotations

import numpy as np
import pytest

from supervm.crypto.schemes import SCHEMES, SIGNATURE_BYTES, SignatureScheme
from supervm.kernels import registry
from supervm.kernels.errors import ArgumentError


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_row_is_what_the_batch_function_takes(scheme: SignatureScheme) -> None:
    verify = scheme.verify_batch
    assert scheme.operation in registry.operations()
    signatures = np.zeros((1, SIGNATURE_BYTES), np.uint8)
    signed = np.zeros((1, 32), np.uint8) if scheme.signs == "digest" else [b"message"]
    for width in range(31, 67):
        keys = np.zeros((1, width), np.uint8)
        if width in scheme.key_bytes:
            assert verify(keys, signed, signatures).tolist() != [1]
        else:
            with pytest.raises(ArgumentError, match="public_keys"):
                verify(keys, signed, signatures)


def test_no_name_means_two_schemes() -> None:
    names = [name for scheme in SCHEMES for name in (scheme.name, *scheme.other_names)]
    assert len(set(names)) == len(names)
    assert all(scheme.key_bytes == tuple(sorted(scheme.key_bytes)) for scheme in SCHEMES)
