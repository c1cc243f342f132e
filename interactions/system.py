"""Time and chance, handed to whoever needs them."""

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class System:
    """The clocks and the dice.

    Args:
        now: Wall time, aware; stamps.
        monotonic: Seconds that never jump; measures.
        jitter: Random, 0 up to 1.
        new_id: A UUID that nobody has.
    """

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
