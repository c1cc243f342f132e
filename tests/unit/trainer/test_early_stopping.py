"""When a fit that is watched ends, and which pass it takes."""

import pytest

from trainer.domain.early_stopping import StoppingRules, Watched

RULES = StoppingRules(patience=2, every=1)


def seen(*reached: float) -> Watched:
    """What is seen after validations, one a pass, until it is over."""
    watched = Watched()
    for passes, each in enumerate(reached, start=1):
        assert not watched.is_over(RULES), "nothing is looked at any more"
        watched = watched.after(passes, each)
    return watched


@pytest.mark.parametrize(
    ("reached", "best", "is_over"),
    [
        pytest.param((0.1,), 1, False, id="one"),
        pytest.param((0.1, 0.2, 0.3), 3, False, id="it still rises"),
        pytest.param((0.1, 0.3, 0.2), 2, False, id="one worse is waited for"),
        pytest.param((0.1, 0.3, 0.2, 0.2), 2, True, id="two worse in a row end it"),
        pytest.param((0.1, 0.3, 0.2, 0.4, 0.3), 4, False, id="a better one between counts anew"),
        pytest.param((0.3, 0.3, 0.3), 1, True, id="as good is no better"),
        pytest.param((0.0, 0.0, 0.0), 1, True, id="nothing is ever found"),
    ],
)
def test_the_best_pass_is_taken(reached: tuple[float, ...], best: int, is_over: bool) -> None:
    found = seen(*reached)
    assert (found.best_passes, found.best, found.is_over(RULES)) == (best, max(reached), is_over)
    assert (found.passes, found.reached) == (len(reached), reached[-1])
