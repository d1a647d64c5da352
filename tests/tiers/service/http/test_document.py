# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI document: complete, and kept to, whatever is sent (Schemathesis)."""

from __future__ import annotations

import json
import time

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks

from supervm.tiers.service.http import models

CALLS = 10
SECONDS_EACH = 1.0
KEPT = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def document(http):
    return http.client.get("/openapi.json").json()


def _posts(document):
    return {path: item["post"] for path, item in document["paths"].items() if "post" in item}


def test_it_is_complete(document):
    posts = _posts(document)
    assert len(posts) == CALLS
    schemas = document["components"]["schemas"]
    for path, operation in posts.items():
        assert operation["summary"], path
        assert operation["description"], path
        assert set(operation["responses"]) == {"200", "400", "401", "413", "429", "500", "501", "503", "504"}
        name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert schemas[name]["examples"], path
        assert [parameter["name"] for parameter in operation["parameters"]] == ["Request-Timeout"]
        for status, response in operation["responses"].items():
            assert response["description"], (path, status)
            kind = "application/json" if status == "200" else "application/problem+json"
            assert list(response["content"]) == [kind]
    text = json.dumps(document)
    for name in {part.partition(chr(34))[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in schemas
    assert "422" not in text
    assert "ValidationError" not in text


@pytest.mark.parametrize("body", [value for name, value in vars(models).items() if name.endswith("Body")])
def test_examples_fit_their_schemas(body):
    schema = body.model_json_schema()
    (example,) = schema["examples"]
    jsonschema_rs.Draft202012Validator(schema).validate(example)
    body.model_validate_json(json.dumps(example))


def _ask(operation, mode, seen):
    """Generated cases of an operation, one at least, and as many as there is time for."""
    limit = time.monotonic() + SECONDS_EACH

    @settings(
        max_examples=15,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    def ask(case):
        if time.monotonic() < limit or not any(path == operation.path for path, _ in seen):
            response = case.call(timeout=60)
            case.validate_response(response, checks=KEPT)
            assert response.status_code < 500 or response.status_code in (501, 504)
            seen.add((operation.path, response.status_code))

    ask()


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_whatever_is_sent_the_answer_is_as_documented(http, document, mode):
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=http.address)
    seen = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.startswith("/v1/"):
            _ask(operation, mode, seen)
    assert len({path for path, _ in seen}) == CALLS
    assert {status for _, status in seen} >= ({200, 501} if mode == "positive" else {400})
