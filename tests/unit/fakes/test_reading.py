"""What a script may say, and how a wrong one is refused."""

import grpc
import pytest

from fakes.script.acts import Act, Does, Fallback, Latency, PageAct, Refusal, Script, Step
from fakes.script.problems import ScriptError
from fakes.script.reading import read

UNAVAILABLE = Refusal(grpc.StatusCode.UNAVAILABLE, "SCRIPTED", "as the script says")
CODES = (
    "must be one of CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, "
    "PERMISSION_DENIED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, "
    "UNAVAILABLE, DATA_LOSS, UNAUTHENTICATED"
)
LATENCY = "must be a number from 0 to 600000, or [from, to] of two such numbers"
WHOLE_MS = "must be a whole number from 0 to 600000"
REPEAT = "must be a whole number from 1 to 1000000000"
SHARE = "must be a number above 0 and at most 1"
TEXT = "must be a text of 1 to 256 characters"
MIXED = (
    "share, reason, message, latency_ms, status, pushback_ms, hang, reset, half, ragged, nan, duplicates, empty, "
    "wrong_contract, model_missing, crash, stale_model"
)
TABLES = "must be a list of tables, such as [{ hang = true }]"
FLAG = "must be true, or be left out"


def for_ever(act: Act) -> tuple[Step[Act], ...]:
    return (Step(((1.0, act),)),)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        pytest.param("", Script(), id="empty"),
        pytest.param(
            'seed = 7\nvideos = 20\nmodel_version = "m3"\nfallback = "nothing"',
            Script(seed=7, videos=20, model_version="m3", fallback=Fallback.NOTHING),
            id="settings",
        ),
        pytest.param("acts = []", Script(), id="no-acts"),
        pytest.param("acts = [{}]", Script(acts=for_ever(Act())), id="plain-for-ever"),
        *(
            pytest.param(f"acts = [{{ {does.value} = true }}]", Script(acts=for_ever(Act(does))), id=does.value)
            for does in Does
            if does not in {Does.RANK, Does.STATUS}
        ),
        pytest.param(
            'acts = [{ status = "UNAVAILABLE" }]',
            Script(acts=for_ever(Act(Does.STATUS, refusal=UNAVAILABLE))),
            id="status",
        ),
        pytest.param(
            'acts = [{ status = "RESOURCE_EXHAUSTED", pushback_ms = 20, reason = "FULL", message = "later" }]',
            Script(
                acts=for_ever(
                    Act(Does.STATUS, refusal=Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "FULL", "later", 0.02))
                )
            ),
            id="status-in-full",
        ),
        pytest.param(
            "acts = [{ latency_ms = 30 }]", Script(acts=for_ever(Act(latency=Latency(0.03, 0.03)))), id="latency"
        ),
        pytest.param(
            "acts = [{ latency_ms = [5, 7.5], stale_model = true }]",
            Script(acts=for_ever(Act(latency=Latency(0.005, 0.0075), stale_model=True))),
            id="latency-range-of-a-stale-model",
        ),
        pytest.param(
            "acts = [{ hang = true }, { repeat = 3 }, { crash = true }]",
            Script(
                acts=(
                    Step(((1.0, Act(Does.HANG)),), repeat=1),
                    Step(((1.0, Act()),), repeat=3),
                    Step(((1.0, Act(Does.CRASH)),)),
                )
            ),
            id="once-thrice-for-ever",
        ),
        pytest.param(
            'acts = [{ share = 0.2, status = "UNAVAILABLE", repeat = 9 }]',
            Script(acts=(Step(((0.2, Act(Does.STATUS, refusal=UNAVAILABLE)),), repeat=9),)),
            id="a-share",
        ),
        pytest.param(
            "acts = [{ mix = [{ share = 0.7, hang = true }, { share = 0.2, nan = true }, { share = 0.1 }] }]",
            Script(acts=(Step(((0.7, Act(Does.HANG)), (0.2, Act(Does.NAN)), (0.1, Act()))),)),
            id="a-mix-of-everything",
        ),
        pytest.param(
            'acts = [{ health = "NOT_SERVING", status = "UNAVAILABLE" }]',
            Script(acts=(Step(((1.0, Act(Does.STATUS, refusal=UNAVAILABLE)),), serving=False),)),
            id="not-serving",
        ),
        pytest.param(
            '[[acts]]\nrepeat = 2\nhang = true\n[[pages]]\nlate = true\n[[pages]]\nanswer = { status = "UNAVAILABLE" }',
            Script(
                acts=(Step(((1.0, Act(Does.HANG)),), repeat=2),),
                pages=(Step(((1.0, PageAct(late=True)),), repeat=1), Step(((1.0, PageAct(refusal=UNAVAILABLE)),))),
            ),
            id="long-form-and-pages",
        ),
        pytest.param(
            "pages = [{ share = 0.5, latency_ms = 9 }]",
            Script(pages=(Step(((0.5, PageAct(Latency(0.009, 0.009))),)),)),
            id="slow-pages",
        ),
    ],
)
def test_a_script_is_read(text: str, script: Script) -> None:
    assert read(text, bridge=True) == script


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param("acts = [", ["script: is no TOML: Invalid value (at end of document)"], id="no-toml"),
        pytest.param("acts = " + "[" * 99_999, ["script: is nested too deeply"], id="nested"),
        pytest.param("videoz = 3", ["videoz: unknown field; did you mean videos?"], id="near-field"),
        pytest.param(
            "x = 3",
            ["x: unknown field; known ones: seed, videos, model_version, fallback, acts, pages"],
            id="unknown-field",
        ),
        pytest.param(
            'seed = -1\nvideos = 0\nmodel_version = ""\nfallback = "hope"',
            [
                "seed: must be a whole number from 0 to 2^63 - 1, not -1",
                "videos: must be a whole number from 1 to 1000000, not 0",
                f"model_version: {TEXT}, not ''",
                "fallback: must be one of precomputed, trending, editorial, nothing, not 'hope'",
            ],
            id="settings",
        ),
        pytest.param("acts = 3", [f"acts: {TABLES}, not 3"], id="acts-no-list"),
        pytest.param(
            "seed = 1.5\nacts = [3]",
            ["seed: must be a whole number from 0 to 2^63 - 1, not 1.5", "acts[0]: must be a table, not 3"],
            id="an-act-no-table-and-more",
        ),
        pytest.param("acts = [{ hang = false }]", [f"acts[0].hang: {FLAG}, not false"], id="false"),
        pytest.param("acts = [{ crash = 1 }]", [f"acts[0].crash: {FLAG}, not 1"], id="one-for-true"),
        pytest.param('acts = [{ status = "OK" }]', [f"acts[0].status: {CODES}, not 'OK'"], id="status-ok"),
        pytest.param("acts = [{ latency_ms = true }]", [f"acts[0].latency_ms: {LATENCY}, not true"], id="latency-flag"),
        pytest.param("acts = [{ latency_ms = -1 }]", [f"acts[0].latency_ms: {LATENCY}, not -1"], id="latency-negative"),
        pytest.param("acts = [{ latency_ms = nan }]", [f"acts[0].latency_ms: {LATENCY}, not nan"], id="latency-nan"),
        pytest.param("acts = [{ latency_ms = [1] }]", [f"acts[0].latency_ms: {LATENCY}, not [1]"], id="latency-short"),
        pytest.param(
            "acts = [{ latency_ms = [9, 3] }]", ["acts[0].latency_ms: the smaller one first: [3, 9]"], id="9-3"
        ),
        pytest.param("acts = [{ repeat = 0 }]", [f"acts[0].repeat: {REPEAT}, not 0"], id="repeat-0"),
        pytest.param('acts = [{ repeat = "ever" }]', [f"acts[0].repeat: {REPEAT}, not 'ever'"], id="repeat-text"),
        pytest.param("acts = [{ share = 0 }]", [f"acts[0].share: {SHARE}, not 0"], id="share-0"),
        pytest.param("acts = [{ share = 1.1 }]", [f"acts[0].share: {SHARE}, not 1.1"], id="share-above-1"),
        pytest.param(
            "acts = [{ hang = true, reset = true }]",
            ["acts[0]: treats a call in one way only, not with hang and reset"],
            id="two-ways",
        ),
        pytest.param(
            "acts = [{ stale_model = true, crash = true }]",
            ["acts[0].stale_model: does not show with crash"],
            id="stale-crash",
        ),
        pytest.param(
            'acts = [{ pushback_ms = 5, reason = "A", message = "b" }]',
            [f"acts[0].{field}: needs a status beside it" for field in ("pushback_ms", "reason", "message")],
            id="no-status",
        ),
        pytest.param(
            'acts = [{ status = "ABORTED", pushback_ms = 1.5 }]',
            [f"acts[0].pushback_ms: {WHOLE_MS}, not 1.5"],
            id="1.5",
        ),
        pytest.param(
            'acts = [{ health = "BAD" }]',
            ['acts[0].health: must be "SERVING" or "NOT_SERVING", not \'BAD\''],
            id="health",
        ),
        pytest.param("acts = [{ mix = [] }]", [f"acts[0].mix: {TABLES}, not []"], id="empty-mix"),
        pytest.param(
            "acts = [{ share = 0.1, mix = [{ hang = true }, 3, { share = 0.6, health = true }, { share = 1 }, "
            "{ share = 0.3 }] }]",
            [
                "acts[0]: mix stands alone or with repeat and health, not with share",
                f"acts[0].mix[0].share: is missing: {SHARE}",
                "acts[0].mix[1]: must be a table, not 3",
                f"acts[0].mix[2].health: unknown field; known ones: {MIXED}",
                "acts[0].mix: the shares must not be more than 1 together",
            ],
            id="a-bad-mix",
        ),
        pytest.param(
            "acts = [{ hang = 0 }, {}, { nan = 0 }]",
            [f"acts[0].hang: {FLAG}, not 0", f"acts[2].nan: {FLAG}, not 0"],
            id="several-acts",
        ),
        pytest.param(
            "pages = [{ answer = 3 }, { answer = {} }, { late = true, latency_ms = 3 }, { hang = true }]",
            [
                "pages[0].answer: must be a table, not 3",
                f"pages[1].answer.status: is missing: {CODES}",
                "pages[2]: takes the time of late or of latency_ms, not of both",
                "pages[3].hang: unknown field; known ones: latency_ms, late, answer, repeat, share, mix",
            ],
            id="pages",
        ),
    ],
)
def test_a_wrong_script_is_refused_with_every_error(text: str, problems: list[str]) -> None:
    with pytest.raises(ScriptError) as caught:
        read(text, bridge=True)
    assert str(caught.value).split("\n") == problems
    assert [f"{each.field}: {each.reason}" for each in caught.value.violations] == problems


def test_a_long_value_is_cut() -> None:
    """S11: what was given comes back in a problem, at most 60 characters of it."""
    with pytest.raises(ScriptError, match=r"not '[x]{59}…$"):
        read(f'acts = [{{ status = "{"x" * 5_000}" }}]', bridge=True)


def test_pages_and_lists_are_for_the_bridge_alone() -> None:
    with pytest.raises(ScriptError) as caught:
        read('pages = [{ late = true }]\nfallback = "nothing"', bridge=False)
    assert str(caught.value) == "fallback: is for feed fake-bridge alone\npages: is for feed fake-bridge alone"


def test_what_cuts_connections_says_so() -> None:
    assert read("acts = [{}, { mix = [{ share = 0.1, half = true }] }]", bridge=False).cuts
    assert read("acts = [{ reset = true }]", bridge=False).cuts
    assert not read("acts = [{ hang = true }]", bridge=False).cuts
