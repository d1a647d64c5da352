# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of signature schemes says what the batch functions do."""

from __future__ import annotations

import numpy as np
import pytest

from supervm.crypto.schemes import BLS_MIN_SIG, FILE_SCHEMES, SignatureScheme
from supervm.kernels import registry
from supervm.kernels.errors import ArgumentError


@pytest.mark.parametrize("scheme", FILE_SCHEMES, ids=lambda scheme: scheme.name)
def test_a_row_is_what_the_batch_function_takes(scheme: SignatureScheme) -> None:
    verify = scheme.verify_batch
    assert scheme.operation in registry.operations()
    signatures = np.zeros((1, scheme.signature_bytes), np.uint8)
    options = {"variant": "min-sig"} if scheme is BLS_MIN_SIG else {}
    signed = np.zeros((1, 32), np.uint8) if scheme.signs == "digest" else [b"message"]
    for width in (*range(31, 67), 95, 96, 97):
        keys = np.zeros((1, width), np.uint8)
        if width in scheme.key_bytes:
            assert verify(keys, signed, signatures, **options).tolist() != [1]
        else:
            with pytest.raises(ArgumentError, match="public_keys"):
                verify(keys, signed, signatures, **options)


def test_no_name_means_two_schemes() -> None:
    names = [name for scheme in FILE_SCHEMES for name in (scheme.name, *scheme.other_names)]
    assert len(set(names)) == len(names)
    assert all(scheme.key_bytes == tuple(sorted(scheme.key_bytes)) for scheme in FILE_SCHEMES)
