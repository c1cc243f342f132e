"""Files that only their user may read."""

from pathlib import Path


def write_secret(path: Path, content: str | bytes) -> None:
    """Writes a file that nobody else may read, or writes what it holds anew."""
    path.touch(mode=0o600)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
