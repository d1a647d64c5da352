# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm` on an emulated processor: python tests/arm/command.py COMMAND …"""

import native_compiler

from supervm.tiers.entry import main

if __name__ == "__main__":
    native_compiler.install()
    main()
