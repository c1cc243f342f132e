"""Corrections from the database."""

import asyncio
import hashlib
from typing import Final

from bridge.adapters.reading import reading
from bridge.domain.corrections import ActiveCorrections, Correction, CorrectionKind, UserCorrection
from storage.correction_rules import VIDEO, Rule, problems_of
from storage.corrections import active_text, rules_of
from storage.database import Database

_TIMEOUT_S: Final = 2.0
_MARK_BYTES: Final = 16


class DatabaseCorrections:
    """The port `CorrectionReader` on the database.

    Args:
        database: A pool.
        most: Most corrections that are read; the newest.
    """

    def __init__(self, database: Database, most: int) -> None:
        self._database = database
        self._most = most

    async def active(self, mark: str) -> ActiveCorrections | None:
        """Returns the corrections in force, or None when they are those of this mark; raises ListError."""
        async with reading(self._database, "corrections", _TIMEOUT_S) as connection:
            text = await active_text(connection, self._most)
        found_mark = hashlib.blake2b(text.encode(), digest_size=_MARK_BYTES).hexdigest()
        if found_mark == mark:
            return None
        # In a thread: thousands of them take longer than requests should wait.
        return await asyncio.to_thread(_read, text, found_mark)


def _read(text: str, mark: str) -> ActiveCorrections:
    rules = rules_of(text)
    senseless = {each.correction_id for each in rules if problems_of(each.rule)}
    found = (
        UserCorrection(each.rule.user_id, _correction(each.rule))
        for each in rules
        if each.correction_id not in senseless and each.rule.media_type in {"", VIDEO}
    )
    return ActiveCorrections(tuple(found), mark, tuple(sorted(senseless)))


def _correction(rule: Rule) -> Correction:
    kind = CorrectionKind(rule.correction_type)
    meant = {rule.target_factor: rule.target_value}
    return Correction(
        kind,
        rule.value or 0.0,
        rule.video_id,
        meant.get("author", ""),
        meant.get("tag", ""),
        meant.get("language", ""),
        rule.target_factor if kind is CorrectionKind.REWEIGHT else "",
    )
