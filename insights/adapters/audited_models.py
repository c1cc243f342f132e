"""The models folder, with who changes it kept in the database."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from insights.adapters.database import bounded
from insights.adapters.models_folder import ModelsFolder
from insights.ports import PublishedModels
from storage import audit
from storage.audit import Action, Actor, Change, Subject
from storage.database import Database

# A model is read back and verified within it.
_TIMEOUT_S: Final = 10.0


class AuditedModels:
    """The port `Models`.

    Args:
        folder: Where the models are.
        writing: A pool, open as long as this is used.
        now: The wall time.
    """

    def __init__(self, folder: ModelsFolder, writing: Database, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._writing = writing
        self._now = now

    async def published(self) -> PublishedModels | None:
        """Returns what is there."""
        return await self._folder.published()

    async def serve(self, model_version: str, instead_of: str | None, admin: Actor) -> None:
        """Makes a model serve."""
        change = Change(Subject.MODEL, model_version, Action.SERVED, admin, {"instead_of": instead_of})
        # Both or neither, unless the database goes away just before the commit: then the log alone has it.
        async with bounded(self._writing.begin(), _TIMEOUT_S) as connection:
            await audit.record(connection, change, self._now())
            await self._folder.serve(model_version)
