# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs CUDA programs: devices, memory, launches, compiled programs, sorts."""
