# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded blocks of transactions for runs and measurements, and their files."""

from supervm.engine.workloads.files import read_workload, write_workload
from supervm.engine.workloads.generate import NAMES, PRIVATE, generate
from supervm.engine.workloads.mainnet import mainnet
from supervm.engine.workloads.signing import Keys
from supervm.engine.workloads.workload import Announced, Deployment, Genesis, Parameters, Workload

__all__ = [
    "NAMES",
    "PRIVATE",
    "Announced",
    "Deployment",
    "Genesis",
    "Keys",
    "Parameters",
    "Workload",
    "generate",
    "mainnet",
    "read_workload",
    "write_workload",
]
