"""PostgreSQL's data as a release leaves it: made once, for all lanes and all phases, and copied to whoever starts.

Sixty migrations take longer than most tests. The copy is brought to date by a release all the same, by whoever uses it.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from portal import services
from portal.running import BASE

ROOT = Path(os.environ.get("TEST_VAR", BASE / "var" / "test")) / "prepared"


def lay_into(var: Path) -> None:
    """Put the data, and the passwords to it, where a server over `var` will look for them; what was there goes."""
    target = services.Postgres(var)
    target.var.mkdir(parents=True, exist_ok=True)
    target.home = target._choose_home()
    target.data = target.home / "data"
    target._take_lock()
    try:
        target._end_leftover()
        shutil.rmtree(target.data, ignore_errors=True)
        ROOT.mkdir(parents=True, exist_ok=True)
        with (ROOT / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the first of several lanes makes it, and the others wait for it
            subprocess.run(["cp", "-a", _made(), target.data], check=True)
            services.write_private(target._password_file, (ROOT / "server" / "postgres.json").read_text())
    finally:
        target.stop()


def _made() -> Path:
    """The data of a server that was stopped in good order; made anew after any change of ours."""
    stamp, code = ROOT / "stamp.json", _digest()
    if stamp.exists():
        made = json.loads(stamp.read_text())
        if made["code"] == code and Path(made["data"]).exists():
            return Path(made["data"])
        stamp.unlink()
    server = services.Postgres(ROOT / "server")
    shutil.rmtree(server.var, ignore_errors=True)
    server.start()
    try:
        _release(server)
    finally:
        server.stop()
    stamp.write_text(json.dumps({"code": code, "data": str(server.data)}))
    return server.data


def _release(server: services.Postgres) -> None:
    keyring = ROOT / "keyring"
    shutil.rmtree(keyring, ignore_errors=True)
    needed = {
        "DATABASE_URL": server.app_url,
        "DATABASE_OWNER_URL": server.owner_url,
        "CELERY_BROKER_URL": services.local_broker(ROOT),
        "SECRET_KEY": "tests",
        "PUBLIC_URL": "http://localhost",
        "SEALING_KEYS": str(keyring / "sealing.json"),
        "VAR": str(ROOT),
    }
    command = [sys.executable, "manage.py", "release"]
    said = subprocess.run(command, cwd=BASE, env=os.environ | needed, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        raise services.CannotStart(f"manage.py release failed:\n{said.stderr}")


def _digest() -> str:
    files = sorted([BASE / "requirements.txt", *(BASE / "portal").rglob("*.py")])
    return hashlib.sha256(b"".join(str(file).encode() + file.read_bytes() for file in files)).hexdigest()
