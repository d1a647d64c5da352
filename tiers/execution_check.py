# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether blocks are executed rightly here: the known answer of `supervm.engine.workloads.known_answer`, in both modes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from supervm.engine.config import Mode
from supervm.tiers.extras import missing
from supervm.vm.errors import RuntimeProblem

RIGHT = "the state root of the known block is right"


@dataclass(frozen=True)
class ExecutionState:
    """Execution in one mode.

    Args:
        mode: of the engine.
        known_answer: whether the block gave the root that it must; None if nothing could run.
        detail: what came out, or what stands in the way.
    """

    mode: str
    known_answer: bool | None
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `--json`."""
        return asdict(self)


def check_execution(mode: Mode, threads: int) -> ExecutionState:
    """Execute the known block; a runtime of contracts that is missing or of another version is no wrong answer."""
    try:
        from supervm.engine.workloads.known_answer import wrong

        problem = wrong(mode, threads)
    except ModuleNotFoundError as absent:
        return ExecutionState(mode.value, None, str(missing(absent) or absent))
    except (ImportError, RuntimeProblem) as error:
        return ExecutionState(mode.value, None, str(error))
    except Exception as error:  # whatever goes wrong in it is the answer to the question asked
        return ExecutionState(mode.value, False, f"{type(error).__name__}: {error}")
    return ExecutionState(mode.value, not problem, problem or RIGHT)
