"""Clients in other languages, generated from the protos with their own tools, against the whole system."""

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from storage.database import reading
from storage.tables import user_interactions
from tests.client_programs import LANGUAGES, Workshop
from tests.polling import wait_for
from tests.system import System


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("clients"))


def stored(engine: sa.Engine, event_id: str) -> Sequence[Any]:
    columns = user_interactions.c
    asked = sa.select(columns.interaction_type, columns.recommendation_id).where(columns.event_id == event_id)
    with reading(engine) as connection:
        return connection.execute(asked).all()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_client_makes_the_calls_of_the_readme(
    system: System, system_database: sa.Engine, workshop: Workshop, language: str
):
    workshop.build(language)
    ports = {"50051": system.grpc_port("bridge"), "50053": system.grpc_port("interactions")}
    # A busy machine, or a breaker of the test before, may have the first page from what trends.
    said = wait_for(lambda: workshop.run(language, ports), lambda lines: lines[0]["source"] == "LIGHTFM", bound_s=60)
    assert [line["call"] for line in said] == ["page", "next", "recorded", "recorded", "batch", "batch"]

    page, following, first, again, good, bad = said
    assert (page["reason"], bool(page["explanation"])) == ("NONE", True)
    assert len({*page["videos"], *following["videos"]}) == 6
    assert first["eventId"] == again["eventId"]
    assert {first["status"], again["status"]} <= {"ACCEPTED", "DUPLICATE"}
    assert (good["status"], bad["status"], bad["field"]) == ("ACCEPTED", "REJECTED", "watchTime")

    liked = wait_for(lambda: stored(system_database, first["eventId"]), bool)
    viewed = wait_for(lambda: stored(system_database, good["eventId"]), bool)
    assert [len(liked), len(viewed), len(stored(system_database, bad["eventId"]))] == [1, 1, 0]
    assert liked[0].recommendation_id == viewed[0].recommendation_id != ""
