"""Every stage switched off by its setting, one at a time and all at once, and the page is still valid (issue 6)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.settings import BridgeSettings
from feed.interactions.v1.interactions_pb2 import LIKE, Interaction
from feed.recommendations.v1 import recommendations_pb2 as pb
from runtime.models import bundle_files
from runtime.process import Service
from runtime.secrets.signing import load_or_create_private_key
from runtime.settings import load
from scorer.app import build
from scorer.settings import ScorerSettings
from tests.integration.bridge.conftest import RunningBridge, StartBridge
from tests.model_bundles import arrays_of, manifest_of
from tests.polling import until

PAGE_SIZE = 20
# Those of the bridge's small catalogue that are active.
VIDEOS = sorted(f"{letter}{number:02}" for letter in "et" for number in range(40))

ON: dict[str, object] = {
    "shuffle": 0.3,
    "diversity": 0.3,
    "max_run": 2,
    "exploration": 0.1,
    "precomputed_enabled": True,
    "hedge_enabled": True,
}
OFF: dict[str, object] = {
    "shuffle": 0,
    "diversity": 0,
    "max_run": 0,
    "exploration": 0,
    "prior_enabled": False,
    "fold_in_enabled": False,
    "recent_events": 0,
    "corrections_poll_ms": 0,
    "strangers": 0,
    "seen_watched_h": 0,
    "seen_skipped_h": 0,
    "seen_hidden_h": 0,
    "seen_served_h": 0,
    "served_enabled": False,
    "trending_rising": 0,
    "precomputed_enabled": False,
    "hedge_enabled": False,
    "batch_users": 1,
    "breaker_enabled": False,
    "limit_enabled": False,
    "max_retries": 0,
}
CASES = [
    pytest.param({}, id="everything on"),
    *(pytest.param({name: value}, id=f"{name} off") for name, value in OFF.items()),
    pytest.param(OFF, id="everything off"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a model of the bridge's catalogue."""
    folder = tmp_path_factory.mktemp("models")
    catalogue = {
        each: {"author": "ann" if int(each[1:]) % 2 == 0 else "bob", "tags": [each[0]], "published_ms": 10**12 + place}
        for place, each in enumerate(VIDEOS)
    }
    arrays = arrays_of(
        {"u1": (0.0, 1.0, 0.0), "u2": (0.0, -1.0, 0.0)},
        VIDEOS,
        seen={"u1": ["t01"]},
        prior=[place % 7 for place in range(len(VIDEOS))],
        history={"u1": ["t01", "e05"]},
        catalogue=catalogue,
    )
    key = load_or_create_private_key(folder / "keys" / "model_signing.pem")
    bundle_files.publish(folder / "models", manifest_of("m1"), arrays, key)
    bundle_files.promote(folder / "models", "m1")
    return folder


@pytest.fixture
async def target(models: Path) -> AsyncIterator[str]:
    """A real scorer with the model."""
    settings = load(ScorerSettings, {"FEED_DATA_DIR": str(models)})
    async with Service("scorer", build(settings), grpc_port=0, http_port=0) as service:
        yield f"127.0.0.1:{service.grpc_port}"


def problems(pages: list[pb.GetRecommendationsResponse]) -> list[str]:
    """Says what is wrong with the first pages of a session."""
    items = [list(page.recommendations) for page in pages]
    videos = [item.video_id for page in items for item in page]
    scores = [[item.score for item in page] for page in items]
    rules = {
        "a page is not whole": all(len(page) == PAGE_SIZE for page in items),
        "a video came twice": len(set(videos)) == len(videos),
        "a video is not in the catalogue": set(videos) <= set(VIDEOS),
        "places are missing": [item.position for page in items for item in page] == list(range(1, len(videos) + 1)),
        "scores rise": all(page == sorted(page, reverse=True) for page in scores),
        "it does not go on": all(page.next_page_token for page in pages),
    }
    return [name for name, holds in rules.items() if not holds]


async def scroll(bridge: RunningBridge, user_id: str, **fields: Any) -> list[pb.GetRecommendationsResponse]:
    """Asks for the first two pages of a session."""
    first = await bridge.page(user_id, page_size=PAGE_SIZE, **fields)
    return [first, await bridge.page(user_id, page_size=PAGE_SIZE, page_token=first.next_page_token, **fields)]


@pytest.mark.parametrize("off", CASES)
async def test_the_page_is_valid(start_bridge: StartBridge, target: str, off: dict[str, object]):
    like = Interaction(user_id="u1", video_id="e07", interaction_type=LIKE)
    like.timestamp.GetCurrentTime()
    async with start_bridge(target, **{**ON, **off}) as bridge:
        await until(lambda: _is_personal(bridge), expected=True)
        ranked = await scroll(bridge, "u1", recent_interactions=[like], explain=True)
        trending = await scroll(bridge, "nobody")

    assert problems(ranked) == []
    assert {page.source for page in ranked} == {pb.LIGHTFM}
    assert all("e07" not in {item.video_id for item in page.recommendations} for page in ranked)
    assert problems(trending) == []
    assert {page.source for page in trending} == {pb.TRENDING}


async def _is_personal(bridge: RunningBridge) -> bool:
    return (await bridge.page("u2", page_size=1)).source == pb.LIGHTFM


def test_every_switch_of_a_stage_is_here():
    """A new stage of scorers must come with its switch, and the switch with its case above."""
    stages = load(BridgeSettings, {f"FEED_BRIDGE_{name.upper()}": str(value) for name, value in OFF.items()})
    off = stages.wish_policy().stages
    assert not stages.refresh_policy().newcomers
    assert (off.shuffle, off.diversity, off.max_run, off.exploration) == (0, 0, 0, 0)
    assert (off.skip_prior, off.skip_fold_in) == (True, True)
