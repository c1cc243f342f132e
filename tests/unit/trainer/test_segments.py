"""Who is in which segment, and what is measured for it."""

import numpy as np

from trainer.domain.dataset import Dataset, Lists, Positives, lists_of
from trainer.domain.ranking import Rankings
from trainer.domain.ranking_metrics import PER_USER, Truth, measure
from trainer.domain.segments import ALL, NEW_VIDEOS, Segments, segments_of, users_in, values_by_segment

VIDEOS = 60
NDCG = PER_USER.index("ndcg_at_10")


def positives_of(*likes: int) -> Positives:
    """Users who liked so many videos each."""
    user = np.repeat(np.arange(len(likes)), likes).astype(np.int32)
    video = np.concatenate([np.arange(count) for count in likes]).astype(np.int32)
    return Positives(user, video, np.ones(len(user), np.float32), np.zeros(len(user)))


def seen_by(*users: int) -> Lists:
    """Videos that so many users met: the first by users 0 to n, and so on."""
    pairs = sorted((user, video) for video, count in enumerate(users) for user in range(count))
    user, video = np.array(pairs, np.int32).T
    return lists_of(30, user, video)


def test_users_are_parted_by_what_they_had_liked_and_videos_by_who_had_met_them() -> None:
    positives = positives_of(0, 1, 9, 10, 40)
    nothing = lists_of(30, np.empty(0, np.int32), np.empty(0, np.int32))
    train = Dataset(30, VIDEOS, positives, nothing, seen_by(19, 20, 30), np.zeros(VIDEOS))
    truth = Truth(np.array([0, 1, 2, 3, 4], np.int32), nothing, np.zeros(VIDEOS, np.int64))
    found = segments_of(train, truth)
    assert {name: chosen.tolist() for name, chosen in found.users.items()} == {
        ALL: [True] * 5,
        "cold users": [True, False, False, False, False],
        "light users": [False, True, True, False, False],
        "heavy users": [False, False, False, True, True],
    }
    assert found.is_new[[0, 1, 2, 3]].tolist() == [True, False, False, True]


def test_of_new_videos_only_they_count_as_found() -> None:
    """Each of 12 users is shown the videos 0 and 1 and liked 1; 11 of them liked the new video 0, which is first."""
    user = np.sort(np.concatenate([np.arange(12), np.arange(11)])).astype(np.int32)
    video = np.array([0, 1] * 11 + [1], np.int32)
    truth = Truth(np.arange(12, dtype=np.int32), lists_of(12, user, video), np.zeros(VIDEOS, np.int64))
    rankings = Rankings(np.tile(np.array([0, 1], np.int32), (12, 1)), np.ones(len(user), np.float32))
    few = np.arange(12) < 9
    segments = Segments({ALL: np.ones(12, np.bool_), "few": few, "more": ~few | few}, np.arange(VIDEOS) == 0)
    found = values_by_segment(rankings, truth, measure(rankings, truth), segments)
    assert {name: users_in(values) for name, values in found.items()} == {ALL: 12, "more": 12, NEW_VIDEOS: 11}
    assert found[NEW_VIDEOS][:11, NDCG].tolist() == [1.0] * 11
    assert found[ALL][11, NDCG] == 1 / np.log2(3)
