# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the benchmarks.

SupervmError
├── PeerDisagrees      a peer and ours answered one item differently: nothing is timed
├── PeerMissing        a package of the `bench` extra is not installed
├── RunsDisagree       two runs of one workload came to different states: nothing is reported
├── ServerFailed       a server that was started to be measured did not start, or did not end well
├── NotSimulated       a network that could not be made, or a pool in it that did not run
├── ServiceWrong       a service under load gave a wrong answer, or none
├── NothingToCompare   two sides of recorded runs have no figure in common
└── ResultsMalformed   a file under benchmarks/results/ does not have the recorded form
"""

from __future__ import annotations

from supervm.kernels.errors import SupervmError


class PeerDisagrees(SupervmError):
    """A peer's answer differs from ours.

    Args:
        case: the row's operation.
        backend: ours.
        peer: the library.
        item: its index.
        ours: our answer.
        theirs: the peer's.
    """

    def __init__(self, case: str, backend: str, peer: str, item: int, ours: object, theirs: object) -> None:
        super().__init__(
            f"{case}: item {item} is {ours!r} on backend '{backend}' and {theirs!r} by {peer}; "
            "nothing was timed"
        )
        self.case = case
        self.backend = backend
        self.peer = peer
        self.item = item


class PeerMissing(SupervmError):
    """A package to compare with is not installed.

    Args:
        distribution: its name on PyPI.
    """

    def __init__(self, distribution: str) -> None:
        super().__init__(
            f"{distribution} is not installed; pip install 'supervm-engine[bench]' brings every peer"
        )
        self.distribution = distribution


class RunsDisagree(SupervmError):
    """Runs of one workload, which must come to the same, do not.

    Args:
        case: the row's operation.
        found: what they came to, in words.
        expected: what they must come to.
    """

    def __init__(self, case: str, found: str, expected: str) -> None:
        super().__init__(f"{case}: found {found}, expected {expected}; nothing is reported")
        self.case = case
        self.found = found
        self.expected = expected


class NothingToCompare(SupervmError):
    """Recorded runs of two sides have no figure in common.

    Args:
        reason: why, in words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"nothing can be compared: {reason}")


class ResultsMalformed(SupervmError):
    """A recorded file cannot be read; the message names the file and what is wrong."""


class NotSimulated(SupervmError):
    """A network of namespaces could not be made, or a pool in it did not run; the text says why."""


class ServerFailed(SupervmError):
    """A server process did not do what it was started for.

    Args:
        what: it did, in words.
        exit_code: its own.
    """

    def __init__(self, what: str, exit_code: int) -> None:
        super().__init__(f"the server {what}: exit code {exit_code}; its messages stand above")
        self.what = what
        self.exit_code = exit_code


class ServiceWrong(SupervmError):
    """A service under load did what no service may: nothing is reported.

    Args:
        case: the row's operation, or the load.
        answers: what became of its requests, in words.
    """

    def __init__(self, case: str, answers: str) -> None:
        super().__init__(f"{case}: {answers}; expected the library's verdict for every accepted request")
        self.case = case
        self.answers = answers
