# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles ahead, in several processes: Numba compiles one function at a time in each.

What shares kernels is one group, and one process compiles it; what others build on comes first, so that they find it in the
cache. `python -m supervm.tiers.warming` is such a process: a job and then groups as lines of JSON in, what happens as lines
of JSON out.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from supervm.kernels import registry
from supervm.tiers import inventory
from supervm.tiers.errors import CompilerEnded
from supervm.tiers.settings import Settings

REPLAY, EXECUTION, PROVING, EVM = "replay", "execution", "proving", "evm"
"""What is warmed beside operations."""

MOST_PROCESSES = 4
"""Each takes about half a gigabyte; more have little left to share."""

END_SECONDS = 5.0
"""How long a process may take to end."""

COMMON = (
    "hashes",
    "secp256k1",
    "ed25519",
    "conflicts",
    REPLAY,
    EXECUTION,
    EVM,
    "bls12_381 transforms",
    "bn254 pairings",
    "bls12_381 pairings",
    "bn254 points",
    "bls12_381 points",
)
"""Groups that the commands verify, replay, run, contract, serve and node use, those of Groth16, BLS and blobs among them."""

_PREFIXES = (
    ("secp256k1.", "secp256k1"),
    ("ed25519.verify", "ed25519"),
    ("ed25519.msm", "edwards25519 sums"),
    ("x25519", "x25519"),
    ("conflicts.", "conflicts"),
    ("merkle.poseidon_bn254", "bn254 scalars"),
    ("merkle.poseidon_bls12_381", "bls12_381 scalars"),
    ("merkle.", "merkle trees"),
    ("bn254.pairing", "bn254 pairings"),
    ("bls12_381.pairing", "bls12_381 pairings"),
    ("bls12_381.ntt", "bls12_381 transforms"),
    ("bn254.g", "bn254 points"),
    ("bls12_381.g", "bls12_381 points"),
    ("bn254.", "bn254 scalars"),
    ("bls12_381.", "bls12_381 scalars"),
    (REPLAY, REPLAY),
    (EXECUTION, EXECUTION),
    (PROVING, PROVING),
    (EVM, EVM),
)
"""How the name of an operation begins → its group; any other is a hash function."""

SECONDS = {
    "hashes": 4.0,
    "secp256k1": 14.0,
    "ed25519": 8.0,
    "conflicts": 6.0,
    "x25519": 3.0,
    REPLAY: 5.0,
    EXECUTION: 41.0,
    EVM: 60.0,
    "bls12_381 transforms": 4.0,
    "merkle trees": 8.0,
    "edwards25519 sums": 10.0,
    "bn254 scalars": 12.0,
    "bls12_381 scalars": 9.0,
    "bn254 pairings": 13.0,
    "bls12_381 pairings": 17.0,
    PROVING: 60.0,
    "bn254 points": 38.0,
    "bls12_381 points": 70.0,
}
"""Group → seconds that it takes cold; from the groups compiled first to those that one process leaves to the other."""

Task = tuple[str, str]
"""An operation, or `REPLAY`, `EXECUTION`, `PROVING` or `EVM`, and a backend."""


@dataclass(frozen=True)
class Group:
    """Tasks that share kernels, on one backend."""

    name: str
    backend: str
    tasks: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """What it takes cold, as far as is known."""
        return SECONDS[self.name]


@dataclass(frozen=True)
class Warmed:
    """A group that is ready, and the seconds that each of its tasks took."""

    group: Group
    seconds: tuple[float, ...]


