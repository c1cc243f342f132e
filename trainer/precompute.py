"""Lists of active users, made beforehand: what they get when no scorer answers."""

from datetime import datetime

from runtime.models.model_bundle import UNKNOWN_CODE, ModelArrays, ModelBundle, find_texts
from storage.user_recommendations import ListedVideo, Made, UserListRows
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.domain.own_lists import OwnList, PrecomputeRules, own_lists
from trainer.ports import Progress


def precompute(
    database: TrainingDatabase, model: ModelBundle, rules: PrecomputeRules, now: datetime, progress: Progress
) -> int:
    """Writes the lists of the active users whom a model knows, and deletes those that hold no longer.

    Each user's list is replaced at once; killed on the way, those already written stay, and the next run goes over all.

    Args:
        database: Where lists are.
        model: The model that serves.
        rules: Whose lists, and how long they hold.
        now: When they are made, UTC.
        progress: Hears how far it is.

    Returns:
        The number of lists that were written.
    """
    manifest, arrays = model.manifest, model.arrays
    user_ids = database.active_users(rules.active)
    users = find_texts(arrays.user_ids, user_ids)
    known = users[users != UNKNOWN_CODE]
    made = Made(manifest.algorithm, manifest.model_version, now, now + rules.holds)
    with progress.step("own lists", len(known)) as advance:
        for lists in own_lists(arrays, known, rules.videos):
            rows = [_rows(each, arrays) for each in lists]
            database.replace_lists(rows, made)
            for _ in rows:
                advance()
    expired = database.delete_expired_lists(now)
    progress.fact("own_lists", users=len(known), videos=rules.videos, expired_rows=expired)
    return len(known)


def _rows(own: OwnList, arrays: ModelArrays) -> UserListRows:
    videos = zip(arrays.video_ids[own.videos].tolist(), own.scores.tolist(), strict=True)
    return UserListRows(
        arrays.user_ids[own.user].decode(), [ListedVideo(video_id.decode(), score) for video_id, score in videos]
    )
