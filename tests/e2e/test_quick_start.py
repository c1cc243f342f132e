"""The commands of the quick start and of the README, run as they stand, in their order."""

import json
import re
from typing import Any, Final

from tests.polling import wait_for
from tests.shown_commands import blocks, run
from tests.system import ROOT, System

QUICK_START: Final = ROOT / "docs" / "quick-start.md"
README: Final = ROOT / "README.md"


def answers(printed: str) -> list[dict[str, Any]]:
    """The JSON documents in what was printed, one behind the other."""
    decoder, found, rest = json.JSONDecoder(), [], printed.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        found.append(document)
        rest = rest[end:].strip()
    return found


def test_the_quick_start_begins_with_what_starts_this_system():
    """`make run` is the target that runs `feed up`, which the tests' system runs too."""
    assert blocks(QUICK_START)[0] == "make run\n"
    target = re.search(r"^run:.*\n\t(.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert target is not None
    assert target[1].startswith("@$(BIN)/feed up")


def test_the_quick_start_does_what_it_says(system: System):
    _, ask, scroll, stranger, like, again, kill, acceptance = blocks(QUICK_START)

    def personal() -> dict[str, Any]:
        return wait_for(lambda: answers(run(ask, system))[0], lambda page: page["source"] == "LIGHTFM")

    def asked(command: str, source: str) -> dict[str, Any]:
        return wait_for(lambda: answers(run(command, system))[-1], lambda page: page["source"] == source)

    assert all(video["explanation"] for video in personal()["recommendations"])
    assert [video["position"] for video in answers(run(scroll, system))[0]["recommendations"]] == [4, 5, 6]
    page = asked(stranger, "TRENDING")
    assert (len(page["recommendations"]), page["fallbackReason"]) == (3, "EMPTY_RANKING")
    assert answers(run(like, system))[0]["result"]["status"] == "ACCEPTED"
    assert len(asked(again, "LIGHTFM")["recommendations"]) == 3
    (fallback,) = answers(run(kill, system))
    assert (len(fallback["recommendations"]), fallback["source"]) == (3, "TRENDING")
    assert fallback["fallbackReason"] in {"UNAVAILABLE", "CIRCUIT_OPEN", "DEADLINE"}
    personal()
    assert answers(run(acceptance, system))


def test_the_calls_of_the_readme_work(system: System):
    (curl, _grpcurl), (publish,) = blocks(README, "Ask for a feed"), blocks(README, "Say what the user did")
    assert len(answers(run(curl, system))[0]["recommendations"]) == 3
    assert answers(run(publish, system))[0]["result"]["status"] == "ACCEPTED"
    kill, breaker = blocks(README, "Break it")
    assert answers(run(kill, system))[0]["recommendations"]
    run(breaker, system)
    run(breaker.replace("breaker open", "breaker auto"), system)
    wait_for(lambda: answers(run(curl, system))[0], lambda page: page["source"] == "LIGHTFM")
