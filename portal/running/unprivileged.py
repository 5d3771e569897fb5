"""Where a server that refuses to run as root may live: its account, its folder, its programs.

Permissions are never widened. What the unprivileged account cannot reach is put, or copied, where it can.
"""

import os
import pwd
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

ACCOUNT = "nobody"  # exists on every Unix, and PostgreSQL needs an account with a name
_SHARED_FOLDERS = (Path("/var/lib"), Path("/var/tmp"))


def account() -> pwd.struct_passwd | None:
    """Whom to run as; None where we are an ordinary user ourselves."""
    return pwd.getpwnam(ACCOUNT) if os.geteuid() == 0 else None


def can_enter(folder: Path) -> bool:
    """Whether any user may walk to this folder, as its permissions and those of its parents stand."""
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents))


def shared_folder(name: str) -> Path | None:
    """A folder of that name which root owns and anybody may walk through, if there is a place for one."""
    for parent in _SHARED_FOLDERS:
        folder = parent / name
        with suppress(OSError):
            folder.mkdir(exist_ok=True)
            if folder.owner() == "root" and not folder.is_symlink() and can_enter(parent):
                folder.chmod(0o711)  # whatever the umask
                return folder
    return None


def reachable(package: Path, program: str, *, beside: tuple[Path, ...], copy: Path) -> Path:
    """`package`, or its copy (with what must lie beside it) where the account could not run `program`."""
    original = package / program
    if can_enter(original.parent) and original.stat().st_mode & 0o005 == 0o005:
        return package
    if not copy.exists():
        half = copy.with_name("programs.half")
        shutil.rmtree(half, ignore_errors=True)
        for folder in (package, *beside):
            shutil.copytree(folder, half / folder.name, symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", half], check=True)
        half.rename(copy)
    return copy / package.name


def give(person: pwd.struct_passwd | None, *paths: Path) -> None:
    """Make the paths the account's own; nothing to do for an ordinary user."""
    for path in paths:
        if person:
            os.chown(path, person.pw_uid, person.pw_gid)
