"""Writes `openapi.json`, the REST side of the contract; with --check, says whether it is in step.

Schemas come from the proto files: names, comments and the rules of protovalidate. A rule that cannot be expressed here
stops the run, so that the document never promises less or more than the servers check. Only paths and errors are
written by hand.
"""

import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.message import Message
from grpc_tools import protoc

from buf.validate import validate_pb2

ROOT: Final = Path(__file__).parent
OUT: Final = ROOT / "feed" / "openapi.json"
_FILES: Final = (
    "feed/recommendations/v1/recommendations.proto",
    "feed/interactions/v1/interactions.proto",
    "feed/insights/v1/outcomes.proto",
    "feed/insights/v1/corrections.proto",
)
_REQUEST: Final = ".feed.recommendations.v1.GetRecommendationsRequest"
_EXPLAINED: Final = ".feed.recommendations.v1.ExplainRecommendationRequest"
_INSIGHTS: Final = ".feed.insights.v1"
_INSIGHTS_SERVERS: Final = [{"url": "http://127.0.0.1:8090", "description": "insights"}]
# What the service makes of a correction.
_MADE: Final = ("correctionId", "isActive", "createdTime")
# Parts of the request that a query spells without their own name, and what a query cannot carry.
_FLATTENED: Final = ("filters", "context")
_NOT_IN_QUERY: Final = ("recent_interactions",)
# What a query spells as two ids with `=` between.
_PAIRS: Final = ("experiment_overrides",)
_PAIR_PATTERN: Final = "^[A-Za-z0-9_.:-]{1,128}=[A-Za-z0-9_.:-]{1,128}$"
_MAX_BATCH: Final = 100

Schema = dict[str, Any]
Rules = Message

_SCALARS: Final[Mapping[int, Schema]] = {
    FieldDescriptorProto.TYPE_STRING: {"type": "string"},
    FieldDescriptorProto.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptorProto.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptorProto.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptorProto.TYPE_INT32: {"type": "integer", "format": "int32"},
    # protobuf's JSON writes 64-bit numbers as text.
    FieldDescriptorProto.TYPE_INT64: {"type": "string", "format": "int64"},
}
_WELL_KNOWN: Final[Mapping[str, Schema]] = {".google.protobuf.Timestamp": {"type": "string", "format": "date-time"}}
# Each rule by its name; the value is what it adds to a schema.
_RULES: Final[Mapping[str, Callable[[Any], Schema]]] = {
    "pattern": lambda value: {"pattern": value},
    "min_len": lambda value: {"minLength": value},
    "max_len": lambda value: {"maxLength": value},
    "uuid": lambda value: {"format": "uuid"} if value else {},
    "gte": lambda value: {"minimum": _plain(value)},
    "lte": lambda value: {"maximum": _plain(value)},
    # JSON has no other numbers.
    "finite": lambda _: {},
    "min_items": lambda value: {"minItems": value},
    "max_items": lambda value: {"maxItems": value},
    "max_pairs": lambda value: {"maxProperties": value},
    # The names are listed anyway; `not_in` is handled where they are.
    "defined_only": lambda _: {},
    "not_in": lambda _: {},
}


