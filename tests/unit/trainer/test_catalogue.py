"""The catalogue beside the videos of a log."""

import numpy as np

from runtime.models.model_bundle import text_table
from trainer.adapters.log_duckdb import DuckDbLog
from trainer.domain.catalogue import Video, catalogue_arrays, with_catalogue
from trainer.domain.signal import Kind


def test_videos_that_nobody_watched_join_the_log_and_its_own_stay() -> None:
    log = DuckDbLog(
        text_table(["u"]),
        text_table(["b", "x"]),
        np.array([0, 0], np.int32),
        np.array([0, 1], np.int32),
        np.array([Kind.VIEW, Kind.LIKE], np.int8),
        np.zeros(2, np.float32),
        np.zeros(2, np.float32),
        np.zeros(2),
    )
    joined = with_catalogue(log, [Video("a-long-one"), Video("b")])
    assert isinstance(joined, DuckDbLog)
    assert [text.decode() for text in joined.video_ids] == ["a-long-one", "b", "x"]
    assert joined.video.tolist() == [1, 2]


def test_the_catalogue_in_the_order_of_the_table() -> None:
    videos = [
        Video("b", "author", 12.5, ["fun", "cats"], "en-GB", 1000, is_active=False, country="gb"),
        Video("a", "", None, [], "", None),
    ]
    arrays = catalogue_arrays(text_table(["a", "b", "c"]), videos)
    assert [text.decode() for text in arrays.authors] == ["author"]
    assert arrays.item_author.tolist() == [-1, 0, -1]
    assert [text.decode() for text in arrays.languages] == ["en-gb"]
    assert arrays.item_language.tolist() == [-1, 0, -1]
    assert [text.decode() for text in arrays.countries] == ["GB"]
    assert arrays.item_country.tolist() == [-1, 0, -1]
    assert [text.decode() for text in arrays.tags] == ["cats", "fun"]
    assert arrays.tag_offsets.tolist() == [0, 0, 2, 2]
    assert arrays.item_tags.tolist() == [1, 0]
    assert arrays.item_duration_s.tolist() == [-1.0, 12.5, -1.0]
    assert arrays.item_published_ms.tolist() == [-1, 1000, -1]
    assert arrays.item_active.tolist() == [True, False, True], "a video that nobody announced is active"


def test_no_catalogue_at_all() -> None:
    arrays = catalogue_arrays(text_table(["a"]), [])
    assert (len(arrays.authors), len(arrays.tags), arrays.item_active.tolist()) == (0, 0, [True])
