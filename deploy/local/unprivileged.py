"""Which account runs a program that refuses to run as root."""

import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LocalServerError
from deploy.local.process import Identity

_NAMES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """The account to start a program with.

    Attributes:
        user: The pair (uid, gid) that owns the program's files; None is ourselves.
        prefix: A command that goes before the program's own and does the switch; empty leaves it to `identity`.
    """

    user: tuple[int, int] | None = None
    prefix: tuple[str, ...] = ()

    @property
    def identity(self) -> Identity:
        """What `subprocess` is told."""
        if self.user is None or self.prefix:
            return {}
        return {"user": self.user[0], "group": self.user[1], "extra_groups": ()}

    def make_private_dir(self, path: Path) -> None:
        """Makes `path` an empty folder of this account, mode 0700."""
        if path.exists():
            shutil.rmtree(path)
        path.mkdir(mode=0o700)
        self._give(path)

    def write_private_file(self, path: Path, text: str) -> None:
        """Writes `text` to a new file of this account, mode 0600."""
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        self._give(path)

    def _give(self, path: Path) -> None:
        if self.user is not None:
            os.chown(path, *self.user)


def account_for(data_dir: Path, needs: Iterable[Path]) -> Account:
    """Chooses the account: ourselves, or, for root, the data's owner, `postgres` or `nobody`.

    A folder below a closed one (root's home) cannot be entered by that account. Then the program keeps the one
    capability to pass closed folders, and no folder's permissions are changed.

    Args:
        data_dir: The program's data; an existing one keeps its owner.
        needs: Folders the program must reach.

    Raises:
        LocalServerError: The folders cannot be reached and `setpriv` is missing.
    """
    if os.geteuid() != 0:
        return Account()
    user = _owner(data_dir)
    closed = [path for need in needs for path in (need, *need.parents) if not _can_enter(path, user[0])]
    return Account(user, _capable(user, closed[0]) if closed else ())


def _owner(data_dir: Path) -> tuple[int, int]:
    if data_dir.exists() and data_dir.stat().st_uid != 0:
        return data_dir.stat().st_uid, data_dir.stat().st_gid
    for name in _NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise LocalServerError("PostgreSQL does not run as root, and this machine has no user `postgres` or `nobody`.")


def _can_enter(path: Path, uid: int) -> bool:
    info = path.stat()
    return bool(info.st_mode & (stat.S_IXUSR if info.st_uid == uid else stat.S_IXOTH))


def _capable(user: tuple[int, int], closed: Path) -> tuple[str, ...]:
    """The command prefix that switches to `user` and keeps CAP_DAC_OVERRIDE (containers grant it to root)."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise LocalServerError(
            f"PostgreSQL does not run as root, and user {user[0]} may not enter {closed}. Run as another user, move "
            "the folder, or install setpriv (Debian: apt-get install util-linux)."
        )
    identity = (f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups")
    return (setpriv, *identity, "--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override")
