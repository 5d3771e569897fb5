"""A process that has too much, or too little, does not start."""

import os
import subprocess
import sys

import pytest

PROCESSES = {
    "web": [sys.executable, "-c", "import portal.wsgi"],
    "worker": [sys.executable, "-m", "celery", "-A", "portal.celery:app", "worker", "-P", "threads", "-c", "1"],
}


def start(process: str, **changes: str | None) -> str:
    """What the process says when it is started with these changes to a good environment; it must refuse at once."""
    kept = os.environ if process == "web" else {key: it for key, it in os.environ.items() if key != "SIGN_IN_KEYS"}
    env = {**kept, **{name: value for name, value in changes.items() if value is not None}}
    for name in (name for name, value in changes.items() if value is None):
        env.pop(name, None)
    ended = subprocess.run(PROCESSES[process], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    return ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("process", "changes", "sentence"),
    [
        ("web", {}, "Web processes may seal secrets, never open them"),
        ("worker", {"OPENING_KEYS": None}, "This worker has no OPENING_KEYS"),
        ("web", {"OPENING_KEYS": None, "SIGN_IN_KEYS": None}, "SIGN_IN_KEYS is not set"),
        ("web", {"OPENING_KEYS": None, "SIGN_IN_KEYS": "canary"}, "Each of SIGN_IN_KEYS must be 32 bytes in base64"),
        ("worker", {"SIGN_IN_KEYS": "canary"}, "This worker was given SIGN_IN_KEYS"),
        ("worker", {"MAIL_HOST": None}, "This worker has no MAIL_HOST"),
        (
            "web",
            {"MAIL_USER": "u", "MAIL_PASSWORD": "canary", "MAIL_TLS": "tls", "OPENING_KEYS": None},
            "This web process was given MAIL_PASSWORD",
        ),
        ("web", {"MAIL_USER": "u", "MAIL_PASSWORD": "canary"}, "would send MAIL_PASSWORD for all to read"),
        ("web", {"MAIL_USER": "u"}, "MAIL_USER and MAIL_PASSWORD belong together"),
        ("web", {"MAIL_TLS": "yes"}, "MAIL_TLS must be one of none, starttls, tls"),
        ("web", {"MAIL_PORT": "smtp"}, "MAIL_PORT must be a whole number of at least 1"),
        ("web", {"MAIL_FROM": "nobody"}, "MAIL_FROM must look like Tillside <mail@till.example.com>"),
        ("web", {"OPENING_KEYS": None, "DATABASE_URL": "owner"}, "an owner of the tables"),
        ("worker", {"DATABASE_URL": "owner"}, "an owner of the tables"),
        ("web", {"SEALING_KEYS": "/nowhere.json", "OPENING_KEYS": None}, "cannot be read as a key ring"),
        ("web", {"SECRET_KEY": None}, "SECRET_KEY is not set"),
        ("web", {"DATABASE_URL": "postgresql://u:canary@["}, "DATABASE_URL must look like postgresql://"),
        ("web", {"PUBLIC_URL": "till.example.com"}, "PUBLIC_URL must look like https://till.example.com"),
        ("web", {"TRUSTED_PROXY_COUNT": "-1"}, "TRUSTED_PROXY_COUNT must be a whole number of at least 0"),
        ("web", {"LOOK_UP_SECONDS": "ten"}, "LOOK_UP_SECONDS must be a whole number of at least 1"),
        ("web", {"DEMO": "yes"}, "DEMO must be 1 or 0"),
    ],
)
def test_a_process_with_a_wrong_environment_refuses_to_start_and_says_why(django_db_setup, process, changes, sentence):
    if changes.get("DATABASE_URL") == "owner":
        changes = changes | {"DATABASE_URL": os.environ["DATABASE_OWNER_URL"]}

    said = start(process, **changes)

    assert sentence in said
    assert "canary" not in said