class Contract:
    """The proto files with their comments, and the schemas made of them."""

    def __init__(self, proto_files: FileDescriptorSet) -> None:
        self._messages: dict[str, DescriptorProto] = {}
        self._enums: dict[str, EnumDescriptorProto] = {}
        self._comments: dict[str, str] = {}
        self.schemas: dict[str, Schema] = {}
        for file in proto_files.file:
            self._index(file)

    def reference(self, full_name: str) -> Schema:
        """Returns a reference to a message's or enum's schema, which it makes when it is new."""
        if full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[full_name])
        name = full_name.rpartition(".")[2]
        if name not in self.schemas:
            self.schemas[name] = {}  # stands in for itself inside itself
            self.schemas[name] = (
                self._message(full_name) if full_name in self._messages else self._enum_schema(full_name, ())
            )
        return {"$ref": f"#/components/schemas/{name}"}

    def close(self, name: str, *, takes_null: bool = True) -> None:
        """Says of a schema of a body that it takes no other fields; and null, as if a field were absent."""
        schema = self.schemas[name]
        schema["additionalProperties"] = False
        for field, each in schema["properties"].items():
            if takes_null and field not in schema.get("required", ()):
                each["type"] = [each["type"], "null"]

    def parameters(self, full_name: str) -> Iterator[Schema]:
        """Yields the query parameters that a request message is spelled as."""
        for field in self._messages[full_name].field:
            if field.name in _FLATTENED:
                yield from self.parameters(field.type_name)
            elif field.name not in _NOT_IN_QUERY:
                schema = self._field(full_name, field)
                description = schema.pop("description")
                if field.name in _PAIRS:
                    schema["items"] = {"type": "string", "pattern": _PAIR_PATTERN}
                    description += " Each as `experiment=variant`."
                parameter = {"name": field.json_name, "in": "query", "description": description, "schema": schema}
                if _is_required(field):
                    parameter["required"] = True
                yield parameter

    def _index(self, file: FileDescriptorProto) -> None:
        paths = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        for number, message in enumerate(file.message_type):
            full_name = f".{file.package}.{message.name}"
            self._messages[full_name] = message
            self._comments[full_name] = paths.get((4, number), "")
            self._messages.update({f"{full_name}.{each.name}": each for each in message.nested_type})
            for place, field in enumerate(message.field):
                self._comments[f"{full_name}.{field.name}"] = paths.get((4, number, 2, place), "")
        for number, enum in enumerate(file.enum_type):
            full_name = f".{file.package}.{enum.name}"
            self._enums[full_name] = enum
            self._comments[full_name] = paths.get((5, number), "")
            for place, value in enumerate(enum.value):
                self._comments[f"{full_name}.{value.name}"] = paths.get((5, number, 2, place), "")

    def _comment(self, name: str) -> str:
        return " ".join(self._comments[name].split())

    def _message(self, full_name: str) -> Schema:
        fields = self._messages[full_name].field
        schema: Schema = {
            "type": "object",
            "description": self._comment(full_name),
            "properties": {field.json_name: self._field(full_name, field) for field in fields},
        }
        required = [field.json_name for field in fields if _is_required(field)]
        return schema | ({"required": required} if required else {})

    def _enum_schema(self, full_name: str, excluded: tuple[int, ...]) -> Schema:
        values = [value.name for value in self._enums[full_name].value if value.number not in excluded]
        told = [f"- {name}: {self._comment(f'{full_name}.{name}')}" for name in values]
        return {
            "type": "string",
            "enum": values,
            "description": "\n".join([self._comment(full_name), *told]),
        }

    def _field(self, owner: str, field: FieldDescriptorProto) -> Schema:
        rules = _rules(field)
        schema = self._repeated(field, rules) if _is_repeated(field) else self._one(field, rules)
        return schema | {"description": self._comment(f"{owner}.{field.name}")}

    def _one(self, field: FieldDescriptorProto, rules: validate_pb2.FieldRules) -> Schema:
        excluded = tuple(rules.enum.not_in)
        if field.type == FieldDescriptorProto.TYPE_ENUM and excluded:
            return self._enum_schema(field.type_name, excluded)
        if field.type_name:
            return self.reference(field.type_name)
        schema = dict(_SCALARS[field.type]) | _bounds(rules)
        if "pattern" in schema and rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE:
            schema["pattern"] = f"^$|{schema['pattern']}"
        return schema

    def _repeated(self, field: FieldDescriptorProto, rules: validate_pb2.FieldRules) -> Schema:
        if field.type_name.endswith("Entry"):
            keys, value = _bounds(rules.map.keys), self._messages[field.type_name].field[1]
            entries: Schema = {"type": "object", "additionalProperties": self._one(value, rules.map.values)}
            return entries | ({"propertyNames": keys} if keys else {}) | _from_rules(rules.map, skip=("keys", "values"))
        items = self._one(field, rules.repeated.items)
        return {"type": "array", "items": items} | _from_rules(rules.repeated, skip=("items",))


def document() -> Schema:
    """Returns the whole OpenAPI document."""
    contract = Contract(_read())
    release = (ROOT / "CONTRACT").read_text().strip()
    interactions = _interactions(contract)
    paths = {
        "/feed/recommendations": _recommendations(contract),
        "/feed/explanation": _explanation(contract),
        "/feed/interactions": interactions,
        "/api/track": _track(interactions),
        **_outcomes(contract),
        **_corrections(contract),
        **_operations(),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Feed recommendation bridge",
            "version": release.removeprefix("v"),
            "description": f"The REST side of the contract, release {release}. The gRPC side says the same..",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "feed", "description": "What apps call."},
            {"name": "insights", "description": "What became of what was served."},
            {"name": "operations", "description": "On the HTTP port of every process."},
        ],
        "paths": paths,
        "components": {"schemas": dict(sorted((contract.schemas | _PROBLEM_SCHEMAS).items()))},
    }


