# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node tells of its work: spans of blocks and calls, and the signatures that it verified."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
import urllib.request

import pytest
from engine_runs import blocks_of
from node_chains import write_chain
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from patience import PATIENCE

from supervm.engine.transactions.encoding import encode
from supervm.kernels.threads import set_threads
from supervm.tiers import Hardware
from supervm.tiers.node.running import Places, run_edge, run_full
from supervm.tiers.node.submission import request_of
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.observability import observing
from supervm.tiers.observability.traces import Tracer
from supervm.tiers.settings import load

GB = 10**9
WORKLOAD = blocks_of("transfers", transactions=60, accounts=20, block_size=20, signed=True, seed=4)
LISTENING = {"node.grpc": "127.0.0.1:0", "node.http": "127.0.0.1:0"}


@pytest.fixture
def exporter(monkeypatch):
    """Where the spans of every node of the test go."""
    found = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(observing, "tracer", lambda endpoint: Tracer(provider))
    yield found
    set_threads(1)


def metrics(ready):
    with urllib.request.urlopen(f"http://{ready.http}/metrics", timeout=PATIENCE) as answer:
        return answer.read().decode()


def verified(text):
    """Signatures that the exposition says were found good."""
    rows = re.findall(r"^supervm_verify_items_total\{(.*)\} (\S+)$", text, re.M)
    return sum(float(value) for labels, value in rows if "ed25519" in labels)


def test_blocks_and_calls_have_spans(tmp_path, exporter):
    write_chain(tmp_path / "chain", WORKLOAD)
    hardware = Hardware(cores=16, memory=64 * GB)
    settings = load(hardware, flags={"workers": 1, **LISTENING}, environment={})
    places = Places(tmp_path / "chain" / "genesis.work", tmp_path / "node", tmp_path / "chain")
    seen = []

    def ready(found):
        with Upstream(found.grpc) as asked:
            seen.append(asked.get_status())
        seen.append(metrics(found))

    run_full(settings, hardware, places, ready, until=len(WORKLOAD))
    names = [span.name for span in exporter.get_finished_spans()]
    assert names.count("block") == len(WORKLOAD)
    assert names.count("GetStatus") == 1
    assert 'call="GetStatus"' in seen[1]


def test_the_status_has_the_numbers_of_the_blocks(tmp_path):
    """The engine's own height counts the commits of the genesis besides."""
    write_chain(tmp_path / "chain", WORKLOAD)
    hardware = Hardware(cores=16, memory=64 * GB)
    settings = load(hardware, flags={"workers": 1, **LISTENING}, environment={})
    places = Places(tmp_path / "chain" / "genesis.work", tmp_path / "node", tmp_path / "chain")
    told = []

    def ready(found):
        def wait():
            last = time.monotonic() + PATIENCE
            while time.monotonic() < last:
                with urllib.request.urlopen(f"http://{found.http}/status.json", timeout=PATIENCE) as answer:
                    blocks = json.load(answer)["blocks"]
                with Upstream(found.grpc) as asked:
                    number = asked.get_status().number
                if number == len(WORKLOAD) == len(blocks):
                    told.append((number, [block["height"] for block in blocks]))
                    break
                time.sleep(0.02)
            signal.raise_signal(signal.SIGTERM)

        waiting.append(threading.Thread(target=wait))
        waiting[0].start()

    waiting = []
    run_full(settings, hardware, places, ready)
    waiting[0].join(60)
    assert told == [(len(WORKLOAD), list(range(len(WORKLOAD), 0, -1)))]


def test_an_edge_node_counts_what_it_verifies(tmp_path, exporter, serve):
    write_chain(tmp_path / "chain", WORKLOAD)
    full = serve(tmp_path / "node", tmp_path / "chain", directory=False, pack=9, config={"signatures": True})
    hardware = Hardware(cores=4, memory=8 * GB)
    flags = {"workers": 1, "node.upstream": full.upstream.address, **LISTENING}
    encodings = [encode(WORKLOAD.transactions)[row] for row in range(10)]
    seen = []

    def ready(found):
        with Upstream(found.grpc) as asked:
            asked.submit_transactions(request_of(encodings))
        seen.append(verified(metrics(found)))
        signal.raise_signal(signal.SIGTERM)

    run_edge(load(hardware, flags=flags, environment={}), hardware, ready)
    assert seen == [10]
    assert [span.name for span in exporter.get_finished_spans()] == ["SubmitTransactions"]
