"""The names of trending's segments: who writes them and who reads them must agree."""

import re
from typing import Final

# The segment that holds everybody.
GLOBAL_SEGMENT: Final = "global"

# Longest name with it: 13 characters, of the 16 that `trending.segment` has.
_LANGUAGE_PREFIX: Final = "lang:"

# A language (BCP 47: the first part of a locale, 2 to 8 letters); what follows says where or how it is written.
_LANGUAGE: Final = re.compile(r"([A-Za-z]{2,8})(?:[-_].*)?", re.ASCII)


def language_of(locale: str | None) -> str:
    """Returns a locale's language, "en" for "en-GB"; empty when it names none."""
    found = _LANGUAGE.fullmatch(locale) if locale else None
    return found[1].lower() if found else ""


def language_segment(locale: str | None) -> str | None:
    """Returns the segment of a locale's language, "lang:en" for "en-GB"; None when it names none."""
    language = language_of(locale)
    return _LANGUAGE_PREFIX + language if language else None


def is_language(segment: str) -> bool:
    """Says whether a segment is a language's."""
    return segment.startswith(_LANGUAGE_PREFIX)


def segments_of(country: str | None, locale: str | None) -> tuple[str, ...]:
    """Returns the segments that what a user does counts in.

    Args:
        country: The user's two-letter country; None or empty: unknown.
        locale: The user's locale (BCP 47); None or empty: unknown.
    """
    return tuple(filter(None, (GLOBAL_SEGMENT, country, language_segment(locale))))
