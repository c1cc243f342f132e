from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from interactions.bulk import kuairand_rows as rows_of
from interactions.bulk.csv_source import BadRowError, CsvFile
from interactions.bulk.rows import Row, event_id

WriteCsv = Callable[[Sequence[str]], CsvFile]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TIME_MS = 1650812741436
TIME = datetime(2022, 4, 24, 15, 5, 41, 436000, tzinfo=UTC)
EVENT = {
    "user_id": "1",
    "video_id": "2",
    "time_ms": str(TIME_MS),
    "play_time_ms": "61802",
    "duration_ms": "49866",
    "long_view": "1",
    **dict.fromkeys(("is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate"), "0"),
}


def events(write: WriteCsv, **changed: str) -> list[Row]:
    file = write([",".join(EVENT)])
    return rows_of.EventRows(file, {"1"}, {"2"}, NOW)(list((EVENT | changed).values()))


def history(write: WriteCsv, kind: str, back: str = "3", user: str = "1", video: str = "2") -> list[Row]:
    file = write(["user_id,kind,back,video_id"])
    mapper = rows_of.HistoryRows(file, {"1": TIME_MS}, {"2": 12.5, "3": None, "4": 9.0}, {("1", "4")}, NOW)
    return mapper([user, kind, back, video])


@pytest.mark.parametrize(
    ("play_ms", "duration_ms", "long_view", "skip"),
    [
        pytest.param(0, 10_000, False, True, id="not played"),
        pytest.param(2_999, 10_000, False, True, id="under 3 s"),
        pytest.param(3_000, 10_000, False, False, id="3 s"),
        pytest.param(9_999, 100_000, False, True, id="under a tenth"),
        pytest.param(10_000, 100_000, False, False, id="a tenth"),
        pytest.param(2_000, 1_900, True, False, id="short but whole"),
        pytest.param(5_000, 0, False, False, id="length unknown"),
    ],
)
def test_is_skip(play_ms: int, duration_ms: int, long_view: bool, skip: bool) -> None:
    assert rows_of.is_skip(play_ms, duration_ms, long_view=long_view) is skip


def test_an_exposure_becomes_a_view_with_its_watch_time(csv_file: WriteCsv) -> None:
    content = ",".join(EVENT.values())
    assert events(csv_file) == [
        (
            event_id(f"kuairand/events/VIEW/{content}"),
            *("1", "2", "VIEW", 61.802, TIME, NOW, None, None),
            '{"import":"kuairand","long_view":1}',
        )
    ]


@pytest.mark.parametrize(
    ("changed", "kinds"),
    [
        pytest.param({"play_time_ms": "0", "long_view": "0"}, ["SKIP"], id="not played"),
        pytest.param({"is_click": "1", "is_like": "1"}, ["VIEW", "CLICK", "LIKE"], id="click and like"),
        pytest.param({"is_follow": "1", "is_comment": "1"}, ["VIEW", "FOLLOW", "COMMENT"], id="follow and comment"),
        pytest.param({"is_forward": "1", "is_hate": "1"}, ["VIEW", "SHARE", "HIDE"], id="forward and hate"),
    ],
)
def test_feedback_flags_become_interactions_of_their_own(
    csv_file: WriteCsv, changed: dict[str, str], kinds: list[str]
) -> None:
    found = events(csv_file, **changed)
    assert [row[3] for row in found] == kinds
    assert {row[5] for row in found} == {TIME}
    assert len({row[0] for row in found}) == len(kinds)


def test_watch_time_is_capped_at_the_contract_s_bound(csv_file: WriteCsv) -> None:
    assert events(csv_file, play_time_ms="100000000")[0][4] == 86_400.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"user_id": "9"}, "user_id '9' is unknown", id="unknown user"),
        pytest.param({"video_id": ""}, "video_id '' is unknown", id="no video"),
        pytest.param({"time_ms": "-5"}, "time_ms is -5, not in 0", id="negative time"),
        pytest.param({"time_ms": "soon"}, "time_ms is 'soon', not a whole number", id="no number"),
        pytest.param({"play_time_ms": "-1"}, "play_time_ms is -1, not in 0", id="negative watch time"),
        pytest.param({"is_like": "2"}, "is_like is '2', not 0 or 1", id="no flag"),
    ],
)
def test_a_bad_exposure_is_refused_by_column(csv_file: WriteCsv, changed: dict[str, str], message: str) -> None:
    with pytest.raises(BadRowError, match=message):
        events(csv_file, **changed)