@dataclass
class Going:
    """How far it is.

    Args:
        left, done: groups, not begun or not done, and done.
        current: process → its group, and when it began with it.
        compiling: process → what it is at, in words.
        expected, taken: seconds that the groups that are done should take, and took, in all processes.
    """

    processes: int
    left: list[Group]
    done: list[Warmed] = field(default_factory=list)
    compiling: dict[int, str] = field(default_factory=dict)
    expected: float = 0.0
    taken: float = 0.0
    current: dict[int, tuple[Group, float]] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Seconds that all groups should take, one after the other."""
        return self.expected + sum(group.seconds for group in self.left)

    @property
    def pace(self) -> float:
        """How much longer it takes than on the machine that `SECONDS` is from."""
        return self.taken / self.expected if self.expected else 1.0

    @property
    def fraction(self) -> float:
        """The part that is done, by time."""
        return 1 - sum(self._left()) / self.total if self.total else 1.0

    @property
    def remaining(self) -> float:
        """Seconds from now, at the pace so far."""
        left = self._left()
        return self.pace * max(sum(left) / self.processes, max(left, default=0.0))

    def _left(self) -> list[float]:
        """Seconds that are left of each group, before `pace`; of what is begun a tenth at least."""
        now = time.monotonic()
        begun = {group: (now - since) / self.pace for group, since in self.current.values()}
        return [
            max(group.seconds - begun.get(group, 0.0), 0.1 * group.seconds)
            if group in begun
            else group.seconds
            for group in self.left
        ]

    def finish(self, warmed: Warmed) -> None:
        """A group is ready."""
        self.left.remove(warmed.group)
        self.done.append(warmed)
        self.expected += warmed.group.seconds
        self.taken += sum(warmed.seconds)


def tasks(settings: Settings, every: bool) -> list[Task]:
    """What to warm: the chosen backends of each operation and those of host functions, or every one that can run here; then
    replay, execution, proving and the EVM."""
    from supervm.engine.execution.host_crypto import BACKEND, OPERATIONS

    chosen: list[Task] = []
    for name in inventory.operations():
        state = inventory.backend_states(name, settings.backend, settings.origins["backend"])
        alone = registry.resolve(name, items=1).name if settings.backend == "auto" else ""
        chosen += [
            (name, one.name)
            for one in state.backends
            if one.chosen
            or one.name == alone
            or (name in OPERATIONS and one.name == BACKEND)
            or (every and one.available)
        ]
    return [
        *chosen,
        (REPLAY, settings.backend),
        (EXECUTION, "cpu"),
        (PROVING, settings.backend),
        (EVM, "cpu"),
    ]


def groups_of(wanted: Sequence[Task]) -> list[Group]:
    """The groups of these tasks, in the order of `SECONDS`."""
    found: dict[tuple[str, str], list[str]] = {}
    for operation, backend in wanted:
        name = next((group for prefix, group in _PREFIXES if operation.startswith(prefix)), "hashes")
        found.setdefault((name, backend), []).append(operation)
    order = list(SECONDS)
    keys = sorted(found, key=lambda key: order.index(key[0]))
    return [Group(name, backend, tuple(found[name, backend])) for name, backend in keys]


def warm_groups(
    groups: Sequence[Group], job: dict[str, Any], processes: int, tell: Callable[[Going], None]
) -> list[Warmed]:
    """Compile groups, the first process from the front of the list, the second from its end, and so on in turn.

    Args:
        job: what `_work` needs to have the same settings; see there.
        tell: called whenever something has changed.

    Raises:
        CompilerEnded: a process failed or was ended; the others are ended too.
    """
    going = Going(min(processes, len(groups)) or 1, list(groups))
    waiting = deque(groups)
    heard: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(job, heard, index)) for index in range(going.processes)]

        def next_group(index: int) -> None:
            going.current.pop(index, None)
            going.compiling.pop(index, None)
            if waiting:
                group = waiting.pop() if index % 2 else waiting.popleft()
                going.current[index] = group, time.monotonic()
                going.compiling[index] = group.name
                workers[index].send(asdict(group))

        for index in range(going.processes):
            next_group(index)
        tell(going)
        while going.left:
            index, said = heard.get()
            if said is None or "error" in said:
                what = going.current[index][0].name if index in going.current else "kernels"
                raise CompilerEnded(what, said["error"] if said else workers[index].ending())
            if "seconds" in said:
                going.finish(Warmed(going.current[index][0], tuple(said["seconds"])))
                next_group(index)
            else:
                going.compiling[index] = f"{said['compiling']} ({going.current[index][0].name})"
            tell(going)
    return going.done


class _Worker:
    """The other end of a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended, which its output says
            return

    def ending(self) -> str:
        """How it ended, in words."""
        return f"the process that compiles ended with status {self._process.wait()}"


