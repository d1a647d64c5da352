# SPDX-License-Identifier: GPL-3.0-or-later
"""What one transaction of the EVM sees and changes, over an access set, with checkpoints to go back to."""
