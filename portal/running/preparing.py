"""What must be there before Tillside serves, made once and looked over later: keys, tables, files, demo."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from portal.running import BASE, CannotStart, processes


class Preparation:
    """The `manage.py` commands that come before, each with its log under `var`."""

    def __init__(self, var: Path, env: Mapping[str, str]) -> None:
        self._var, self._env = var, env
        self._stamp = var / "prepared.json"
        self._now = {"files": _fingerprint(), "database": _digest([env["DATABASE_URL"]])}
        self._now["sandbox"] = env.get("SANDBOX_URL", "")

    def was_done(self) -> bool:
        """Whether nothing changed since all of it last went through: files, packages, database."""
        with suppress(OSError, ValueError):
            made = [Path(self._env["SEALING_KEYS"]), self._var / "static" / "staticfiles.json"]
            return bool(json.loads(self._stamp.read_text()) == self._now) and all(file.exists() for file in made)
        return False

    def make(self) -> None:
        """Keys, tables and static files, side by side."""
        steps = {
            "release": ["release"],
            "collectstatic": ["collectstatic", "--no-input", "--verbosity=0"],
            "keyring": ["keyring", "--create", str(Path(self._env["SEALING_KEYS"]).parent)],
        }
        if not self._makes_keys():
            del steps["keyring"]
        self._manage(steps)

    def load_demo(self) -> str:
        """Load the demo merchants through the running sandbox; what to tell the person, logins first."""
        if self._env["DEMO"] == "1":
            return self._manage({"demo": ["demo"]})["demo"]
        self._manage({"demo": ["demo", "--follow"]})  # practice connections of a demo that was, or of shops
        return ""

    def look_over(self) -> str:
        """When all was done before: bring the database to date anyway, and say who can sign in."""
        steps = {"release": ["release"]}
        if self._env["DEMO"] == "1":
            steps["demo"] = ["demo", "--logins"]
        return self._manage(steps).get("demo", "")

    def remember(self) -> None:
        self._stamp.write_text(json.dumps(self._now))

    def _makes_keys(self) -> bool:
        return Path(self._env["SEALING_KEYS"]).is_relative_to(self._var)

    def _manage(self, steps: Mapping[str, list[str]]) -> dict[str, str]:
        """Run commands at the same time; what each printed."""
        running = {
            name: processes.spawn(
                [sys.executable, "manage.py", *words],
                log=self._var / "log" / f"{name}.log",
                env=self._env,
                cwd=BASE,
                stdout=subprocess.PIPE,
            )
            for name, words in steps.items()
        }
        try:
            said = {name: child.communicate()[0].decode() for name, child in running.items()}
        finally:
            for child in running.values():
                processes.kill(child)
        for name, child in running.items():
            if child.returncode != 0:
                log = self._var / "log" / f"{name}.log"
                raise CannotStart(f"manage.py {name} failed; its log is {log}. {processes.last_line(log)}")
        return said


def _fingerprint() -> str:
    """Changes with our files and with the packages they need; size and time stand for the content."""
    folders = (BASE / name for name in ("portal", "static", "templates"))
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix != ".pyc")
    files = [path for path in [BASE / "requirements.txt", *files] if path.is_file()]
    seen = ((path, path.stat()) for path in files)
    return _digest([sys.version, *(f"{path} {found.st_size} {found.st_mtime_ns}" for path, found in seen)])


def _digest(words: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()
