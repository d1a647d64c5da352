# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification service: requests in, verdicts out, over gRPC and HTTP."""
