"""Which model serves and which is tried, changed by hand: each change stands in the audit trail, or is not made."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from runtime.models.candidate_file import Candidate
from storage import audit
from storage.audit import Action, Actor, Change, Subject
from trainer.adapters.bundle_store import BundleStore


class _Done(NamedTuple):
    model_version: str
    action: Action
    details: Mapping[str, Any]


class ModelChanges:
    """What somebody changes.

    Args:
        store: The models.
        engine: The database, with the newest schema; None: changes are not kept.
        actor: Who does it.
        now: The wall time.
    """

    def __init__(self, store: BundleStore, engine: sa.Engine | None, actor: Actor, now: Callable[[], datetime]) -> None:
        self._store = store
        self._engine = engine
        self._actor = actor
        self._now = now

    def promote(self, model_version: str) -> None:
        """Makes a published model serve; raises BundleError."""
        with self._told() as done:
            before = self._store.live()
            self._store.promote(model_version)
            done.append(_Done(model_version, Action.SERVED, {"instead_of": before}))

    def rollback(self) -> str:
        """Makes the model serve that did before this one, and returns its version; raises BundleError."""
        with self._told() as done:
            before = self._store.live()
            version = self._store.rollback()
            done.append(_Done(version, Action.SERVED, {"instead_of": before}))
        return version

    def try_out(self, candidate: Candidate) -> None:
        """Begins a trial; raises BundleError and ServesAlreadyError."""
        with self._told() as done:
            self._store.try_out(candidate)
            details = {"mode": candidate.mode.value, "share": candidate.share}
            done.append(_Done(candidate.model_version, Action.TRIED, details))

    def withdraw(self) -> None:
        """Ends the trial, if there is one."""
        with self._told() as done:
            version = self._store.tried()
            self._store.withdraw()
            if version is not None:
                done.append(_Done(version, Action.WITHDRAWN, {}))

    @contextmanager
    def _told(self) -> Iterator[list[_Done]]:
        """Keeps what is done. The database is asked before, so that nothing is done where it would not be kept."""
        done: list[_Done] = []
        if self._engine is None:
            yield done
            return
        with self._engine.begin() as connection:
            yield done
            for each in done:
                change = Change(Subject.MODEL, each.model_version, each.action, self._actor, each.details)
                connection.execute(audit.adding(change, self._now()))
