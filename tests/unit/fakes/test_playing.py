"""What happens to which call."""

from collections import Counter

import pytest

from fakes.script.acts import Act, Does, Latency, Step
from fakes.script.player import Player
from fakes.script.reading import read
from fakes.stage import Stage

PLAIN = Act()
HANG = Act(Does.HANG)
CRASH = Act(Does.CRASH)


def played(text: str, calls: int) -> list[str]:
    stage = Stage(read(text, bridge=True))
    return [stage.next_act()[0].label for _ in range(calls)]


def test_acts_follow_each_other_and_the_last_stays() -> None:
    assert played("acts = [{ repeat = 2 }, { hang = true }, { crash = true }]", 6) == [
        *("rank", "rank", "hang"),
        *("crash", "crash", "crash"),
    ]


def test_after_the_end_all_goes_well() -> None:
    assert played("acts = [{ repeat = 2, hang = true }]", 4) == ["hang", "hang", "rank", "rank"]
    assert played("", 2) == ["rank", "rank"]


def test_a_status_is_counted_by_its_name() -> None:
    assert played('acts = [{ status = "ABORTED" }]', 1) == ["ABORTED"]


def test_a_draw_falls_into_its_share() -> None:
    """The choices lie side by side from 0; what is left to 1 is plain."""
    steps = [Step(((0.25, HANG), (0.5, CRASH)))]
    draws = {0.0: HANG, 0.2499: HANG, 0.25: CRASH, 0.7499: CRASH, 0.75: PLAIN, 0.9999: PLAIN}
    player = Player(steps, PLAIN)
    assert {chance: player.play(chance) for chance in draws} == draws


def test_the_last_call_of_an_act_is_its_last() -> None:
    player = Player([Step(((1.0, HANG),), repeat=2), Step(((1.0, CRASH),), repeat=1)], PLAIN)
    seen = [(player.current, player.play(0.5)) for _ in range(4)]
    assert [act for _, act in seen] == [HANG, HANG, CRASH, PLAIN]
    assert [step is None for step, _ in seen] == [False, False, False, True]


def test_a_share_is_met_and_the_same_seed_draws_the_same() -> None:
    text = 'seed = {seed}\nacts = [{{ share = 0.2, status = "UNAVAILABLE" }}]'
    first = played(text.format(seed=3), 5_000)
    assert 900 <= Counter(first)["UNAVAILABLE"] <= 1_100
    assert played(text.format(seed=3), 5_000) == first
    assert played(text.format(seed=4), 5_000) != first


def test_latency_is_drawn_between_its_bounds() -> None:
    assert Latency(0.01, 0.03).draw(0.5) == pytest.approx(0.02)
    stage = Stage(read("acts = [{ latency_ms = [10, 30] }]", bridge=False))
    drawn = [stage.next_act()[1] for _ in range(500)]
    assert 0.010 <= min(drawn) < 0.012
    assert 0.028 < max(drawn) <= 0.030


def test_another_script_starts_from_its_beginning() -> None:
    stage = Stage(read("acts = [{ repeat = 2, hang = true }]", bridge=False))
    stage.next_act()
    stage.replace(stage.script)
    assert [stage.next_act()[0].label for _ in range(3)] == ["hang", "hang", "rank"]


def test_health_and_age_of_the_model_are_those_of_the_act_to_come() -> None:
    stage = Stage(read('acts = [{ health = "NOT_SERVING", stale_model = true }, {}]', bridge=False))
    assert (stage.serving, stage.stale) == (False, True)
    stage.next_act()
    assert (stage.serving, stage.stale) == (True, False)


def test_pages_and_acts_have_dice_of_their_own() -> None:
    """So that the scorer does the same however many pages are asked for meanwhile."""
    text = "acts = [{ share = 0.5, hang = true }]\npages = [{ share = 0.5, late = true }]"
    stage = Stage(read(text, bridge=True))
    mixed = []
    for _ in range(50):
        stage.next_page()
        mixed.append(stage.next_act()[0].label)
    assert mixed == played(text, 50)