def _recommendations(contract: Contract) -> Schema:
    page = contract.reference(".feed.recommendations.v1.GetRecommendationsResponse")
    return {
        "servers": [{"url": "http://127.0.0.1:8080", "description": "bridge"}],
        "get": {
            "operationId": "getRecommendations",
            "tags": ["feed"],
            "summary": "The next page of a user's feed",
            "description": "A valid request is answered with a valid page within 150 ms. Arrays are repeated: "
            "`includeTags=a&includeTags=b`. Unknown parameters are refused.",
            "parameters": list(contract.parameters(_REQUEST)),
            "responses": {"200": _json("A page.", page), **_problems(400, 500, 503)},
        },
    }


def _explanation(contract: Contract) -> Schema:
    told = contract.reference(".feed.recommendations.v1.ExplainRecommendationResponse")
    return {
        "servers": [{"url": "http://127.0.0.1:8080", "description": "bridge"}],
        "get": {
            "operationId": "explainRecommendation",
            "tags": ["feed"],
            "summary": "Why a video is, or would be, on a user's page",
            "description": "Of a page that was served, by its `recommendationId`, a second after it was; without one, "
            "as the video would be scored now.",
            "parameters": list(contract.parameters(_EXPLAINED)),
            "responses": {"200": _json("What its score is made of.", told), **_problems(400, 404, 500, 503)},
        },
    }


def _interactions(contract: Contract) -> Schema:
    one = contract.reference(".feed.interactions.v1.Interaction")
    contract.close("Interaction")
    contract.close("ExperimentAssignment", takes_null=False)
    result = contract.reference(".feed.interactions.v1.RecordInteractionResponse")
    results = contract.reference(".feed.interactions.v1.RecordInteractionsResponse")
    # By which a reader tells them apart.
    contract.schemas["RecordInteractionResponse"]["required"] = ["result"]
    contract.schemas["RecordInteractionsResponse"]["required"] = ["results"]
    batch = {
        "type": "object",
        "description": "Several events; each is checked alone.",
        "properties": {"interactions": {"type": "array", "minItems": 1, "maxItems": _MAX_BATCH, "items": one}},
        "required": ["interactions"],
        "additionalProperties": False,
    }
    contract.schemas["InteractionBatch"] = batch
    body = {"oneOf": [one, {"$ref": "#/components/schemas/InteractionBatch"}]}
    return {
        "servers": [{"url": "http://127.0.0.1:8081", "description": "interactions"}],
        "post": {
            "operationId": "recordInteractions",
            "tags": ["feed"],
            "summary": "Record what users did",
            "description": "One event, or a batch of up to 100. An event that is ACCEPTED or DUPLICATE is durable. In "
            "a batch a bad event is REJECTED alone; a single bad one is answered with 422. At most 64 KiB.",
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": {
                "200": _json("`result` for one event, `results` for a batch.", {"oneOf": [result, results]}),
                **_problems(400, 413, 415, 422, 500, 503),
            },
        },
    }


def _track(interactions: Schema) -> Schema:
    """The same under the name, and with the content type, that web clients have."""
    same = interactions["post"]
    json_body = same["requestBody"]["content"]["application/json"]
    content = {"application/json": json_body, "text/plain": json_body}
    own = {
        "operationId": "track",
        "summary": "Record what users did, from a page",
        "description": f"{same['description']} The same as `/feed/interactions`, for `navigator.sendBeacon`: the JSON "
        "may be called text. Pages of the origins in `FEED_INTERACTIONS_CORS_ORIGINS` may call it.",
        "requestBody": {"required": True, "content": content},
    }
    return {"servers": interactions["servers"], "post": same | own}


