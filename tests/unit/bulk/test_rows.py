import uuid
from datetime import UTC, datetime

import pytest

from interactions.bulk import rows


@pytest.mark.parametrize("content", ["", "kuairand/history/1,like,0,2", "ünïcode"])
def test_event_id_is_the_version_5_uuid_of_the_content(content: str) -> None:
    namespace = uuid.UUID(bytes=rows._NAMESPACE)
    assert rows.event_id(content) == str(uuid.uuid5(namespace, content))


def test_utc_from_ms_keeps_the_milliseconds() -> None:
    assert rows.utc_from_ms(1650812741436) == datetime(2022, 4, 24, 15, 5, 41, 436000, tzinfo=UTC)
