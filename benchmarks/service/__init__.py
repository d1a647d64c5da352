# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification service under load: `supervm bench service`, soak and overload."""
