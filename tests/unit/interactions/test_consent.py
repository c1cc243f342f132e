"""Who does not want to be known is asked for again and again, whatever came of the last time."""

import pytest

from interactions.consent import ConsentUnavailableError, ConsentWatch
from tests.polling import until


class Reader:
    """Fails once, or twice, before it answers."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)

    async def unpersonalised(self) -> frozenset[str]:
        if self._errors:
            raise self._errors.pop(0)
        return frozenset({"u1"})


@pytest.mark.parametrize("error", [ConsentUnavailableError("gone"), RuntimeError("a bug")])
async def test_no_error_ends_the_following(error: Exception):
    watch = ConsentWatch(Reader(error, error), poll_s=0.001)
    await watch.start()

    async def withheld() -> tuple[bool, bool, int]:
        return watch.personalised("u1"), watch.personalised("u2"), watch.count

    await until(withheld, (False, True, 1))
    await watch.stop()
