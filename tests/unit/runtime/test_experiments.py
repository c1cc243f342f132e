"""Who is part of an experiment, and which variant he is given: sticky, uniform, independent (issue 8, item 1)."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from scipy.stats import chi2

from runtime.experiments import BUCKETS, Experiment, Variant, bucket_of, given

# A fair draw is called unfair once in a million times; the users are always the same, so it is not drawn again.
UNLIKELY = 1e-6


def experiment(name: str, *weights: float, layer: str = "feed", part: tuple[float, float] = (0, 1)) -> Experiment:
    variants = [Variant(f"v{number}", weight) for number, weight in enumerate(weights or (1, 1))]
    first, end = (round(BUCKETS * each) for each in part)
    return Experiment(name, layer, f"salt of {name}", [(first, end)], variants)


@pytest.fixture(scope="module")
def users(request: pytest.FixtureRequest) -> Sequence[str]:
    """Ids as they are given one after the other: most alike, and so the hardest to part."""
    count = 1_000_000 if request.config.getoption("--long") else 100_000
    return [f"u{number}" for number in range(count)]


def assert_drawn(counts: Sequence[int], shares: Sequence[float]) -> None:
    """Holds counts against what a fair lot would give, by chi-square."""
    total = sum(counts)
    off = sum((count - total * share) ** 2 / (total * share) for count, share in zip(counts, shares, strict=True))
    assert chi2.sf(off, len(shares) - 1) > UNLIKELY, (counts, shares)


def test_variants_have_the_users_that_their_weights_say(users: Sequence[str]) -> None:
    weights = (1.0, 2.0, 5.0)
    tried = experiment("tried", *weights)
    counts = Counter(tried.variant_of(user).name for user in users)
    assert_drawn([counts[f"v{number}"] for number in range(3)], [weight / 8 for weight in weights])


def test_an_experiment_has_the_share_of_the_users_that_it_wants(users: Sequence[str]) -> None:
    tried = experiment("tried", part=(0.2, 0.3))
    inside = sum(bool(list(given([tried], user))) for user in users)
    assert_drawn([inside, len(users) - inside], [0.1, 0.9])


def test_buckets_are_equally_large(users: Sequence[str]) -> None:
    counts = Counter(bucket_of("feed", user) // 100 for user in users)
    assert_drawn([counts[number] for number in range(100)], [0.01] * 100)


def test_experiments_of_one_layer_never_share_a_user(users: Sequence[str]) -> None:
    both = [experiment("one", part=(0, 0.5)), experiment("other", part=(0.5, 1))]
    assert {len(list(given(both, user))) for user in users[:20_000]} == {1}


def test_layers_and_variants_of_different_experiments_are_independent(users: Sequence[str]) -> None:
    """As many users have each pair of variants as chance has it; else one experiment would bias the other."""
    both = [experiment("one", layer="a"), experiment("other", layer="b", part=(0, 0.5))]
    found = Counter(tuple(each.variant.name for each in given(both, user)) for user in users)
    pairs = [(one, other) for one in ("v0", "v1") for other in ("v0", "v1")]
    assert_drawn([found[pair] for pair in pairs] + [found["v0",], found["v1",]], [1 / 8] * 4 + [1 / 4] * 2)


def test_nobody_changes_when_experiments_come_and_go(users: Sequence[str]) -> None:
    tried = experiment("tried", 1, 1, 1, part=(0, 0.4))
    beside = [experiment("before", layer="a"), experiment("beside", part=(0.4, 1)), experiment("after", layer="z")]

    def variants(experiments: Sequence[Experiment]) -> list[str]:
        return [
            next((each.variant.name for each in given(experiments, user) if each.experiment == "tried"), "")
            for user in users[:20_000]
        ]

    stages = [[tried], [beside[0], tried], [beside[0], beside[1], tried], [beside[0], beside[1], tried, beside[2]]]
    assert all(before == after for before, after in pairwise(map(variants, stages)))


def test_another_process_gives_the_same() -> None:
    """Written down once: users keep their variants over releases, too."""
    tried = experiment("tried", 1, 1, 1)
    assert [tried.variant_of(f"u{number}").name for number in range(12)] == [
        "v2",
        "v0",
        "v0",
        "v1",
        "v0",
        "v2",
        "v0",
        "v0",
        "v1",
        "v2",
        "v0",
        "v2",
    ]
    assert [bucket_of("feed", f"u{number}") for number in range(4)] == [3860, 9430, 9521, 3202]
