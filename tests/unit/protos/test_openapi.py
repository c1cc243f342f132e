"""The OpenAPI document says what the contract and the servers say."""

import json
from collections.abc import Iterator
from typing import Any

import openapi
import pytest
from google.protobuf.descriptor import FieldDescriptor

from bridge.adapters.recommendations_http import parse
from buf.validate import validate_pb2
from feed.interactions.v1 import interactions_pb2
from feed.recommendations.v1 import recommendations_pb2
from runtime.errors import InvalidArgumentError


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


def schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def everything(node: Any) -> Iterator[Any]:
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from everything(child)


def test_the_committed_document_is_in_step(document: dict[str, Any]) -> None:
    assert json.loads(openapi.OUT.read_text()) == document


def test_the_document_is_the_same_every_time(document: dict[str, Any]) -> None:
    assert json.dumps(openapi.document()) == json.dumps(document)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = {node["$ref"] for node in everything(document) if isinstance(node, dict) and "$ref" in node}
    assert references == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("Interaction", interactions_pb2.Interaction, id="interaction"),
        pytest.param("RecordInteractionsResponse", interactions_pb2.RecordInteractionsResponse, id="results"),
        pytest.param("GetRecommendationsResponse", recommendations_pb2.GetRecommendationsResponse, id="page"),
        pytest.param("Recommendation", recommendations_pb2.Recommendation, id="recommendation"),
    ],
)
def test_schemas_have_the_json_names_of_the_messages(document: dict[str, Any], name: str, message: Any) -> None:
    fields: list[FieldDescriptor] = message.DESCRIPTOR.fields
    assert list(schema(document, name)["properties"]) == [field.json_name for field in fields]


def test_every_property_is_described(document: dict[str, Any]) -> None:
    for name, found in document["components"]["schemas"].items():
        for field, value in found.get("properties", {}).items():
            assert value.get("description") or "$ref" in value or "items" in value, f"{name}.{field}"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param("userId", {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"}, id="pattern"),
        pytest.param("feedSessionId", {"type": "string", "pattern": "^$|^[A-Za-z0-9_.:-]{1,128}$"}, id="or empty"),
        pytest.param("eventId", {"type": "string", "format": "uuid"}, id="uuid"),
        pytest.param("watchTime", {"type": "number", "format": "double", "minimum": 0, "maximum": 86400}, id="bounds"),
        pytest.param(
            "interactionType",
            {"type": "string", "enum": [n for n in interactions_pb2.InteractionType.keys() if "UNSPEC" not in n]},  # noqa: SIM118  # no dict
            id="enum",
        ),
        pytest.param("timestamp", {"type": "string", "format": "date-time"}, id="time"),
        pytest.param(
            "experiments",
            {"type": "array", "items": {"$ref": "#/components/schemas/ExperimentAssignment"}, "maxItems": 20},
            id="list",
        ),
        pytest.param(
            "metadata",
            {
                "type": "object",
                "additionalProperties": {"type": "string", "maxLength": 512},
                "propertyNames": {"minLength": 1, "maxLength": 64},
                "maxProperties": 20,
            },
            id="map",
        ),
    ],
)
def test_rules_of_the_proto_become_bounds(document: dict[str, Any], field: str, expected: dict[str, Any]) -> None:
    found = dict(schema(document, "Interaction")["properties"][field])
    found.pop("description")
    if field not in schema(document, "Interaction")["required"]:
        expected = expected | {"type": [expected["type"], "null"]}  # as good as absent, as in protobuf's JSON
    assert found == expected


def test_what_has_no_valid_default_is_required(document: dict[str, Any]) -> None:
    assert schema(document, "Interaction")["required"] == ["userId", "videoId", "interactionType", "timestamp"]


def test_enums_tell_what_each_value_means(document: dict[str, Any]) -> None:
    source = schema(document, "Source")
    assert source["enum"] == list(recommendations_pb2.Source.keys())
    assert "- TRENDING: What is watched most now." in source["description"]


def test_the_parameters_are_those_that_the_bridge_takes(document: dict[str, Any]) -> None:
    declared = {each["name"]: each for each in document["paths"]["/feed/recommendations"]["get"]["parameters"]}
    with pytest.raises(InvalidArgumentError) as caught:
        parse([("nothing", "")])
    unknown = next(each.reason for each in caught.value.violations if each.field == "nothing")
    assert set(declared) == set(unknown.removeprefix("unknown parameter; known ones: ").split(", "))
    assert [name for name, each in declared.items() if each.get("required")] == ["userId"]


def test_a_batch_has_the_bounds_of_the_contract(document: dict[str, Any]) -> None:
    interactions = schema(document, "InteractionBatch")["properties"]["interactions"]
    assert (interactions["minItems"], interactions["maxItems"]) == (1, 100)


def test_web_clients_have_the_same_under_another_name(document: dict[str, Any]) -> None:
    apps, pages = (document["paths"][path]["post"] for path in ("/feed/interactions", "/api/track"))
    assert pages["responses"] == apps["responses"]
    assert list(pages["requestBody"]["content"]) == ["application/json", "text/plain"]
    body = apps["requestBody"]["content"]["application/json"]
    assert all(content == body for content in pages["requestBody"]["content"].values())
    assert pages["operationId"] != apps["operationId"]


def test_a_rule_without_a_place_stops_the_run() -> None:
    rules = validate_pb2.StringRules(contains="x")
    with pytest.raises(ValueError, match=r"buf\.validate\.StringRules\.contains has no place"):
        openapi._from_rules(rules)
