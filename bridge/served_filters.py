"""What a request asked of every video, as the record of its page holds it."""

from collections.abc import Sequence
from typing import Final

from bridge.domain.served_record import instant
from feed.common.v1 import common_pb2

# Lists of words are kept up to here, in the order of the request; of ids only their number.
_MAX_WORDS: Final = 20
# No database takes one in a text, and no video has a tag with one.
_NUL: Final = "\0"

_WORDS: Final = {
    "include_tags": "includeTags",
    "exclude_tags": "excludeTags",
    "languages": "languages",
    "exclude_languages": "excludeLanguages",
    "countries": "countries",
}
_IDS: Final = {
    "include_author_ids": "includeAuthors",
    "exclude_author_ids": "excludeAuthors",
    "exclude_video_ids": "excludeVideos",
}
_NUMBERS: Final = {"min_duration_s": "minDurationS", "max_duration_s": "maxDurationS"}
_TIMES: Final = {"published_after": "publishedAfter", "published_before": "publishedBefore"}


def served_filters(filters: common_pb2.VideoFilters) -> dict[str, object]:
    """Returns the filters in short: empty when nothing was asked.

    Words (tags, languages, countries) are lists, of which the first 20 are kept; of ids their number is told; times are
    as in the record.
    """
    if not filters.ByteSize():
        return {}
    applied: dict[str, object] = {}
    for name, told in _WORDS.items():
        words: Sequence[str] = getattr(filters, name)
        if words:
            applied[told] = [word.replace(_NUL, "") for word in words[:_MAX_WORDS]]
    for name, told in _IDS.items():
        if ids := len(getattr(filters, name)):
            applied[told] = ids
    for name, told in _NUMBERS.items():
        if number := getattr(filters, name):
            applied[told] = number
    for name, told in _TIMES.items():
        if filters.HasField(name):  # type: ignore[arg-type]  # the stub wants a literal
            applied[told] = instant(getattr(filters, name).ToMilliseconds())
    return applied
