"""Users and videos with few positives: not learned, and put in by what was learned of others."""

import numpy as np
import pytest

from trainer.domain.cold import Minimums, NothingToLearnError, known_part, with_cold
from trainer.domain.dataset import Dataset, Lists, Positives, lists_of
from trainer.domain.model import FactorModel

# Who liked what, newest last: user 3 nothing, user 2 one video, video 2 by one user.
LIKED = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 1))
USERS, VIDEOS = 4, 3


def dataset() -> Dataset:
    user, video = np.array(LIKED, np.int32).T
    times = np.arange(len(LIKED), dtype=np.float64)
    positives = Positives(user, video, np.ones(len(LIKED), np.float32), times)
    seen = Lists(np.zeros(USERS + 1, np.int64), np.empty(0, np.int32))
    return Dataset(USERS, VIDEOS, positives, lists_of(USERS, user, video), seen, np.ones(VIDEOS))


def pairs(known: Dataset) -> list[tuple[int, int]]:
    return list(zip(known.positives.user.tolist(), known.positives.video.tolist(), strict=True))


def histories(known: Dataset) -> list[list[int]]:
    return [known.history.of(user).tolist() for user in range(USERS)]


@pytest.mark.parametrize(
    ("minimums", "learned", "described_by"),
    [
        pytest.param(Minimums(1, 1), list(LIKED), [[0, 1, 2], [0, 1], [1], []], id="everybody who liked anything"),
        pytest.param(Minimums(2, 1), list(LIKED[:5]), [[0, 1, 2], [0, 1], [1], []], id="a user with one like is cold"),
        pytest.param(
            Minimums(1, 2),
            [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1)],
            [[0, 1], [0, 1], [1], []],
            id="a video with one like is cold, and in no history",
        ),
        pytest.param(Minimums(3, 2), [(0, 0), (0, 1)], [[0, 1], [0, 1], [1], []], id="each is counted by itself"),
    ],
)
def test_only_what_is_liked_enough_is_learned(
    minimums: Minimums, learned: list[tuple[int, int]], described_by: list[list[int]]
) -> None:
    known = known_part(dataset(), minimums)
    assert pairs(known) == learned
    assert histories(known) == described_by
    assert (known.users, known.videos, known.recent_views.tolist()) == (USERS, VIDEOS, [1.0] * VIDEOS)


def test_nothing_to_learn_names_the_settings() -> None:
    with pytest.raises(NothingToLearnError, match="FEED_TRAINER_MIN_USER_POSITIVES=4 positives"):
        known_part(dataset(), Minimums(4, 1))


def fitted() -> FactorModel:
    """Numbers that all differ; columns (1, bias, embedding), (bias, 1, embedding), (0, bias, embedding)."""
    said = np.array([[0, 0.1, 1], [0, 0.2, 2], [0, 0.4, 4]], np.float32)
    users = np.array([[1, 0.5, 5], [1, 0.6, 6], [1, 0.7, 7], [1, 0.8, 8]], np.float32)
    return FactorModel(users, np.array([[0.1, 1, 3], [0.2, 1, 5], [-0.4, 1, 7]], np.float32), said)


def test_a_cold_user_is_described_by_the_likes_as_if_folded_in() -> None:
    """User 0's three likes, each over the square root of their number; of who liked nothing nothing is said."""
    model = fitted()
    found = with_cold(model, known_part(dataset(), Minimums(2, 1)))
    assert found.user_factors[:2].tolist() == model.user_factors[:2].tolist(), "these were learned"
    assert found.user_factors[2] == pytest.approx([1, 0.2, 2])
    assert found.user_factors[3].tolist() == [1, 0, 0]
    nobody = with_cold(model, known_part(dataset(), Minimums(3, 1)))
    assert nobody.user_factors[1] == pytest.approx([1, 0.3 / np.sqrt(2), 3 / np.sqrt(2)])


def test_a_cold_video_says_nothing_and_keeps_its_low_bias() -> None:
    model = fitted()
    found = with_cold(model, known_part(dataset(), Minimums(1, 2)))
    assert found.item_factors[2].tolist() == pytest.approx([-0.4, 1, 0])
    assert found.history_factors[2].tolist() == [0, 0, 0]
    assert found.item_factors[:2].tolist() == model.item_factors[:2].tolist()
    assert found.history_factors[:2].tolist() == model.history_factors[:2].tolist()
