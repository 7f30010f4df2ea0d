"""The OpenAPI document is valid and whole, and the page stands on its own."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import httpx
import jsonschema
import pytest
from wrapper.support.servers import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)

TURN_PATHS = ["/v1/chat/completions", "/v1/messages", "/v1/responses"]


@pytest.fixture
def document(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/openapi.json").json()
    return found


def references(node: Any) -> Iterator[str]:
    """Every reference in the document."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_leads_to_a_definition(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert len(found) > 10
    for reference in found:
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
        assert isinstance(node, dict)


@pytest.mark.parametrize("path", TURN_PATHS)
def test_the_schemas_judge_bodies_as_the_server_does(
    http: httpx.Client, document: dict[str, Any], path: str
) -> None:
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    judge = jsonschema.Draft202012Validator({**document, **schema})
    judge.check_schema(judge.schema)
    body = {
        "model": "sonnet", "max_tokens": 5, "input": "x",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "[[text:x]]"}]}],
    }  # fmt: skip
    for change in ({}, {"model": 5}, {"messages": 5, "input": 5}, {"temperature": 9}):
        is_valid = judge.is_valid({**body, **change})
        assert is_valid == (http.post(path, json={**body, **change}).status_code == 200)


def test_every_route_is_in_it_with_a_summary_and_its_own_name(
    http: httpx.Client, document: dict[str, Any]
) -> None:
    operations = [op for path in document["paths"].values() for op in path.values()]
    assert {"/v1/sessions/{session}", "/v1/models/{model}", "/health/live"} <= set(
        document["paths"]
    )
    assert all(operation["summary"] for operation in operations)
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for path, methods in document["paths"].items():
        real = path.replace("{session}", "x").replace("{model}", "x").replace("{response}", "x")
        method = "PUT" if "put" not in methods else "PATCH"
        assert http.request(method, real).status_code == 405, "the path of the document is routed"


class Collector(HTMLParser):
    """Tags, links and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def test_the_page_loads_nothing_and_runs_nothing(http: httpx.Client) -> None:
    reply = http.get("/docs")
    collector = Collector()
    collector.feed(reply.text)
    assert "script" not in collector.tags
    assert collector.links == ["openapi.json"]
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    for path in TURN_PATHS:
        assert path in reply.text


def test_the_page_is_closed_like_everything_else(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("key-one\n")
    with running_server(tmp_path, "--api-key-file", str(keys)) as server:
        for path in ("/docs", "/openapi.json"):
            assert httpx.get(server.url + path).status_code == 401
        known = {"x-api-key": "key-one"}
        document = httpx.get(f"{server.url}/openapi.json", headers=known).json()
        # Without a key no such name is answered at all.
        collector = Collector()
        collector.feed(httpx.get(f"{server.url}/docs", headers={**known, "host": "<script>x"}).text)
        assert "script" not in collector.tags
        assert len(collector.tags) > 5
        assert document["security"] == [{"bearer": []}, {"apiKey": []}]
