"""What the importing commands take."""

import pytest
import typer

from interactions.bulk.cli import seed


def test_a_password_in_arguments_is_refused_and_not_repeated():
    """Whoever is on the machine sees the arguments of all."""
    with pytest.raises(typer.BadParameter, match="set FEED_DATABASE_URL instead") as caught:
        seed(database_url="postgresql://feed:canary@127.0.0.1:1/feed")
    assert "canary" not in str(caught.value)
