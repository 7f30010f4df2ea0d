"""JSON schemas as clients and their libraries write them, and what the CLI is given of them."""

from __future__ import annotations

from typing import Any

import pytest

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.model import ToolSpec
from claude_wrapper.wire.schemas import answer_schema, check_tool_names, tool_schema

TEXT: Any = {"type": "string"}


def with_one(**schema: Any) -> dict[str, Any]:
    """The schema of an object with one property."""
    return {"type": "object", "properties": {"a": schema}}


@pytest.mark.parametrize(
    ("given", "offered"),
    [
        pytest.param(None, {"type": "object", "properties": {}}, id="none"),
        pytest.param({}, {"type": "object", "properties": {}}, id="empty"),
        pytest.param(
            {"properties": {"a": TEXT}}, {"type": "object", "properties": {"a": TEXT}}, id="no type"
        ),
        pytest.param({"type": ["object", "null"]}, {"type": "object"}, id="or null"),
        pytest.param(
            {"type": "object", "properties": None, "required": None}, {"type": "object"}, id="nulls"
        ),
        pytest.param(
            with_one(**TEXT, example="x", unknown=1),
            with_one(**TEXT, example="x", unknown=1),
            id="words that only the model reads stay",
        ),
    ],
)
def test_the_schema_of_a_tool_is_that_of_an_object(given: Any, offered: dict[str, Any]) -> None:
    assert tool_schema(given, "p") == offered


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"type": "string"}, "p.type"),
        ({"type": ["array", "null"]}, "p.type"),
        ({"properties": []}, "p.properties"),
        ({"properties": {"a": "string"}}, "p.properties.a"),
        ({"required": "a"}, "p.required"),
        ({"required": [1]}, "p.required"),
    ],
)
def test_a_tool_that_takes_no_object_is_refused(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        tool_schema(given, "p")
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        pytest.param(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **with_one(**TEXT)},
            with_one(**TEXT),
            id="the draft that is meant",
        ),
        pytest.param(with_one(**TEXT, example="x"), with_one(**TEXT), id="a word of OpenAPI"),
        pytest.param(
            with_one(oneOf=[TEXT], discriminator={"propertyName": "k"}),
            with_one(oneOf=[TEXT]),
            id="discriminator",
        ),
        pytest.param(
            {"$defs": {"A": {**TEXT, "x-order": 1}}, **with_one(**{"$ref": "#/$defs/A"})},
            {"$defs": {"A": TEXT}, **with_one(**{"$ref": "#/$defs/A"})},
            id="deep inside",
        ),
        pytest.param(
            with_one(prefixItems=[TEXT], items=False),
            with_one(items=[TEXT], additionalItems=False),
            id="tuples",
        ),
        pytest.param(
            {**with_one(**TEXT), "dependentRequired": {"a": ["b"]}},
            {**with_one(**TEXT), "dependencies": {"a": ["b"]}},
            id="dependencies",
        ),
        pytest.param(
            with_one(minimum=1, exclusiveMinimum=True, maximum=9, exclusiveMaximum=False),
            with_one(exclusiveMinimum=1, maximum=9),
            id="limits of draft 4",
        ),
        pytest.param(
            with_one(**TEXT, description=None, default=None, enum=[None, "x"]),
            with_one(**TEXT, default=None, enum=[None, "x"]),
            id="null that says nothing, and null that does",
        ),
        pytest.param(
            with_one(**{"if": TEXT, "nullable": True, "additionalItems": TEXT}),
            with_one(),
            id="words without effect",
        ),
        pytest.param(
            {"type": "object", "properties": {"example": TEXT, "if": TEXT, "items": TEXT}},
            {"type": "object", "properties": {"example": TEXT, "if": TEXT, "items": TEXT}},
            id="properties that are called like words",
        ),
        pytest.param(with_one(const={"foo": 1}), with_one(const={"foo": 1}), id="values"),
    ],
)
def test_the_schema_of_an_answer_is_said_in_draft_7(given: Any, checked: Any) -> None:
    assert answer_schema(given, "p") == checked


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"type": "array"}, "p.type"),
        ({"unevaluatedProperties": False}, "p.unevaluatedProperties"),
        (with_one(contains=TEXT, minContains=2), "p.properties.a.minContains"),
    ],
)
def test_what_could_not_be_checked_is_refused(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        answer_schema(given, "p")
    assert caught.value.param == param


@pytest.mark.parametrize("fit", [tool_schema, answer_schema])
@pytest.mark.parametrize("name", ["größe", "two words", "$x", "@type", "", "a" * 65])
def test_a_property_that_the_api_does_not_take_is_named(fit: Any, name: str) -> None:
    """The CLI would drop the tool, and we should have to guess why."""
    with pytest.raises(InvalidRequestError, match="takes no property called") as caught:
        fit({"properties": {"a": {}, name: {}}}, "p")
    assert caught.value.param == "p.properties"
    inside = {"properties": {"a": {"type": "object", "properties": {name: {"type": "string"}}}}}
    assert fit(inside, "p")["properties"] == inside["properties"]


@pytest.mark.parametrize("name", ["a", "a.b", "A-b_9", "constructor", "a" * 64])
def test_a_property_that_the_api_takes_is_carried(name: str) -> None:
    assert name in tool_schema({"properties": {name: {}}}, "p")["properties"]


def test_two_tools_of_one_name_are_refused() -> None:
    one = ToolSpec(name="f", description="", parameters={})
    with pytest.raises(InvalidRequestError, match="'f' is there twice"):
        check_tool_names([one, one])
