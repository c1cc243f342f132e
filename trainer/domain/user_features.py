"""What is known of users beside what they did, and what it says of them: for users whom the model does not know.

The model is fitted without it. Afterwards the users' rows are explained by their features, by ridge regression: what
each feature adds to a row. Learned within LightFM, as its user features, the same features ranked worse for new users
and for the others, too (docs/decisions/0036).
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from runtime.models.model_bundle import UNKNOWN_CODE, Codes, Floats, Texts, find_text_rows, find_texts, text_table
from trainer.domain.dataset import Dataset, Lists, lists_of

# Users with fewer positives say too little of themselves to learn from.
_MIN_POSITIVES: Final = 3
# Users described at a time: 4,096 of 1,000 features are 16 MB.
_BLOCK_USERS: Final = 4096


@dataclass(frozen=True, slots=True)
class FeatureRules:
    """Which features count, and how much.

    Args:
        min_users: Features that fewer users have are left out.
        most: Most features; those that most users have. 0: none.
        penalty: L2 penalty of what a feature says.
    """

    min_users: int
    most: int
    penalty: float


@dataclass(frozen=True, slots=True, eq=False)
class UserFeatures:
    """The features of the users of a log.

    Args:
        table: Text table of the features.
        users: Rows of the table by user_index.
    """

    table: Texts
    users: Lists


def features_of(user_ids: Texts, told: Iterable[tuple[str, Sequence[str]]], rules: FeatureRules) -> UserFeatures:
    """Picks the features that enough users have.

    Args:
        user_ids: Text table of the log's users.
        told: Users and their features, in any order; users that the log does not know are left out.
        rules: Which features count.
    """
    codes: dict[str, int] = {}
    names: list[bytes] = []
    user, feature = array("i"), array("i")
    for user_id, words in told:
        user.extend([len(names)] * len(words))
        feature.extend(codes.setdefault(word, len(codes)) for word in words)
        names.append(user_id.encode())
    row = find_text_rows(user_ids, np.array(names, np.bytes_))[np.frombuffer(user, np.int32)]
    known = row != UNKNOWN_CODE
    pairs = np.unique(np.column_stack([row, np.frombuffer(feature, np.int32)])[known], axis=0)
    return _picked(list(codes), pairs, len(user_ids), rules)


def _picked(words: Sequence[str], pairs: Codes, users: int, rules: FeatureRules) -> UserFeatures:
    """Leaves out the features that too few users have, or all of them.

    Args:
        words: The features.
        pairs: int32, shape (n, 2): user_index and place in `words`, unique, ordered.
        users: How many users there are.
        rules: Which features count.
    """
    counts = np.bincount(pairs[:, 1], minlength=len(words))
    # What everybody has tells nobody from anybody.
    enough = np.flatnonzero((counts >= rules.min_users) & (counts < users))
    kept = enough[np.argsort(-counts[enough], kind="stable")][: rules.most]
    table = text_table([words[each] for each in kept])
    place = np.full(len(words), UNKNOWN_CODE, np.int32)
    place[kept] = find_texts(table, [words[each] for each in kept])
    feature = place[pairs[:, 1]] if len(pairs) else pairs[:, 1]
    used = feature != UNKNOWN_CODE
    return UserFeatures(table, lists_of(users, pairs[used, 0], feature[used]))


@dataclass(frozen=True, slots=True, eq=False)
class FeatureModel:
    """What features say of a user.

    Args:
        table: Text table of the features.
        factors: float32, shape (n_features, d + 2), columns (0, bias, embedding).
    """

    table: Texts
    factors: Floats


def learn(features: UserFeatures, dataset: Dataset, user_factors: Floats, rules: FeatureRules) -> FeatureModel:
    """Learns what each feature says from the users who say enough of themselves.

    Args:
        features: The users' features.
        dataset: What the model was fitted on.
        user_factors: float32, shape (n_users, d + 2), columns (1, bias, embedding).
        rules: How.
    """
    count, columns = len(features.table), user_factors.shape[1]
    positives = np.bincount(dataset.positives.user, minlength=dataset.users)
    learned = np.flatnonzero(positives >= _MIN_POSITIVES).astype(np.int32)
    gram, moment = rules.penalty * np.eye(count), np.zeros((count, columns - 1))
    for start in range(0, len(learned), _BLOCK_USERS):
        block = learned[start : start + _BLOCK_USERS]
        described = _described(features, block)
        gram += described.T @ described
        moment += described.T @ user_factors[block, 1:]
    factors = np.zeros((count, columns), np.float32)
    factors[:, 1:] = np.linalg.solve(gram, moment)
    return FeatureModel(features.table, factors)


def with_features(features: UserFeatures, learned: FeatureModel, dataset: Dataset, user_factors: Floats) -> Floats:
    """Returns the users' rows, with what the features say of those who were not learned: as one like more.

    Args:
        features: The users' features.
        learned: What they say.
        dataset: What the model was fitted on; who has no positive in it was not learned.
        user_factors: float32, shape (n_users, d + 2), columns (1, bias, embedding).
    """
    positives = np.bincount(dataset.positives.user, minlength=dataset.users)
    likes = dataset.history.lengths()
    rows = user_factors.copy()
    silent = np.flatnonzero((positives == 0) & (features.users.lengths() > 0)).astype(np.int32)
    for start in range(0, len(silent), _BLOCK_USERS):
        block = silent[start : start + _BLOCK_USERS]
        said = _described(features, block) @ learned.factors[:, 1:]
        rows[block, 1:] += said / np.sqrt(1 + likes[block], dtype=np.float32)[:, None]
    return rows


def _described(features: UserFeatures, users: Codes) -> Floats:
    """Returns which features some users have, each by 1 / sqrt(their number), float32, one row a user."""
    table = np.zeros((len(users), len(features.table)), np.float32)
    table[features.users.pairs_of(users)] = 1.0
    table /= np.sqrt(np.maximum(table.sum(axis=1, keepdims=True), 1.0))
    return table
