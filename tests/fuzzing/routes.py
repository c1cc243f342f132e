"""Raw paths, queries, headers and bodies at every route."""

import asyncio
import http.client
import json
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from google.protobuf import json_format

from feed.insights.v1 import corrections_pb2, outcomes_pb2
from feed.interactions.v1 import interactions_pb2
from feed.recommendations.v1 import recommendations_pb2
from runtime.servers.json_http import MAX_BODY_BYTES
from tests.fuzzing import corpus, values
from tests.fuzzing.judging import Tally, leaks
from tests.fuzzing.messages import ordinary
from tests.fuzzing.mutations import mutated
from tests.fuzzing.site import Site

_BOUND_S: Final = 30.0
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_TYPES: Final = (_JSON, _FORM, "text/plain", "", "application/json; charset=utf-16", "multipart/form-data; boundary=x")
# Shares of requests that come through to where more can go wrong.
_GOOD_PATHS: Final = 0.6
_GOOD_TYPES: Final = 0.8
_PARAMETER: Final = re.compile(r"\{[^}]*\}")
# A body that is far too long is not read to its end; the connection ends with the answer then.
_CUT_OFF: Final = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
# What a server answers to a route that is another's.
_ELSEWHERE: Final = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}

# The body of an ordinary request, by the end of its path.
MESSAGES: Final = {
    "/feed/interactions": interactions_pb2.Interaction.DESCRIPTOR,
    "/api/track": interactions_pb2.RecordInteractionsRequest.DESCRIPTOR,
    "/feed/outcomes": outcomes_pb2.TrackOutcomeRequest.DESCRIPTOR,
    "/feed/corrections": corrections_pb2.Correction.DESCRIPTOR,
    "/deactivate": corrections_pb2.DeactivateCorrectionRequest.DESCRIPTOR,
}
# What a query may ask for, anywhere.
QUERY: Final = (
    *(field.json_name for field in recommendations_pb2.GetRecommendationsRequest.DESCRIPTOR.fields),
    *("videoId", "recommendationId", "includeTags", "maxDurationS", "publishedAfter", "country", "countries"),
    *("since", "until", "algorithm", "splitBy", "windowH", "pageToken", "includeInactive"),
    *("all", "page", "window", "done", "id", "days", "split"),
)
FIELDS: Final = (
    *("correctionType", "userId", "videoId", "targetFactor", "targetValue", "correctionValue", "reason", "adminId"),
    *("name", "layer", "traffic", "variants", "hypothesis", "primaryMetric", "instead_of"),
)
_PLAIN: Final = ("u1", "e01", "1", "0", "true", "SOURCE", "7", "2025-09-01T00:00:00Z", "c1", "m1", "BLOCK", "a", "live")