def _outcomes(contract: Contract) -> Schema:
    tracked = contract.reference(f"{_INSIGHTS}.TrackOutcomeRequest")
    contract.close("TrackOutcomeRequest")
    tracks = {
        "operationId": "trackOutcome",
        "tags": ["insights"],
        "summary": "Record what a user did with a served video",
        "description": "Of a page that is not known yet it is kept until it is. 404: the video was not on the page; "
        "409: it was served more than 30 days ago.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": tracked}}},
        "responses": {
            "200": _json("Whether it says something new.", contract.reference(f"{_INSIGHTS}.TrackOutcomeResponse")),
            **_problems(400, 404, 409, 413, 415, 422, 500, 503),
        },
    }
    asks = {
        "/feed/acceptance-rate": ("GetAcceptanceRate", "Which share of what was served was accepted"),
        "/feed/algorithm-performance": ("GetAlgorithmPerformance", "How each algorithm does"),
        "/feed/funnel": ("GetFunnel", "How far what was served came: shown, consumed, liked or added, rated"),
        "/feed/trends": ("GetTrends", "The same of each day"),
    }
    answers = {path: {"servers": _INSIGHTS_SERVERS, "get": _answer(contract, *asked)} for path, asked in asks.items()}
    return {"/feed/outcomes": {"servers": _INSIGHTS_SERVERS, "post": tracks}, **answers}


def _corrections(contract: Contract) -> Schema:
    contract.reference(f"{_INSIGHTS}.Correction")
    schema = contract.schemas["Correction"]
    given = {name: dict(each) for name, each in schema["properties"].items() if name not in _MADE}
    contract.schemas["NewCorrection"] = schema | {"properties": given}
    contract.close("NewCorrection")
    one = {"$ref": "#/components/schemas/NewCorrection"}
    off = contract.reference(f"{_INSIGHTS}.DeactivateCorrectionRequest")
    # It is in the path.
    of_path = contract.schemas["DeactivateCorrectionRequest"]
    of_path["required"] = ["adminId"]
    contract.close("DeactivateCorrectionRequest")
    place = {
        "name": "correctionId",
        "in": "path",
        "required": True,
        "schema": of_path["properties"].pop("correctionId"),
    }
    lists = _answer(contract, "ListCorrections", "What editors changed by hand, newest first")
    effect = _answer(
        contract, "GetCorrectionEffect", "What became of what a correction is about, before and since", 404
    )
    effect["parameters"] = [each for each in effect["parameters"] if each["name"] != place["name"]]
    creates = _change(contract, "CreateCorrection", "Boost, reduce, block or reweight by hand", one)
    deactivates = _change(contract, "DeactivateCorrection", "Switch a correction off", off, 404)
    return {
        "/feed/corrections": {"servers": _INSIGHTS_SERVERS, "get": lists, "post": creates},
        "/feed/corrections/{correctionId}/deactivate": {
            "servers": _INSIGHTS_SERVERS,
            "parameters": [place],
            "post": deactivates,
        },
        "/feed/corrections/{correctionId}/effect": {
            "servers": _INSIGHTS_SERVERS,
            "parameters": [place],
            "get": effect,
        },
    }


def _change(contract: Contract, method: str, summary: str, body: Schema, *problems: int) -> Schema:
    told = contract.reference(f"{_INSIGHTS}.{method}Response")
    return {
        "operationId": method[0].lower() + method[1:],
        "tags": ["insights"],
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": _json("It as it is kept.", told), **_problems(400, *problems, 413, 415, 422, 500, 503)},
    }


def _answer(contract: Contract, method: str, summary: str, *problems: int) -> Schema:
    told = contract.reference(f"{_INSIGHTS}.{method}Response")
    return {
        "operationId": method[0].lower() + method[1:],
        "tags": ["insights"],
        "summary": summary,
        "parameters": list(contract.parameters(f"{_INSIGHTS}.{method}Request")),
        "responses": {"200": _json("The figures.", told), **_problems(400, *problems, 500, 503)},
    }


