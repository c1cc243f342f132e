"""What a history of 10,000 videos costs: the same bridge asked for users who have one and for users who have none."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import sqlalchemy as sa

from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc
from runtime.models import bundle_files
from runtime.models.model_bundle import ModelArrays
from runtime.secrets.signing import load_or_create_private_key
from storage.database import sync_engine, upgrade
from storage.tables import user_interactions, videos
from tests.bench import figures, ghz
from tests.chaos.processes import Running
from tests.chaos.watching import Sample, feed_of, read_metrics
from tests.model_bundles import arrays_of, manifest_of
from tests.polling import wait_for
from tests.system import free_ports

VIDEOS: Final = 20_000
DIMENSIONS: Final = 64
HISTORY: Final = 10_000
# Users of each kind. A history of 10,000 is rare: a few of them asked again and again are harder than any real load.
USERS: Final = 20
# A and B in turn, so that a machine that drifts does so for both; the median ratio is quoted.
ROUNDS: Final = 3
LOAD: Final = ("-c", "16", "--connections", "4", "-z", "5s")
CALL: Final = "feed.recommendations.v1.RecommendationService/GetRecommendations"
AT_LEAST: Final = 0.9
PAGES: Final = "feed_bridge_requests_total"

_ROWS_AT_A_TIME: Final = 10_000


def figure(folder: Path) -> None:
    """Measures with a history that the model was trained with, and with one that came after it all."""
    for what, is_trained in (("in the model", True), ("younger than the model", False)):
        here = folder / ("trained" if is_trained else "young")
        here.mkdir(parents=True)
        _fill(here)
        _publish(here, is_trained=is_trained)
        with _bridge(here) as (port, http_port):
            _check(port)
            for kind in "hn":
                _ask(port, kind)
            samples = [read_metrics(http_port)]
            pairs = []
            for _ in range(ROUNDS):
                loads = [_ask(port, "h")]
                samples.append(read_metrics(http_port))
                loads.append(_ask(port, "n"))
                samples.append(read_metrics(http_port))
                pairs.append((loads[0].rps, loads[1].rps))
        figures.ratio(
            "history",
            f"throughput for users with {HISTORY} watched videos, {what}, against users with none",
            "rps",
            pairs,
            at_least=AT_LEAST,
            personal_share=_personal_share(samples[::2], samples[1::2]),
            reference_personal_share=_personal_share(samples[1::2], samples[2::2]),
        )


def _personal_share(before: Sequence[Sample], after: Sequence[Sample]) -> float:
    """Returns which share of the pages between pairs of samples a scorer ranked: shed ones are quick to make."""
    pairs = list(zip(before, after, strict=False))
    pages = sum(first.growth(last, PAGES) for first, last in pairs)
    return sum(first.growth(last, PAGES, source="LIGHTFM") for first, last in pairs) / pages


def _ask(port: int, kind: str) -> ghz.Load:
    data = f'{{"user_id":"{kind}{{{{randomInt 1 {USERS + 1}}}}}","page_size":20}}'
    return ghz.run(port, CALL, "-d", data, *LOAD)


def _check(port: int) -> None:
    """Waits until both kinds get their own pages, and the history of the one keeps its videos off."""
    watched = set(_watched())

    def shown(feed: recommendations_pb2_grpc.RecommendationServiceStub, user_id: str) -> int | None:
        page = feed.GetRecommendations(pb.GetRecommendationsRequest(user_id=user_id, page_size=100), timeout=2.0)
        found = watched & {item.video_id for item in page.recommendations}
        return len(found) if page.source == pb.LIGHTFM else None

    with feed_of(port) as feed:
        wait_for(partial(shown, feed, "n1"), lambda count: count is not None and count > 0, bound_s=20)
        for user in range(1, USERS + 1):
            wait_for(partial(shown, feed, f"h{user}"), lambda count: count == 0, bound_s=20)


def _video_ids() -> list[str]:
    return [f"video-{number:06}" for number in range(VIDEOS)]


def _watched() -> list[str]:
    return _video_ids()[::2][:HISTORY]


def _fill(folder: Path) -> None:
    """Writes the catalogue, and the views of those who have watched every other video."""
    url = f"sqlite:///{folder / 'feed.db'}"
    upgrade(url)
    engine = sync_engine(url)
    now = datetime.now(UTC)
    catalogue = [
        {"video_id": each, "tags": [], "published_at": now - timedelta(days=40), "is_active": True}
        for each in _video_ids()
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(videos), catalogue)
        for user in range(1, USERS + 1):
            connection.execute(sa.insert(user_interactions), _views(user, now))
    engine.dispose()


def _views(user: int, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"00000000-0000-4000-{user:04}-{number:012}",
            "user_id": f"h{user}",
            "video_id": video_id,
            "interaction_type": "VIEW",
            "watch_time_s": 20.0,
            "event_time": now - timedelta(days=20, seconds=-number),
            "ingest_time": now - timedelta(days=20, seconds=-number),
        }
        for number, video_id in enumerate(_watched())
    ]


def _publish(folder: Path, *, is_trained: bool) -> None:
    """Publishes a model that was trained with all the views, or before the first of them."""
    now = datetime.now(UTC)
    heavy, light = ([f"{kind}{user}" for user in range(1, USERS + 1)] for kind in "hn")
    seen: dict[str, Sequence[str]] = dict.fromkeys(heavy, _watched()) if is_trained else {}
    arrays = _drawn(arrays_of(dict.fromkeys((*heavy, *light), (0.0, 0.0, 0.0)), _video_ids(), seen=seen))
    until = now - timedelta(days=1 if is_trained else 30)
    manifest = manifest_of("m1", dimensions=DIMENSIONS, data_until=until, params={"history_length": 30})
    key = load_or_create_private_key(folder / "keys" / "model_signing.pem")
    bundle_files.publish(folder / "models", manifest, arrays, key)
    bundle_files.promote(folder / "models", "m1")


def _drawn(arrays: ModelArrays) -> ModelArrays:
    """Draws embeddings of the usual length by lot."""
    lot = np.random.default_rng(1)

    def rows(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return np.column_stack([np.ones((count, 2)), lot.normal(size=(count, DIMENSIONS))]).astype(np.float32)

    users, items = len(arrays.user_ids), len(arrays.video_ids)
    return dataclasses.replace(
        arrays,
        user_factors=rows(users),
        item_factors=rows(items),
        history_factors=rows(items),
        feature_factors=rows(0),
    )


@contextlib.contextmanager
def _bridge(folder: Path) -> Iterator[tuple[int, int]]:
    """A scorer and a bridge; gives the bridge's two ports.

    That pages are followed as sent is switched off: at this rate a few users would be sent the whole catalogue.
    """
    ports = free_ports()
    named = {name: str(next(ports)) for name in ("SCORER_GRPC", "SCORER_HTTP", "BRIDGE_GRPC", "BRIDGE_HTTP")}
    environ = {
        **{f"FEED_{name}_PORT": port for name, port in named.items()},
        "FEED_DATA_DIR": str(folder),
        "FEED_DRAIN_DELAY_MS": "0",
        "FEED_SCORER_TARGETS": f"127.0.0.1:{named['SCORER_GRPC']}",
        "FEED_BRIDGE_SEEN_SERVED_H": "0",
    }
    with contextlib.ExitStack() as closing:
        for name in ("scorer", "bridge"):
            grpc_port, http_port = (int(named[f"{name.upper()}_{kind}"]) for kind in ("GRPC", "HTTP"))
            process = Running(name, ("-m", name), environ, folder, grpc_port, http_port)
            closing.callback(process.stop)
            process.start()
        yield int(named["BRIDGE_GRPC"]), int(named["BRIDGE_HTTP"])