@pytest.mark.parametrize(
    ("kind", "video", "expected"),
    [
        pytest.param("long_view", "2", ("VIEW", 12.5), id="long view of a known length"),
        pytest.param("long_view", "3", ("VIEW", 18.0), id="long view of an unknown length"),
        pytest.param("like", "2", ("LIKE", 0.0), id="like"),
        pytest.param("exposed", "2", ("VIEW", 0.0), id="exposed"),
    ],
)
def test_history_rows_happen_a_minute_apart_before_the_last_time(
    csv_file: WriteCsv, kind: str, video: str, expected: tuple[str, float]
) -> None:
    (row,) = history(csv_file, kind, video=video)
    assert row[1:6] == ("1", video, *expected, datetime(2022, 4, 24, 15, 2, 41, 436000, tzinfo=UTC))
    assert row[9] == f'{{"import":"history","kind":"{kind}"}}'


def test_an_exposure_with_a_long_view_of_the_same_video_is_left_out(csv_file: WriteCsv) -> None:
    assert history(csv_file, "exposed", video="4") == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"kind": "seen"}, "kind is 'seen', not one of exposed, long_view, like", id="unknown kind"),
        pytest.param({"kind": "like", "back": "-1"}, "back is -1, not in 0", id="negative place"),
        pytest.param({"kind": "like", "user": "7"}, "user_id '7' is unknown", id="unknown user"),
        pytest.param({"kind": "like", "video": "7"}, "video_id '7' is unknown", id="unknown video"),
    ],
)
def test_a_bad_history_row_is_refused_by_column(csv_file: WriteCsv, changed: dict[str, str], message: str) -> None:
    with pytest.raises(BadRowError, match=message):
        history(csv_file, **changed)


def video(write: WriteCsv, **changed: str) -> Row:
    row = {"video_id": "7", "author_id": "70", "upload_dt": "2022-04-10", "visible_status": "0.0"}
    row |= {"video_duration": "87433.0", "tag": "20,67"} | changed
    return rows_of.video_row(write([",".join(row)]), list(row.values()))


def test_a_video_keeps_author_length_tags_and_upload_date(csv_file: WriteCsv) -> None:
    # The date is local, UTC+8.
    published = datetime(2022, 4, 9, 16, tzinfo=UTC)
    assert video(csv_file) == ("7", "", "70", 87.433, '["20","67"]', "", "", published, True)


@pytest.mark.parametrize(
    ("changed", "place", "value"),
    [
        pytest.param({"video_duration": ""}, 3, None, id="no length"),
        pytest.param({"video_duration": "0.0"}, 3, None, id="length zero"),
        pytest.param({"tag": ""}, 4, "[]", id="no tags"),
        pytest.param({"upload_dt": ""}, 7, None, id="no date"),
        pytest.param({"visible_status": "1.0"}, 8, False, id="hidden"),
    ],
)
def test_a_video_may_lack_what_the_data_set_lacks(
    csv_file: WriteCsv, changed: dict[str, str], place: int, value: object
) -> None:
    assert video(csv_file, **changed)[place] == value


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"video_id": ""}, "video_id is empty", id="no id"),
        pytest.param({"video_duration": "long"}, "video_duration is 'long', not a number", id="no number"),
        pytest.param({"video_duration": "nan"}, "video_duration is nan, not in", id="nan"),
        pytest.param({"upload_dt": "10.4.2022"}, "upload_dt is '10.4.2022', not YYYY-MM-DD", id="no date"),
    ],
)
def test_a_bad_video_is_refused_by_column(csv_file: WriteCsv, changed: dict[str, str], message: str) -> None:
    with pytest.raises(BadRowError, match=message):
        video(csv_file, **changed)


def test_a_user_keeps_the_features_that_are_known(csv_file: WriteCsv) -> None:
    file = csv_file(["user_id,age,zone"])
    assert rows_of.user_row(file, ["5", "30", ""]) == ("5", '{"age":"30"}', "", "", True)
