"""S11: whatever callers write into texts, a log record stays one line and one JSON object, and metrics stay few.

Line breaks, control sequences of terminals, JSON and marks that turn the direction of text go into every text of every
request, and into headers. The processes log every call.
"""

import http.client
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import grpc
from google.protobuf import json_format

from tests.chaos.conftest import Reporter
from tests.fuzzing.messages import ordinary, with_text
from tests.fuzzing.routes import FIELDS, MESSAGES, QUERY, Sent, exchange
from tests.fuzzing.rpcs import LEFT_OUT, METHODS
from tests.fuzzing.site import Site

TARGET = "0 broken lines, 0 forged records, <= 2,000 series under fuzz"
MOST_SERIES = 2_000
FORGED = "forged-by-a-caller"
MARKS = (
    f'\n{{"event": "{FORGED}", "level": "error"}}\n',
    f'\r\n{{"event": "{FORGED}"}}\r\n',
    f'"}}\n{{"event": "{FORGED}"}}',
    f'", "event": "{FORGED}", "a": "',
    "\x1b[2J\x1b[31m\x1b]0;title\x07\x9b1A\x08",
    "\u202e\u2066\u200f\ufeff",
    "\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e",
    "\x00",
)
# What breaks a line, moves a cursor or turns text round.
_BREAKING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def test_log_injection(servers: Site, report: Reporter, long: bool) -> None:
    marks = MARKS if long else ("".join(MARKS),)
    calls = write_into_rpcs(servers, marks) + write_into_routes(servers, marks)
    raw = [line.decode() for line in servers.log_lines()]
    broken = [line for line in raw if _BREAKING.search(line) or not is_record(line)]
    records = [json.loads(line) for line in raw if line not in broken]
    events = Counter(record["event"] for record in records)
    exposed = "".join(servers.metrics(name) for name in servers.processes)
    series = servers.series()
    report(
        "S11",
        "CR/LF, ANSI, JSON and direction marks in every text",
        target=TARGET,
        met=not broken and not events[FORGED] and max(series.values()) <= MOST_SERIES,
        calls=calls,
        log_lines=len(raw),
        broken_lines=len(broken),
        forged_records=events[FORGED],
        most_series_of_a_process=max(series.values()),
        **{f"series_of_{name}": count for name, count in series.items()},
    )
    assert broken == []
    assert events[FORGED] == 0
    assert FORGED not in exposed
    assert max(series.values()) <= MOST_SERIES
    assert events["rpc.ended"] + events["http.ended"] >= calls, "else nothing of it was logged"


def is_record(line: str) -> bool:
    """Says whether a line is a whole record."""
    try:
        record: dict[str, object] = json.loads(line)
    except ValueError:
        return False
    return {"event", "level", "timestamp"} <= record.keys()


def write_into_rpcs(servers: Site, marks: Sequence[str]) -> int:
    """Sends each mark in each text of each request; returns how many calls that were."""
    calls = 0
    for process, path in servers.rpcs():
        if path in LEFT_OUT:
            continue
        method = METHODS[path]
        whole = ordinary(method.input_type, random.Random(1), share=1.0)
        with grpc.insecure_channel(servers.processes[process].target) as channel:
            call = getattr(channel, "stream_unary" if method.client_streaming else "unary_unary")(path)
            for mark in marks:
                for sent in (whole.SerializeToString(), *with_text(whole, mark)):
                    given = (("x-request-id", FORGED + '"}'), ("traceparent", FORGED), ("mark-bin", mark.encode()))
                    call.future(iter([sent]) if method.client_streaming else sent, metadata=given).exception()
                    calls += 1
    return calls


def write_into_routes(servers: Site, marks: Sequence[str]) -> int:
    """Sends each mark in each parameter, field of a form and part of a path; returns how many calls that were."""
    calls = 0
    for process, row in servers.routes():
        method, _, path = row.partition(" ")
        connection = http.client.HTTPConnection("127.0.0.1", servers.processes[process].http_port, timeout=30)
        for mark in marks:
            for target, kind, body in marked(method, path, mark):
                headers = {"x-request-id": FORGED + '"}', "traceparent": FORGED, "sec-fetch-site": "same-origin"}
                exchange(connection, Sent(method, target, headers | {"content-type": kind}, body))
                calls += 1
        connection.close()
    return calls


def marked(method: str, path: str, mark: str) -> Iterator[tuple[str, str, bytes | None]]:
    """Yields targets with a mark in them, and for a POST bodies, each with its type."""
    text = quote(mark, safe="")
    named = re.sub(r"\{[^}]*\}", "a", path)
    if method != "POST":
        yield re.sub(r"\{[^}]*\}", text, path), "", None
        yield from ((f"{named}?userId=u1&{name}={text}", "", None) for name in QUERY)
        yield f"{named}?{text}={text}", "", None
        return
    descriptor = next((found for end, found in MESSAGES.items() if path.endswith(end)), None)
    if descriptor is None:
        form = "&".join(f"{name}={text}" for name in FIELDS)
        yield named, "application/x-www-form-urlencoded", form.encode()
        return
    whole = ordinary(descriptor, random.Random(1), share=1.0)
    for sent in with_text(whole, mark):
        body = json_format.MessageToJson(type(whole).FromString(sent))
        yield re.sub(r"\{[^}]*\}", text, path), "application/json", body.encode()
    yield named, "application/json", json.dumps({mark: mark}).encode()
    yield named, "application/json", mark.encode()