@dataclass(frozen=True)
class Sent:
    """A request."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def bytes(self) -> bytes:
        """All of it that may be told back."""
        return b"\n".join([self.target.encode(), *map(str.encode, self.headers.values()), self.body or b""])


def inputs(row: str, rng: random.Random) -> Iterator[Sent]:
    """Yields the corpus of bodies in any order, where the route takes one, each before another request; without end."""
    method, _, path = row.partition(" ")
    known = corpus.bodies()
    for body in rng.sample(known, len(known) if method == "POST" else 0):
        yield _request(method, path, rng, known)
        yield Sent(method, _path(path, rng, good=True), _headers(rng, _JSON), body)
    while True:
        yield _request(method, path, rng, known)


def _request(method: str, path: str, rng: random.Random, known: Sequence[bytes]) -> Sent:
    target = _path(path, rng, good=rng.random() < _GOOD_PATHS) + _query(rng)
    if method != "POST":
        return Sent(method, target, _headers(rng, ""))
    is_ours = "/feed/" in path or "/api/" in path
    kind = (_JSON if rng.random() < _GOOD_TYPES else rng.choice(_TYPES)) if is_ours else _FORM
    return Sent(method, target, _headers(rng, kind), _body(path, kind, known, rng))


def _path(path: str, rng: random.Random, *, good: bool) -> str:
    return _PARAMETER.sub(lambda _: rng.choice(_PLAIN) if good else quote(values.text(rng)[:600], safe=""), path)


def _query(rng: random.Random) -> str:
    pairs = [f"{quote(rng.choice(QUERY))}={_value(rng)}" for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    if rng.random() < 0.1:
        pairs.append(quote(mutated(b"userId=u1&pageSize=3", (), rng), safe="=&%+"))
    if rng.random() < 0.7:
        pairs.insert(0, "userId=u1")
    return f"?{'&'.join(pairs)}" if pairs else ""


def _value(rng: random.Random) -> str:
    return quote(rng.choice(_PLAIN) if rng.random() < 0.5 else values.text(rng)[:600], safe="")


def _headers(rng: random.Random, kind: str) -> dict[str, str]:
    """Returns headers that http.client lets pass: hostile as far as HTTP can carry it."""
    made = {"content-type": kind} if kind else {}
    made["accept"] = rng.choice(("*/*", "text/html", "application/json"))
    made["sec-fetch-site"] = rng.choice(("same-origin", "same-origin", "same-origin", "cross-site"))
    if rng.random() < 0.3:
        name = rng.choice(
            ("x-request-id", "traceparent", "origin", "user-agent", "authorization", "hx-request", "cookie")
        )
        made[name] = re.sub(r"[\x00-\x1f\x7f]", "?", values.text(rng).encode().decode("latin-1"))[:500].strip()
    return made


def _body(path: str, kind: str, known: Sequence[bytes], rng: random.Random) -> bytes:
    if kind == _FORM:
        plain = "&".join(f"{rng.choice(FIELDS)}={_value(rng)}" for _ in range(rng.randrange(8)))
        return plain.encode() if rng.random() < 0.7 else mutated(plain.encode(), known, rng)
    seed = _ordinary(path, rng)
    choice = rng.random()
    if choice < 0.5:
        return json.dumps(_spoiled(seed, rng), ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return mutated(json.dumps(seed).encode() if choice < 0.85 else rng.choice(known)[:70_000], known, rng)


def _ordinary(path: str, rng: random.Random) -> dict[str, Any]:
    descriptor = next((found for end, found in MESSAGES.items() if path.endswith(end)), None)
    made: dict[str, Any] = json_format.MessageToDict(ordinary(descriptor, rng)) if descriptor else {}
    if path == "/feed/interactions" and rng.random() < 0.5:
        return {"interactions": [made] * rng.choice((1, 2, 101))}
    return made


def _spoiled(seed: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Returns an object with one value, at the top or in its first batch, made hostile."""
    made = dict(seed)
    batch = made.get("interactions")
    if batch and rng.random() < 0.8:
        return {"interactions": [_spoiled(dict(batch[0]), rng), *batch[1:]]}
    name = rng.choice([*made, values.text(rng)])
    made[name] = rng.choice(
        (
            values.text(rng),
            rng.choice(values.NUMBERS),
            rng.choice(values.INTEGERS),
            10 ** rng.randrange(400),
            None,
            True,
            [values.text(rng)],
            {values.text(rng): values.text(rng)},
        )
    )
    return made


def fuzz(site: Site, count: int, seed: int) -> Tally:
    """Sends so many inputs in all, to every route in turn, over one connection to each process."""
    by_process: dict[str, list[str]] = {}
    for process, row in site.routes():
        by_process.setdefault(process, []).append(row)
    share = -(-count // sum(map(len, by_process.values())))
    with ThreadPoolExecutor(len(by_process)) as threads:
        work = [
            threads.submit(_fuzz_all, rows, site.processes[process].http_port, share, seed)
            for process, rows in by_process.items()
        ]
        return sum((each.result() for each in work), Tally())


def _fuzz_all(rows: Sequence[str], port: int, share: int, seed: int) -> Tally:
    tally = Tally()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_BOUND_S)
    made = [(row, inputs(row, random.Random(f"{seed} {row}"))) for row in rows]
    for _ in range(share):
        for row, each in made:
            _send(row, connection, next(each), tally)
    asyncio.run(tally.ask_late_ones_again())
    connection.close()
    return tally


def _send(row: str, connection: http.client.HTTPConnection, sent: Sent, tally: Tally) -> None:
    async def again() -> None:
        exchange(connection, sent)

    start = time.perf_counter()
    status, told, is_kept = exchange(connection, sent)
    elapsed_s = time.perf_counter() - start
    tally.inputs += 1
    if status >= HTTPStatus.BAD_REQUEST:
        tally.refused += 1
        tally.took(elapsed_s, row, again, sent)
    tally.reconnects += not is_kept
    if status not in _ELSEWHERE:
        tally.reached.add(row)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        tally.find(row, f"answers {status}", sent)
    for leak in leaks(told, sent.bytes()):
        tally.find(row, f"tells {leak!r}", sent)


def exchange(connection: http.client.HTTPConnection, sent: Sent) -> tuple[int, str, bool]:
    """Returns the status, all of the answer as text, and whether the connection was kept, where it should be."""
    was_kept = connection.sock is not None
    try:
        connection.request(sent.method, sent.target, sent.body, dict(sent.headers))
        answer = connection.getresponse()
    except ConnectionError:
        # A connection ends with the answer to a body that is too long, which may come before all of it is sent.
        connection.close()
        return (_CUT_OFF if len(sent.body or b"") > MAX_BODY_BYTES else 0), "", not was_kept
    text = f"{answer.headers}\n{answer.read().decode('latin-1')}"
    return answer.status, text, not answer.will_close or answer.status == _CUT_OFF