@contextmanager
def _worker(
    job: dict[str, Any], heard: queue.Queue[tuple[int, dict[str, Any] | None]], index: int
) -> Iterator[_Worker]:
    """A process, ended with the block; what it says comes to `heard`, None when it has ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches the command, which ends it
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def read(lines: Any) -> None:
        for line in lines:
            heard.put((index, json.loads(line)))
        heard.put((index, None))

    reader = threading.Thread(target=read, args=(process.stdout,), daemon=True)
    reader.start()
    worker = _Worker(process)
    worker.send(job)
    try:
        yield worker
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()
        for stream in (process.stdin, process.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                continue


def job_of(tier: str | None, config: Path | None, backend: str | None) -> dict[str, Any]:
    """What a process needs to have the settings of a command with these options."""
    return {"tier": tier, "config": None if config is None else str(config), "backend": backend}


def warm_task(operation: str, backend: str, config: Any) -> None:
    """Compile what one task needs, or load it from the cache.

    Args:
        config: of the engine.
    """
    if operation == REPLAY:
        from supervm.engine.ethereum.replay.replay import warm as warm_replay

        warm_replay(backend)
    elif operation == EXECUTION:
        from supervm.engine.config import Schedule
        from supervm.engine.execution.host_crypto import compile_host_functions
        from supervm.engine.transactions.encoding import decode, encode, signing_payloads
        from supervm.engine.workloads import Parameters, generate
        from supervm.engine.workloads.private_transfers import benchmark_verifier
        from supervm.engine.workloads.run import warm as warm_execution
        from supervm.tiers.shards.warming import warm as warm_shards

        verifier = benchmark_verifier(config.backend)  # with which private transactions and pools are warmed
        warm_execution(replace(config, schedule=Schedule.WAVES, verifier=verifier))
        compile_host_functions()
        batch = generate("mixed", Parameters(transactions=16, accounts=8, block_size=16)).transactions
        signing_payloads(batch)
        decode(encode(batch))
        warm_shards()
    elif operation == PROVING:
        from supervm.crypto.groth16_warming import warm as warm_proving

        warm_proving(backend)
    elif operation == EVM:
        from supervm.engine.evm.warming import warm as warm_evm

        warm_evm()
    else:
        from supervm.tiers.known_answers import warm

        warm(operation, backend)


def _name(text: str) -> str:
    """What is compiled, of what `telling_of_compilations` says."""
    return text.removeprefix("compiling ").partition(",")[0]


def _work() -> None:
    """Answer groups on standard input until it ends."""
    from supervm.kernels.errors import SupervmError
    from supervm.tiers.compiling import telling_of_compilations
    from supervm.tiers.compose import engine_config
    from supervm.tiers.hardware import detect
    from supervm.tiers.settings import load

    def say(**what: Any) -> None:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()

    try:
        job = json.loads(sys.stdin.readline())
        hardware = detect()
        config = None if job["config"] is None else Path(job["config"])
        settings = load(hardware, flags={"backend": job["backend"]}, tier=job["tier"], config=config)
        for name in inventory.OPERATION_MODULES:
            __import__(name)
        with telling_of_compilations(lambda text: say(compiling=_name(text)) if text else None):
            for line in sys.stdin:
                group = json.loads(line)
                seconds = []
                for task in group["tasks"]:
                    begun = time.perf_counter()
                    warm_task(task, group["backend"], engine_config(settings, hardware))
                    seconds.append(time.perf_counter() - begun)
                say(seconds=seconds)
    except (SupervmError, OSError, MemoryError) as error:
        say(error=f"{type(error).__name__}: {error}")
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)


if __name__ == "__main__":
    _work()
