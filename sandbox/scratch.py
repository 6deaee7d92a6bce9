"""Private temporary folders for the sandbox's servers, and who may own them.

`launch.py` uses them. Parent folders are never changed: a folder is made where the
server's user can already reach it. A folder is locked as long as its maker lives; what
a killed maker left behind is removed by the next one.
"""

import fcntl
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "mainstem-"
_MAX_PARENT_BYTES = 60  # a socket's path holds 107, and our names need their part


class LaunchError(Exception):
    """A server cannot start; the message says why, for whoever typed the command."""


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user, for servers that refuse to run as root."""

    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """Whom PostgreSQL runs as: None is ourselves; as root, `nobody` or, where there is
    none, any other account: initdb refuses users that the system does not know.

    Raises: LaunchError if root is the only account.
    """
    if os.geteuid() != 0:
        return None
    known = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    known.sort(key=lambda entry: entry.pw_name != "nobody")
    if not known:
        raise LaunchError(
            "PostgreSQL refuses to run as root and there is no other user"
        )
    return Account(known[0].pw_uid, known[0].pw_gid)


def open_to_others(path: Path) -> bool:
    """Whether any user may execute the file, or enter the folder, and reach it."""
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))


class ScratchFolder:
    """A folder that only `account` (or we) can enter.

    Raises: LaunchError if there is no place for it.
    """

    def __init__(self, account: Account | None = None) -> None:
        for parent in _parents(account):
            with suppress(OSError):
                _remove_left_behind(parent)
                folder = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
                self.path = Path(folder)
                self._lock = _locked(self.path)
                if account is not None:
                    os.chown(self.path, account.uid, account.gid)
                return
        raise LaunchError("no temporary folder is short enough and open to the server")

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _parents(account: Account | None) -> Iterator[Path]:
    for name in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108
        parent = Path(name).resolve()
        is_short = len(os.fsencode(parent)) <= _MAX_PARENT_BYTES
        if is_short and (account is None or open_to_others(parent)):
            yield parent


def _locked(folder: Path) -> int:
    """Lock the folder. The file takes its name when the lock is held, so that nobody
    can find it there unlocked while its maker lives."""
    unnamed = folder / "lock.new"
    lock = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(folder / "lock")
    return lock


def _remove_left_behind(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW)
            try:
                ours = os.fstat(lock).st_uid == os.geteuid()
                if ours and not folder.is_symlink():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
