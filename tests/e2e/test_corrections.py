"""From an editor over the insights and the database to everybody's feed. Embedded and real."""

import uuid

from tests.http import post_json
from tests.polling import wait_for
from tests.system import System

# Bridges follow within 5 s; a busy machine may take longer.
BOUND_S = 20.0


def newcomers_page(system: System) -> set[str]:
    """The videos of somebody who has never been here."""
    page = system.page(f"newcomer-{uuid.uuid4()}", page_size=100)
    return {each.video_id for each in page.recommendations}


def test_a_blocked_video_leaves_the_feed_and_comes_back_once_that_is_undone(system: System) -> None:
    video_id = min(set.intersection(*(newcomers_page(system) for _ in range(3))))
    port = system.http_port("insights")
    block = {"correctionType": "BLOCK", "videoId": video_id, "reason": "a test", "adminId": "ann"}
    made = post_json(port, "/feed/corrections", block)
    assert made.status == 200, made.text
    wait_for(lambda: video_id in newcomers_page(system), lambda is_there: not is_there, BOUND_S)

    correction_id = made.json["correction"]["correctionId"]
    off = post_json(port, f"/feed/corrections/{correction_id}/deactivate", {"adminId": "bob"})
    assert off.json["correction"]["isActive"] is False
    wait_for(lambda: video_id in newcomers_page(system), bool, BOUND_S)
    told = system.feed("audit", "--subject", f"correction/{correction_id}").stdout.splitlines()
    assert ["deactivated  by bob  (rest)" in told[0], "created  by ann  (rest)" in told[1]] == [True, True]
