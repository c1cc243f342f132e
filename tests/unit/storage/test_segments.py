"""The names of trending's segments."""

import pytest

from storage.segments import is_language, language_segment, segments_of

MOST = 16  # characters that the column `trending.segment` has


@pytest.mark.parametrize(
    ("locale", "segment"),
    [
        ("en", "lang:en"),
        ("en-GB", "lang:en"),
        ("zh_Hant_TW", "lang:zh"),
        ("PT-br", "lang:pt"),
        ("abcdefgh-x", "lang:abcdefgh"),
        ("", None),
        (None, None),
        ("e", None),
        ("abcdefghi", None),
        ("-GB", None),
        ("en1", None),
        ("éé", None),
        ("en-GB\n", None),
    ],
)
def test_a_language_is_the_first_part_of_a_locale(locale: str | None, segment: str | None) -> None:
    assert language_segment(locale) == segment
    assert segment is None or (is_language(segment) and len(segment) <= MOST)


@pytest.mark.parametrize(
    ("country", "locale", "expected"),
    [
        ("GB", "en-GB", ("global", "GB", "lang:en")),
        ("", "en", ("global", "lang:en")),
        ("GB", "", ("global", "GB")),
        (None, None, ("global",)),
    ],
)
def test_what_a_user_does_counts_for_everybody_the_country_and_the_language(
    country: str | None, locale: str | None, expected: tuple[str, ...]
) -> None:
    assert segments_of(country, locale) == expected
    assert not any(is_language(segment) for segment in expected[:-1])
