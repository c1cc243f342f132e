"""The page of a correction, where what came of it takes too long, and what corrections are about in words."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import Request

from insights.correction_service import CorrectionService
from insights.page.corrections import CorrectionsPage, about
from insights.page.views import View
from insights.ports import CorrectionEffect, CorrectionStory, LedgerUnavailableError
from storage.audit import Actor
from storage.correction_rules import Rule
from storage.corrections import StoredCorrection

MADE = StoredCorrection(
    "c1",
    Rule("BLOCK", target_factor="language", target_value="de"),
    "why",
    "ann",
    True,
    datetime(2025, 9, 1, tzinfo=UTC),
)


class Slow:
    """Knows one correction, and cannot count what came of it in time."""

    async def create(self, rule: Rule, reason: str, admin: Actor) -> StoredCorrection:
        raise NotImplementedError

    async def deactivate(self, correction_id: str, admin: Actor) -> StoredCorrection | None:
        raise NotImplementedError

    async def newest(
        self, limit: int, *, include_inactive: bool, after: tuple[datetime, str] | None
    ) -> list[StoredCorrection]:
        raise NotImplementedError

    async def story(self, correction_id: str) -> CorrectionStory:
        assert correction_id == "c1"
        return CorrectionStory(MADE, [])

    async def effect(self, correction_id: str, window: timedelta) -> CorrectionEffect | None:
        raise LedgerUnavailableError(f"{correction_id}: {window}")


def test_what_takes_too_long_is_left_out_and_the_rest_is_there() -> None:
    page = CorrectionsPage(Slow(), CorrectionService(Slow()))
    handler = next(door.handler for door in page.doors if door.path == "/corrections/{correction_id}")
    scope = {"type": "http", "query_string": b"window=720", "path_params": {"correction_id": "c1"}, "headers": []}

    async def show() -> object:
        return await handler(Request(scope))

    shown = asyncio.run(show())
    assert isinstance(shown, View)
    found = {name: shown.values[name] for name in ("correction", "effect", "window", "about")}
    assert found == {"correction": MADE, "effect": None, "window": "720", "about": "language de"}


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule("BLOCK", video_id="v1"), "video v1"),
        (Rule("BOOST", "", "v1", "", "author", "ann"), "video v1, author ann"),
        (Rule("REWEIGHT", target_factor="prior"), "part prior"),
        (Rule("REWEIGHT"), "all videos"),
    ],
)
def test_what_it_is_about_is_told_in_words(rule: Rule, text: str) -> None:
    assert about(rule.target_factor, rule.target_value, rule.video_id) == text
