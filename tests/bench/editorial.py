"""What editors and experimenters have made on the ten million served videos, and answers are asked about."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import sqlalchemy as sa

from runtime.experiments import Parameter, Variant
from storage import corrections, experiments
from storage.audit import Actor, Door
from storage.correction_rules import Rule
from storage.database import Database
from storage.experiment_rules import Definition
from storage.tables import experiment_users
from tests.bench.served_rows import USERS

EXPERIMENT: Final = "ranker"
_EDITOR: Final = Actor("bench", Door.CLI)
# In the middle of all that was served, so that both sides have five million.
_AGE: Final = timedelta(days=15)
# From the most popular video and the most diligent user to everything.
_RULES: Final = {
    "a user's": Rule("REWEIGHT", "u0", target_factor="prior", value=0.5),
    "the most popular video": Rule("BLOCK", video_id="v0"),
    "an author of 20 videos": Rule("REDUCE", target_factor="author", target_value="a7", value=1.0),
    "a tag of few videos": Rule("BOOST", target_factor="tag", target_value="rare", value=1.0),
    "a tag of half of all videos": Rule("BOOST", target_factor="tag", target_value="t0", value=1.0),
    "a language of most videos": Rule("BOOST", target_factor="language", target_value="en", value=1.0),
    "all videos": Rule("REWEIGHT", target_factor="prior", value=0.5),
}


async def put(url: str, now: datetime) -> Mapping[str, str]:
    """Makes an experiment with all users, and corrections; returns the id of each of these by what it is about."""
    database, lot = Database(url, pool_size=1), np.random.default_rng(10)
    variants = [Variant(name, 1.0, parameters={Parameter.SHUFFLE: value}) for name, value in (("a", 0.0), ("b", 0.1))]
    definition = Definition(EXPERIMENT, "feed", 1.0, variants, "Nothing changes.", "bench")
    names = ("pages", "fallbacks", "late", "served", "accepted", "added", "hidden", "watch_time_ms")
    most = (50, 3, 2, 1_000, 400, 40, 10, 4_000_000)
    counts = {name: lot.integers(high, size=USERS).tolist() for name, high in zip(names, most, strict=True)}
    rows = [
        {
            "experiment": EXPERIMENT,
            "variant": "ab"[number % 2],
            "user_id": f"u{number}",
            **{name: counts[name][number] for name in names},
        }
        for number in range(USERS)
    ]
    async with database.begin() as connection:
        await experiments.create(connection, definition, now - _AGE, Door.CLI)
        await experiments.start(connection, EXPERIMENT, now - _AGE, _EDITOR)
        await connection.execute(sa.insert(experiment_users), rows)
        made = {
            about: await corrections.create(connection, rule, reason="a bench", admin=_EDITOR, now=now - _AGE)
            for about, rule in _RULES.items()
        }
    await database.close()
    return {about: each.correction_id for about, each in made.items()}
