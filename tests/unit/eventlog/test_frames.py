"""R21: whatever happens to a segment's bytes, every frame that nothing happened to is found, and no other."""

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.domain import frames
from eventlog.domain import headers as packed_headers
from eventlog.domain.frames import MAGIC, Frame
from eventlog.ports import Headers, Record, RecordTooLargeError

FIRST = 1_763_747_000_000_000
NOW_MS = 1_763_747_000_123

texts = st.text(max_size=12)
# Values that look like frames are the hard ones.
values = st.lists(st.sampled_from([MAGIC, MAGIC[:2], b"\x00" * 9, b"{}", b"\xff"]) | st.binary(max_size=40), max_size=4)
names = texts | st.sampled_from(["contract-version", "content-type", "traceparent"])
header_values = st.binary(max_size=12) | st.just(b"application/json")
headers = st.lists(st.tuples(names, header_values), max_size=3)
records = st.builds(lambda key, value, found: Record("t", key, b"".join(value), tuple(found)), texts, values, headers)


def encoded(found: list[Record], position: int = 0) -> list[bytes]:
    parts: list[bytes] = []
    for number, record in enumerate(found):
        place = frames.place_of(FIRST, position + sum(map(len, parts)))
        parts.append(frames.encode(record, FIRST + number, NOW_MS, place))
    return parts


def decoded(frame: Frame) -> Record:
    return Record("t", frame.key.decode(errors="surrogateescape"), frame.value, packed_headers.decode(frame.headers))


def scanned(data: bytes, position: int = 0, *, whole: bool = True) -> list[Frame]:
    return list(frames.scan(data, frames.place_of(FIRST, position), whole=whole))


@given(st.lists(records, max_size=6))
def test_what_goes_in_comes_out(written: list[Record]) -> None:
    found = scanned(b"".join(encoded(written)))

    assert [decoded(frame) for frame in found] == written
    assert [frame.offset for frame in found] == list(range(FIRST, FIRST + len(written)))
    assert {frame.append_time_ms for frame in found} <= {NOW_MS}
    assert all(one.end == next_one.start for one, next_one in pairwise(found))


@given(st.lists(records, min_size=1, max_size=6), st.data())
def test_a_cut_loses_only_what_it_hits(written: list[Record], data: st.DataObject) -> None:
    parts = encoded(written)
    ends = list(accumulate(map(len, parts)))
    cut = data.draw(st.integers(0, ends[-1]))

    found = scanned(b"".join(parts)[:cut])

    assert [decoded(frame) for frame in found] == written[: sum(end <= cut for end in ends)]


@given(st.lists(records, min_size=1, max_size=6), st.data())
def test_changed_bytes_lose_only_the_frames_that_hold_them(written: list[Record], data: st.DataObject) -> None:
    parts = encoded(written)
    ends = list(accumulate(map(len, parts)))
    places = data.draw(st.sets(st.integers(0, ends[-1] - 1), min_size=1, max_size=4))
    damaged = bytearray(b"".join(parts))
    for place in places:
        damaged[place] ^= data.draw(st.integers(1, 255))
    starts = [0, *ends]
    intact = [
        number
        for number, (start, end) in enumerate(pairwise(starts))
        if not any(start <= each < end for each in places)
    ]

    found = scanned(bytes(damaged))

    assert [frame.offset - FIRST for frame in found] == intact
    assert [(frame.start, frame.end) for frame in found] == [(starts[number], ends[number]) for number in intact]


@given(st.lists(records, max_size=4), st.binary(max_size=50), st.binary(max_size=50))
def test_rubbish_before_and_after_hides_nothing(written: list[Record], before: bytes, after: bytes) -> None:
    found = scanned(before + b"".join(encoded(written, len(before))) + after)

    assert [decoded(frame) for frame in found] == written


@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_read_in_two_parts_gives_the_same(written: list[Record], data: st.DataObject) -> None:
    """While more follows, a frame that goes on is left for the next part, and nothing behind it is looked at."""
    everything = b"".join(encoded(written))
    cut = data.draw(st.integers(0, len(everything)))

    first = scanned(everything[:cut], whole=False)
    went_to = first[-1].end if first else 0
    rest = scanned(everything[went_to:], went_to)

    assert [decoded(frame) for frame in first + rest] == written


def test_a_length_that_lies_is_believed_only_while_more_may_follow() -> None:
    one, other = encoded([Record("t", "a", b"1"), Record("t", "b", b"2")])
    lying = one[:8] + (100_000).to_bytes(4, "little") + one[12:]

    assert scanned(lying + other, whole=False) == []
    assert [frame.key for frame in scanned(lying + other)] == [b"b"]


@given(st.lists(records, min_size=1, max_size=4), st.integers(1, 100))
def test_a_frame_is_one_only_where_it_was_written(written: list[Record], moved: int) -> None:
    """Not when a disk brings back another page, nor inside a value that somebody sent."""
    everything = b"".join(encoded(written))

    assert scanned(everything, moved) == []
    assert scanned(bytes(moved) + everything) == []


def test_the_magic_is_in_no_json_value() -> None:
    with pytest.raises(UnicodeDecodeError):
        MAGIC.decode()


def test_the_time_of_another_log_is_kept() -> None:
    (frame,) = scanned(frames.encode(Record("t", "k", b"v", (), 17), FIRST, NOW_MS, FIRST))

    assert frame.append_time_ms == 17


def test_an_event_takes_little_more_than_its_bytes() -> None:
    """1.2 million events of 300 bytes must fit 600 MB, R14."""
    told: Headers = (
        ("contract-version", b"v2025.9"),
        ("content-type", b"application/json"),
        ("traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),
    )

    assert len(frames.encode(Record("feed.interactions.v1", "user-1234", b"x" * 300, told), FIRST, NOW_MS, FIRST)) < 500


def test_a_record_beyond_all_limits_is_refused() -> None:
    with pytest.raises(RecordTooLargeError):
        frames.encode(Record("t", "k", b"x" * frames.MAX_FRAME_BYTES), FIRST, NOW_MS, FIRST)
