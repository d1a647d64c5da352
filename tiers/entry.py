# SPDX-License-Identifier: GPL-3.0-or-later
"""Where `supervm` begins: Ctrl-C is handled before the command line is loaded."""

from __future__ import annotations

import gc
import os
import sys

from supervm.tiers import interruption


def main() -> None:
    """The entry point of `supervm`."""
    _hold_standard_descriptors()
    try:
        interruption.install()
        gc.disable()  # modules are loaded, which makes no garbage; `load_command` goes on collecting
        from supervm.tiers.cli import main as command_line

        command_line()
    except BaseException as error:
        # Whatever an interruption has turned into on its way through a library, it is one.
        if interruption.pressed() and not _is_exit(error):
            interruption.leave()
        raise


def _is_exit(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code == interruption.INTERRUPTED


def _hold_standard_descriptors() -> None:
    """Open those of 0, 1 and 2 that are closed: the next file that is opened would become standard output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            if descriptor == 2 and sys.stderr is None:
                sys.stderr = open(os.devnull, "w")  # noqa: SIM115  stays open to the end