def _operations() -> Schema:
    text = {"description": "In the Prometheus text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    status = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
    not_ready = {
        "type": "object",
        "properties": {"status": {"type": "string"}, "reason": {"type": "string"}},
        "required": ["status", "reason"],
    }
    ready = {"200": _json("Takes requests.", status), "503": _json("Not yet, or no more, and why.", not_ready)}
    return {
        "/healthz": _operation("healthz", "Whether the process lives", {"200": _json("It does.", status)}),
        "/readyz": _operation("readyz", "Whether the process takes requests", ready),
        "/metrics": _operation("metrics", "Metrics of the process", {"200": text}),
    }


def _operation(name: str, summary: str, responses: Schema) -> Schema:
    return {"get": {"operationId": name, "tags": ["operations"], "summary": summary, "responses": responses}}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_PROBLEM_TEXTS: Final = {
    400: "A field breaks a rule, or the body is no JSON; `violations` names each field and the accepted range.",
    404: "What was asked for is not there, or not any more.",
    408: "The request did not come to its end in time.",
    409: "The system is not in a state to do it; trying again does not help.",
    413: "The body is too large.",
    415: "The body does not say that it is JSON.",
    422: "The event breaks a rule; `violations` names each field and the accepted range. Nothing was stored.",
    429: "Too much at once; nothing was done. Try again after `Retry-After` seconds.",
    431: "The request line and the headers are too large: 64 KiB at most.",
    500: "The server failed. Nothing was acknowledged.",
    503: "Something this needs is down; nothing was acknowledged. Try again after `Retry-After` seconds.",
}
_PROBLEM_SCHEMAS: Final[dict[str, Schema]] = {
    "Problem": {
        "type": "object",
        "description": "An error (RFC 9457).",
        "properties": {
            "type": {"type": "string", "format": "uri", "description": "Kind of problem, a URN."},
            "title": {"type": "string", "description": "The status in words."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": {"type": "string", "description": "What went wrong, in a sentence."},
            "reason": {"type": "string", "description": "Machine-readable reason in UPPER_SNAKE_CASE."},
            "requestId": {"type": "string", "description": "To quote in a report; it is in the servers' logs."},
            "violations": {"type": "array", "items": {"$ref": "#/components/schemas/Violation"}},
        },
        "required": ["type", "title", "status", "detail", "reason", "requestId", "violations"],
    },
    "Violation": {
        "type": "object",
        "description": "One broken rule.",
        "properties": {
            "field": {"type": "string", "description": "Path of the field, such as `interactions[2].watchTime`."},
            "reason": {"type": "string", "description": "What is wrong, and the accepted range."},
        },
        "required": ["field", "reason"],
    },
}


def _problems(*statuses: int) -> Schema:
    """Returns some answers, and those that every caller may get: too slow, too often, too large a head."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(status): {"description": _PROBLEM_TEXTS[status], "content": content}
        for status in sorted({*statuses, 408, 429, 431})
    }


def _read() -> FileDescriptorSet:
    """Compiles the proto files, comments included."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "contract.binpb"
        includes = [f"-I{ROOT}", f"-I{files('grpc_tools') / '_proto'}"]
        options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}"]
        if protoc.main(["protoc", *includes, *options, *_FILES]) != 0:
            raise SystemExit(1)
        return FileDescriptorSet.FromString(out.read_bytes())


def _rules(field: FieldDescriptorProto) -> validate_pb2.FieldRules:
    return field.options.Extensions[validate_pb2.field]


def _bounds(rules: validate_pb2.FieldRules) -> Schema:
    """What the rules of a single value add to its schema."""
    kind = rules.WhichOneof("type")
    return _from_rules(getattr(rules, kind)) if kind else {}


def _from_rules(rules: Rules, skip: tuple[str, ...] = ()) -> Schema:
    schema: Schema = {}
    for rule, value in rules.ListFields():
        if rule.name not in skip:
            if rule.name not in _RULES:
                raise ValueError(f"rule {rule.full_name} has no place in an OpenAPI document yet; add it to _RULES")
            schema |= _RULES[rule.name](value)
    return schema


def _is_repeated(field: FieldDescriptorProto) -> bool:
    return field.label == FieldDescriptorProto.LABEL_REPEATED


def _is_required(field: FieldDescriptorProto) -> bool:
    """Whether the default value breaks a rule, so that the field must be there."""
    rules = _rules(field)
    if _is_repeated(field) or field.proto3_optional or rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE:
        return False
    wrong_when_empty = bool(rules.string.pattern) and not re.search(rules.string.pattern, "")
    empty_breaks = wrong_when_empty or rules.string.min_len > 0
    return rules.required or empty_breaks or 0 in rules.enum.not_in


def _plain(value: float) -> float:
    """86400.0 as 86400."""
    return int(value) if value == int(value) else value


def main() -> int:
    """Writes, or checks."""
    text = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if sys.argv[1:] != ["--check"]:
        OUT.write_text(text)
        return 0
    if OUT.exists() and OUT.read_text() == text:
        return 0
    sys.stderr.write("protos/feed/openapi.json is not in step with the .proto files, run make protos\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
