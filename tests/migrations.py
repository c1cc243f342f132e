"""Migrations, taken back and applied again."""

from storage.database import downgrade, upgrade


def made_anew(url: str, revision: str) -> None:
    """Takes everything back to before a revision, and brings the database to the newest schema again."""
    downgrade(url, f"{revision}-1")
    upgrade(url)
