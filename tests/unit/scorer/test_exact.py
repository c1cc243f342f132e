"""The best k under filters, history, exclusions and corrections, held against plain Python over every video.

Issue 6: exact under filters, the top-k after the filter, not what is left of an unfiltered top-k.
"""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.models.model_bundle import ModelBundle
from scorer.domain.corrections import Correction, Kind, Part
from scorer.domain.filters import Filters
from scorer.domain.ranker import Ranker
from scorer.domain.wish import Stages, Wish
from tests.model_bundles import arrays_of, manifest_of

VIDEOS = [f"v{number:02}" for number in range(24)]
AUTHORS, TAGS, LANGUAGES, COUNTRIES = (
    ["ann", "bob", "eve"],
    ["cats", "dogs", "fun"],
    ["de", "en", "pt-br"],
    ["AT", "GB"],
)

Facts = dict[str, Any]


def some(names: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from([*names, "other"]), max_size=2, unique=True)


def video(dice: Random) -> Facts:
    """What the catalogue knows of one video; of each thing it may know nothing."""
    known = {
        "author": dice.choice(AUTHORS),
        "tags": dice.sample(TAGS, dice.randint(0, 3)),
        "language": dice.choice(LANGUAGES),
        "country": dice.choice(COUNTRIES),
        "duration_s": dice.randint(1, 5),
        "published_ms": dice.randint(0, 5),
    }
    facts = {name: value for name, value in known.items() if dice.random() < 0.8}
    return facts | {"prior": dice.randint(-20, 20), "active": dice.random() < 0.8}


# Drawn from a number: drawn field by field they would take most of the test's time.
catalogues = st.integers(0, 2**32).map(Random).map(lambda dice: [video(dice) for _ in VIDEOS])
filters = st.builds(
    Filters,
    include_tags=some(TAGS),
    exclude_tags=some(TAGS),
    exclude_author_ids=some(AUTHORS),
    languages=some(LANGUAGES),
    max_duration_s=st.sampled_from([0, 0, 3, 4]),
    published_after_ms=st.sampled_from([None, None, 2]),
    include_author_ids=some(AUTHORS),
    exclude_languages=some(LANGUAGES),
    min_duration_s=st.sampled_from([0, 0, 2]),
    published_before_ms=st.sampled_from([None, None, 4]),
    countries=some(COUNTRIES),
)
corrections = st.builds(
    Correction,
    kind=st.sampled_from(Kind),
    value=st.integers(-9, 9).map(float),
    video_id=st.sampled_from(["", "", *VIDEOS]),
    author_id=st.sampled_from(["", *AUTHORS]),
    tag=st.sampled_from(["", *TAGS]),
    language=st.sampled_from(["", *LANGUAGES]),
    part=st.sampled_from(Part),
)
wishes = st.builds(
    Wish,
    user_id=st.just("up"),
    k=st.integers(1, 30),
    filters=st.one_of(st.just(Filters()), filters),
    exclude_video_ids=some(VIDEOS),
    excluded_text=some(VIDEOS).map("\n".join),
    corrections=st.lists(corrections, max_size=4),
    stages=st.builds(Stages, skip_prior=st.booleans(), skip_seen=st.booleans()),
    parts=st.sampled_from([0, 5]),
)


def may_appear(video: Facts, asked: Filters) -> bool:
    """The rules as they are written, one by one."""
    tags, author, language = set(video.get("tags", ())), video.get("author"), video.get("language")
    duration_s, published_ms = video.get("duration_s"), video.get("published_ms")
    return all(
        (
            not asked.include_tags or tags & set(asked.include_tags),
            not tags & set(asked.exclude_tags),
            not asked.include_author_ids or author in asked.include_author_ids,
            author not in asked.exclude_author_ids,
            not asked.languages or language in asked.languages,
            not asked.exclude_languages or (language is not None and language not in asked.exclude_languages),
            not asked.countries or video.get("country") in asked.countries,
            not asked.max_duration_s or (duration_s is not None and duration_s <= asked.max_duration_s),
            not asked.min_duration_s or (duration_s is not None and duration_s >= asked.min_duration_s),
            asked.published_after_ms is None or (published_ms is not None and published_ms >= asked.published_after_ms),
            asked.published_before_ms is None
            or (published_ms is not None and published_ms < asked.published_before_ms),
        )
    )


def is_for(correction: Correction, name: str, video: Facts) -> bool:
    return (
        correction.video_id in ("", name)
        and correction.author_id in ("", video.get("author"))
        and correction.language in ("", video.get("language"))
        and (not correction.tag or correction.tag in video.get("tags", ()))
    )


def score_of(place: int, video: Facts, wish: Wish, meant: list[Correction]) -> float:
    """User "up" gives video i the score i; the user's bias is 3."""
    parts = {Part.USER_ITEM: float(place), Part.ITEM_BIAS: 0.0, Part.PRIOR: float(video["prior"])}
    if wish.stages.skip_prior:
        parts[Part.PRIOR] = 0.0
    for each in meant:
        if each.kind is Kind.REWEIGHT and each.part:
            parts[each.part] *= each.value
    boosts = sum(each.value for each in meant if each.kind is Kind.BOOST)
    return sum(parts.values()) + 3 + boosts - sum(each.value for each in meant if each.kind is Kind.REDUCE)


def brute_force(catalogue: list[Facts], seen: list[str], wish: Wish) -> list[tuple[str, float]]:
    found = []
    for place, (name, video) in enumerate(zip(VIDEOS, catalogue, strict=True)):
        meant = [each for each in wish.corrections if is_for(each, name, video)]
        kept_off = [
            not video["active"],
            name in seen and not wish.stages.skip_seen,
            name in wish.exclude_video_ids,
            name in wish.excluded_text.split("\n"),
            not may_appear(video, wish.filters),
            any(each.kind is Kind.BLOCK for each in meant),
        ]
        if not any(kept_off):
            found.append((name, score_of(place, video, wish, meant)))
    return sorted(found, key=lambda each: (-each[1], each[0]))[: wish.k]


@settings(max_examples=200)
@given(catalogue=catalogues, seen=some(VIDEOS), wish=wishes)
def test_the_best_k_equal_brute_force(catalogue: list[Facts], seen: list[str], wish: Wish) -> None:
    arrays = arrays_of(
        {"up": (3.0, 1.0, 0.0)},
        VIDEOS,
        seen={"up": [name for name in seen if name in VIDEOS]},
        prior=[facts["prior"] for facts in catalogue],
        catalogue=dict(zip(VIDEOS, catalogue, strict=True)),
    )
    ranker = Ranker(ModelBundle(manifest_of(), arrays))
    found = ranker.rank(wish, ranker.buffer())
    expected = brute_force(catalogue, seen, wish)
    assert found.video_ids == [name for name, _ in expected]
    assert found.scores == pytest.approx([score for _, score in expected])
