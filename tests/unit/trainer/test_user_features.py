"""What features of users say: learned from those whom the model knows, told of those whom it does not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from runtime.models.model_bundle import Floats, text_table
from trainer.domain.dataset import Dataset, Lists, Positives, lists_of
from trainer.domain.user_features import FeatureRules, UserFeatures, features_of, learn, with_features

RULES = FeatureRules(min_users=2, most=10, penalty=1e-6)
USERS = 40


def words_of(features: UserFeatures, user: int) -> list[str]:
    return [features.table[code].decode() for code in features.users.of(user).tolist()]


def picked(told: Mapping[str, Sequence[str]], users: Sequence[str], rules: FeatureRules = RULES) -> UserFeatures:
    return features_of(text_table(users), told.items(), rules)


def test_features_that_few_have_or_all_have_are_left_out() -> None:
    told = {"a": ["x=1", "y=1", "z=1"], "b": ["y=1", "z=1"], "c": ["z=1"], "unknown": ["x=1", "y=2"]}
    found = picked(told, ["c", "a", "b"])
    assert [words_of(found, user) for user in range(3)] == [["y=1"], ["y=1"], []]


def test_of_too_many_those_that_most_have_are_kept() -> None:
    told = {f"u{number}": ["half=1"] * (number < 4) + ["some=1"] * (number < 3) for number in range(8)}
    found = picked(told, list(told), FeatureRules(min_users=2, most=1, penalty=1.0))
    assert found.table.tolist() == [b"half=1"]
    assert picked(told, list(told), FeatureRules(min_users=2, most=0, penalty=1.0)).table.tolist() == []


def test_nobody_has_any() -> None:
    found = picked({}, ["a", "b"])
    assert (found.table.tolist(), found.users.lengths().tolist()) == ([], [0, 0])


def known(positives: Sequence[int]) -> Dataset:
    """Users with so many positives each."""
    user = np.repeat(np.arange(len(positives), dtype=np.int32), positives)
    nothing = Lists(np.zeros(len(positives) + 1, np.int64), np.zeros(0, np.int32))
    each = Positives(user, np.zeros(len(user), np.int32), np.ones(len(user), np.float32), np.zeros(len(user)))
    return Dataset(len(positives), 1, each, nothing, nothing, np.zeros(1))


def rows_of(features: UserFeatures, says: Mapping[str, Sequence[float]]) -> Floats:
    """Rows that are just what the features say."""
    rows = np.zeros((USERS, 4), np.float32)
    rows[:, 0] = 1
    for user in range(USERS):
        words = words_of(features, user)
        for word in words:
            rows[user, 1:] += np.array(says[word], np.float32) / np.sqrt(len(words))
    return rows


SAYS = {"age=old": (0.5, 1.0, 0.0), "age=young": (0.0, -1.0, 2.0), "device=tv": (-1.0, 0.0, 3.0)}


@pytest.fixture
def features() -> UserFeatures:
    told = {
        f"u{number:02}": ["age=old" if number % 2 else "age=young", *(["device=tv"] if number % 3 else [])]
        for number in range(USERS)
    }
    return picked(told, list(told))


def test_what_features_say_is_found_again(features: UserFeatures) -> None:
    learned = learn(features, known([3] * USERS), rows_of(features, SAYS), RULES)
    expected = [[0.0, *SAYS[word.decode()]] for word in learned.table.tolist()]
    assert learned.factors == pytest.approx(np.array(expected), abs=1e-3)


def test_users_with_few_positives_are_not_learned_from_and_those_with_none_are_described(
    features: UserFeatures,
) -> None:
    rows = rows_of(features, SAYS)
    truth = rows.copy()
    rows[0], rows[1] = (1, 9, 9, 9), (1, 0, 0, 0)
    dataset = known([2, 0, *([3] * (USERS - 2))])
    learned = learn(features, dataset, rows, RULES)
    described = with_features(features, learned, dataset, rows)
    assert described[1] == pytest.approx(truth[1], abs=1e-3)
    assert described[0].tolist() == [1, 9, 9, 9]
    assert (described[2:] == rows[2:]).all()
    assert rows[1].tolist() == [1, 0, 0, 0], "what it was given stays as it was"


def test_of_cold_users_the_features_count_as_one_like_more(features: UserFeatures) -> None:
    """Their row is what their likes say, by then; a scorer adds both in the same way (decision 0036)."""
    rows = rows_of(features, SAYS)
    truth = rows.copy()
    learned = learn(features, known([3] * USERS), rows, RULES)
    rows[1, 1:] = (5, 5, 5)
    likes = lists_of(USERS, np.ones(3, np.int32), np.zeros(3, np.int32))
    dataset = replace(known([3, 0, *([3] * (USERS - 2))]), history=likes)
    described = with_features(features, learned, dataset, rows)
    assert described[1, 1:] == pytest.approx(5 + truth[1, 1:] / 2, abs=1e-3)
