"""All configuration, read from the environment and from nowhere else.

A wrong or missing value stops the start with one sentence that says what to do. `make run` sets every one of these;
docs/operations.md lists them for an installation on servers.
"""

import os
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

BASE_DIR = Path(__file__).resolve().parent.parent


def env_text(name: str, default: str | None = None) -> str:
    """The variable's text; a missing one without a default stops the start."""
    value = os.environ.get(name, "").strip() or default
    if value is None:
        raise ImproperlyConfigured(
            f"{name} is not set. `make run` sets it; on a server see docs/operations.md, Configuration."
        )
    return value


def env_count(name: str, default: int, *, least: int = 0) -> int:
    """The variable as a whole number of at least `least`."""
    text = env_text(name, str(default))
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise ImproperlyConfigured(f"{name} must be a whole number of at least {least}, not {text!r}.")
    return int(text)


def env_switch(name: str) -> bool:
    """True for 1, False for 0 or nothing."""
    text = env_text(name, "0")
    if text not in {"0", "1"}:
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {text!r}.")
    return text == "1"


def env_choice(name: str, default: str, choices: set[str]) -> str:
    """The variable as one of these words."""
    text = env_text(name, default)
    if text not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(sorted(choices))}, not {text!r}.")
    return text


def env_sender(name: str, default: str) -> str:
    """The variable as an e-mail address, perhaps with a name: `Tillside <mail@till.example.com>`."""
    text = env_text(name, default)
    if not re.fullmatch(r"(?:[^<>@\x00-\x1f]* <)?[A-Za-z0-9.!#$&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+>?", text):
        raise ImproperlyConfigured(f"{name} must look like Tillside <mail@till.example.com>, not {text!r}.")
    return text


def env_origin(name: str, default: str | None = None) -> str:
    """The variable as `scheme://host[:port]`, without a path."""
    return _origin(name, env_text(name, default))


def _origin(name: str, text: str) -> str:
    text = text.rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
        raise ImproperlyConfigured(f"{name} must look like https://till.example.com, not {text!r}.")
    return text


def env_origins(name: str) -> list[str]:
    """The variable as several of these, separated by commas; none by default."""
    return [_origin(name, each.strip()) for each in env_text(name, ",").split(",") if each.strip()]


def env_database(name: str, *, pool: int) -> dict[str, object]:
    """A PostgreSQL address in libpq's own URL form as Django's settings; `pool` connections at most, 0 for no pool."""
    url = env_text(name)
    try:
        found = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    except ProgrammingError:
        # The address holds a password, so it is not repeated here.
        raise ImproperlyConfigured(f"{name} must look like postgresql://user:password@host:5432/database.") from None
    options: dict[str, object] = {
        key: value for key, value in found.items() if key not in {"dbname", "user", "password", "host", "port"}
    }
    if pool:
        from portal.merchants import tenancy

        # `reset` runs whenever a connection goes back: no context outlives its request on a shared connection.
        # The pool waits longer with every failed attempt; giving up after 3 s makes the next request try afresh, so
        # that a database that comes back is used at once.
        options["pool"] = {
            "min_size": 1,
            "max_size": pool,
            "reset": tenancy.forget,
            "timeout": 5,
            "reconnect_timeout": 3,
        }
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": found.get("dbname", ""),
        "USER": found.get("user", ""),
        "PASSWORD": found.get("password", ""),
        "HOST": found.get("host", ""),
        "PORT": found.get("port", ""),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


# ---- The site -------------------------------------------------------------------------------------------------
SECRET_KEY = env_text("SECRET_KEY")
DEBUG = False  # never: its error pages print local variables, and ours hold card numbers
PUBLIC_URL = env_origin("PUBLIC_URL")
HTTPS = PUBLIC_URL.startswith("https://")
ALLOWED_HOSTS = [urlsplit(PUBLIC_URL).hostname]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
VAR = Path(env_text("VAR", str(BASE_DIR / "var"))).resolve()
DEMO = env_switch("DEMO")
# How many proxies of ours stand in front: so many steps from the right of X-Forwarded-For is the visitor.
TRUSTED_PROXY_COUNT = env_count("TRUSTED_PROXY_COUNT", 0)

# The providers, imitated. Its origin is exempt from the address rules: it listens on this machine only.
SANDBOX_URL = env_origin("SANDBOX_URL") if os.environ.get("SANDBOX_URL") else ""
# So are these: test hosts of providers that have no certificate or no usual port, and a stand-in for a whole provider.
PROVIDER_ORIGINS_ALLOWED = env_origins("PROVIDER_ORIGINS_ALLOWED") + ([SANDBOX_URL] if SANDBOX_URL else [])

INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_htmx",
    "template_partials",
    "portal.apps.PortalConfig",
    "portal.merchants",
    "portal.mail",
    "portal.customers",
    "portal.ledger",
    "portal.codes",
    "portal.shopper",
    "portal.desk",
]

MIDDLEWARE = [
    "portal.middleware.healthz",
    "portal.middleware.request_id",
    "portal.middleware.security_headers",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.languages.of_the_browser",
    "portal.middleware.refuse_unreadable",
    "portal.merchants.sessions.strict_for_administrators",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.merchants.sessions.watch",
    "portal.languages.of_the_person",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.middleware.only_by_a_form",
    "allauth.account.middleware.AccountMiddleware",
    "portal.merchants.second_factor.of_administrators",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.middleware.page",
                "portal.languages.offered",
                "portal.desk.frame.staff",
                "portal.desk.frame.signing_in",
            ],
            "builtins": ["template_partials.templatetags.partials", "portal.templatetags.formats"],
        },
    }
]

FORM_RENDERER = "portal.widgets.Renderer"

# ---- Data -----------------------------------------------------------------------------------------------------
# The application's role reads and writes rows under row-level security. The owner's login, where it is given at all,
# serves `release`, test set-up and removing demo data only.
DATABASES: dict[str, dict[str, object]] = {
    "default": env_database("DATABASE_URL", pool=env_count("DATABASE_POOL", 10, least=1))
}
if os.environ.get("DATABASE_OWNER_URL"):
    DATABASES["owner"] = env_database("DATABASE_OWNER_URL", pool=0)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Limits on signing in must hold over every web process, so the cache lives where they all look: in the database.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}}
SEALING_KEYS = Path(env_text("SEALING_KEYS"))
# Web only: seals sessions and the seeds of second factors. Several, by commas: the first seals, all open.
SIGN_IN_KEYS = os.environ.get("SIGN_IN_KEYS", "")
OPENING_KEYS = Path(os.environ["OPENING_KEYS"]) if os.environ.get("OPENING_KEYS") else None

# ---- People ---------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "merchants.Person"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "start"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "portal.merchants.accounts.Adapter"
ACCOUNT_FORMS = {"signup": "portal.merchants.accounts.SignUpForm"}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_SIGNUP_REDIRECT_URL = "found"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# By code, typed where one began: no link that a mail scanner opens or that leads to another browser.
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = 3
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT = 15 * 60
ACCOUNT_REAUTHENTICATION_TIMEOUT = 5 * 60
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXY_COUNT
# Failures are counted, successes are not. A till's people share one address; a person has one account.
ACCOUNT_RATE_LIMITS = {
    "login": "60/m/ip",
    "login_failed": "10/m/ip,100/h/ip,5/5m/key",
    "signup": "10/10m/ip",
    "reset_password": "10/10m/ip,3/10m/key",
    "confirm_email": "1/10s/key",
}
# The second factor; each key asks for a PIN, a finger or a face, so that a stolen one opens nothing.
MFA_ADAPTER = "portal.merchants.second_factor.Adapter"
MFA_FORMS = {
    "authenticate": "portal.merchants.second_factor.CodeForm",
    "reauthenticate": "portal.merchants.second_factor.CodeAgainForm",
    "login_webauthn": "portal.merchants.second_factor.SignInKeyForm",
    "authenticate_webauthn": "portal.merchants.second_factor.KeyForm",
    "reauthenticate_webauthn": "portal.merchants.second_factor.KeyAgainForm",
    "add_webauthn": "portal.merchants.second_factor.NewKeyForm",
}
MFA_SUPPORTED_TYPES = ["webauthn", "totp", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_USER_VERIFICATION = "required"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS  # http://localhost, which browsers take for safe
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "Tillside"
MFA_TOTP_TOLERANCE = 1  # steps of 30 s: telephones' clocks are not exact
MFA_TRUST_ENABLED = True
MFA_TRUST_COOKIE_AGE = timedelta(days=1)
MFA_TRUST_COOKIE_NAME = "__Host-factor" if HTTPS else "tillside_factor"
JUST_NOW_SECONDS = 60
# Failures over all accounts in five minutes; past it, signing in by password is closed until they are fewer.
SIGN_IN_FAILURES = env_count("SIGN_IN_FAILURES", 1000, least=1)
# What allauth has no limit for: failures over all accounts, and mail that strangers have sent. Ours: accounts.py.
SIGN_IN_LIMITS = {
    "everywhere": f"{SIGN_IN_FAILURES}/5m/key",
    "mail_to_one": "10/h/key",
    "mail_to_all": "2000/h/key",
    "found": "10/h/user",
    "test_connection": f"{env_count('CONNECTION_TESTS_AN_HOUR', 30, least=1)}/h/user",
}

# Invitations: days until the link is dead, and mails in 24 hours, of a merchant and to one address of it.
INVITATION_DAYS = env_count("INVITATION_DAYS", 7, least=1)
INVITATIONS_A_DAY = env_count("INVITATIONS_A_DAY", 50, least=1)
INVITATIONS_TO_ONE_ADDRESS_A_DAY = env_count("INVITATIONS_TO_ONE_ADDRESS_A_DAY", 5, least=1)

# How long an administrator looks at a merchant's pages, once begun.
VIEW_AS_SECONDS = env_count("VIEW_AS_SECONDS", 30 * 60, least=60)
# Drafts of connections, with the secrets sealed in them, are erased so many days after they were last touched.
DRAFT_DAYS = env_count("DRAFT_DAYS", 7, least=1)

# In the session and nowhere else: a cookie of its own would carry one cashier's messages to the next.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SESSION_ENGINE = "portal.merchants.session_store"
SESSION_LASTS_SECONDS = 12 * 3600  # whoever works, and however much
SESSION_COOKIE_AGE = 30 * 60  # idle: a till left alone for half an hour is locked
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "tillside_session"
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "tillside_csrf"
CSRF_FAILURE_VIEW = "portal.desk.failing.form_expired"

# ---- The wire -------------------------------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = False  # the proxy's work; a redirect here would loop behind one that talks http to us
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024  # bytes; the largest form of ours, a long basket, is a tenth of it
DATA_UPLOAD_MAX_NUMBER_FIELDS = 700  # a basket of 100 lines, of six fields each
# A file may hold a key: it is never laid down on a disk. What is larger than this (bytes) is not taken at all.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 10

STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# ---- Language and time ----------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]  # each in its own words, for the choice
# English with accents, 40 % longer and in brackets, once from left to right and once from right to left: shows what is
# not translated and what does not fit.
PSEUDO_LANGUAGES = [("en-xa", "Ƥşḗŭḓō"), ("ar-xb", "Ƥşḗŭḓō ←")] if env_switch("PSEUDO_LANGUAGES") else []
LANGUAGES += PSEUDO_LANGUAGES
LOCALE_PATHS = [VAR / "locale"]  # where portal/catalogs.py puts the compiled catalogs
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SECURE = HTTPS
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_NAME = "__Host-language" if HTTPS else "tillside_language"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# ---- Workers --------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env_text("CELERY_BROKER_URL")
# A look-up, in seconds: how long one exchange may take, and how long after it a silent worker is taken for dead.
LOOK_UP_CONNECT_SECONDS = env_count("LOOK_UP_CONNECT_SECONDS", 3, least=1)
LOOK_UP_SECONDS = env_count("LOOK_UP_SECONDS", 10, least=1)
LOOK_UP_LEASE_SECONDS = env_count("LOOK_UP_LEASE_SECONDS", LOOK_UP_SECONDS + 10, least=2)
LOOK_UP_KEPT_SECONDS = env_count("LOOK_UP_KEPT_SECONDS", 15 * 60, least=10)
# Of one provider's so many at once, over all merchants: one that hangs holds half of a worker's threads at most.
LOOK_UPS_AT_A_PROVIDER = env_count("LOOK_UPS_AT_A_PROVIDER", 25, least=1)
# An operation, in seconds: connecting, the whole call, the lease of the worker that makes it, and how long a lost
# answer is left alone before anybody looks what became of it.
OPERATION_CONNECT_SECONDS = env_count("OPERATION_CONNECT_SECONDS", 5, least=1)
OPERATION_SECONDS = env_count("OPERATION_SECONDS", 30, least=1)
OPERATION_LEASE_SECONDS = env_count("OPERATION_LEASE_SECONDS", OPERATION_SECONDS + 15, least=2)
QUIET_SECONDS = env_count("QUIET_SECONDS", 120, least=1)
# A code for a customer to scan is shown for so many hours at most. Nobody can be asked what became of one; a customer
# scans it at the till.
CODE_HOURS = env_count("CODE_HOURS", 24, least=1)
# How long a wish above somebody's limit waits for a second person.
APPROVAL_SECONDS = env_count("APPROVAL_SECONDS", 15 * 60, least=1)
# The test of a connection asks three times at most; a worker silent for longer is taken for dead.
TRIAL_LEASE_SECONDS = env_count("TRIAL_LEASE_SECONDS", 3 * LOOK_UP_SECONDS + 10, least=2)
SWEEP_SECONDS = env_count("SWEEP_SECONDS", 5, least=1)

# ---- The public balance page ----------------------------------------------------------------------------------
# Tries from one address (an IPv4, or the 64 bits of an IPv6 that belong to one household) in a minute, hour and day.
SHOPPER_ADDRESS_MINUTE = env_count("SHOPPER_ADDRESS_MINUTE", 5, least=1)
SHOPPER_ADDRESS_HOUR = env_count("SHOPPER_ADDRESS_HOUR", 20, least=1)
SHOPPER_ADDRESS_DAY = env_count("SHOPPER_ADDRESS_DAY", 60, least=1)
# From its network (/24 or /48); past it, a try costs four times the work.
SHOPPER_NETWORK_HOUR = env_count("SHOPPER_NETWORK_HOUR", 60, least=1)
# Wrong tries at one card: 5 in 15 minutes are a person's; 30 in 30 days find a PIN of four digits with 0.3 %.
SHOPPER_CARD_QUARTER = env_count("SHOPPER_CARD_QUARTER", 5, least=1)
SHOPPER_CARD_DAY = env_count("SHOPPER_CARD_DAY", 10, least=1)
SHOPPER_CARD_MONTH = env_count("SHOPPER_CARD_MONTH", 30, least=1)
# One PIN tried over so many cards in an hour costs eight times the work.
SHOPPER_PIN_CARDS = env_count("SHOPPER_PIN_CARDS", 20, least=1)
# Of one merchant's shoppers so many are asked about at once, and so many wait.
SHOPPERS_AT_ONCE = env_count("SHOPPERS_AT_ONCE", 4, least=1)
SHOPPERS_WAITING = env_count("SHOPPERS_WAITING", 20, least=1)
# Hashings on average for one try, each of 2,000 rounds: half a second of a server's core, two of a telephone's, which
# begins with the first key that is typed.
SHOPPER_WORK = env_count("SHOPPER_WORK", 1024, least=1)
SHOPPER_PROOF_SECONDS = env_count("SHOPPER_PROOF_SECONDS", 5 * 60, least=5)
SHOPPER_TYPING_SECONDS = env_count("SHOPPER_TYPING_SECONDS", 2, least=0)  # nobody types number and PIN faster
SHOPPER_SHOWN_SECONDS = env_count("SHOPPER_SHOWN_SECONDS", 5 * 60, least=30)  # then the balance is asked for anew
SHOPPER_PATIENCE_MS = env_count(
    "SHOPPER_PATIENCE_MS", 2000, least=50
)  # the limits' queries; past it the page is closed

# ---- On call --------------------------------------------------------------------------------------------------
# Every worker is given something to do this often, so that one that hears nothing is told from one that rests.
ROLL_SECONDS = env_count("ROLL_SECONDS", 10, least=1)
# Three calls missed. One may be lost with a broker that starts anew, two while a worker connects again.
WORKER_DEAF_SECONDS = env_count("WORKER_DEAF_SECONDS", 3 * ROLL_SECONDS, least=2)
# Alerts are looked for by every worker that hears the roll call, by /readyz and by the page, at most this often.
LOOK_SECONDS = env_count("LOOK_SECONDS", 5, least=1)
# Six roll calls and twelve sweeps: by then it is not one lost message, and people at tills have noticed.
ALERT_IDLE_SECONDS = env_count("ALERT_IDLE_SECONDS", 60, least=1)
# A till says after 5 s that nobody is asking; half a minute means that the workers do not keep up.
ALERT_WAITING_SECONDS = env_count("ALERT_WAITING_SECONDS", 30, least=1)
# The promise: what nobody knows is settled, or put before a person, within five minutes.
ALERT_UNCLEAR_SECONDS = env_count("ALERT_UNCLEAR_SECONDS", 5 * 60, least=1)
# Of a hundred operations in a quarter of an hour, at three lost answers or more: an ordinary day has less than one. And
# four times as many as this connection had in the day before, since some providers are always like that.
ALERT_UNCLEAR_PERCENT = env_count("ALERT_UNCLEAR_PERCENT", 5, least=1)
ALERT_UNCLEAR_LEAST = env_count("ALERT_UNCLEAR_LEAST", 3, least=1)
ALERT_UNCLEAR_TIMES_NORMAL = env_count("ALERT_UNCLEAR_TIMES_NORMAL", 4, least=1)
# A sign-in code is waited for by somebody; after ten minutes they have given up.
ALERT_MAIL_SECONDS = env_count("ALERT_MAIL_SECONDS", 10 * 60, least=1)
# Our longest transaction takes seconds; one of ten minutes is forgotten and keeps the database from tidying up.
ALERT_TRANSACTION_SECONDS = env_count("ALERT_TRANSACTION_SECONDS", 10 * 60, least=1)
# An alert is over when it was not so for a minute: what comes and goes is one alert, and one mail.
ALERT_CALM_SECONDS = env_count("ALERT_CALM_SECONDS", 60, least=0)
ALERT_MAIL = [each.strip() for each in env_text("ALERT_MAIL", "").split(",") if each.strip()]

HEALTH_KEPT_DAYS = env_count("HEALTH_KEPT_DAYS", 90, least=31)  # counts of calls, by hour

# ---- Mail -----------------------------------------------------------------------------------------------------
# Every mail of the site becomes a row; workers, and nobody else, speak to the mail server.
EMAIL_BACKEND = "portal.mail.backend.Outbox"
MAIL_FROM = DEFAULT_FROM_EMAIL = SERVER_EMAIL = env_sender(
    "MAIL_FROM", f"Tillside <mail@{urlsplit(PUBLIC_URL).hostname}>"
)
MAIL_HOST = env_text("MAIL_HOST", "")
MAIL_TLS = env_choice("MAIL_TLS", "starttls", {"starttls", "tls", "none"})
MAIL_PORT = env_count("MAIL_PORT", {"starttls": 587, "tls": 465, "none": 25}[MAIL_TLS], least=1)
MAIL_USER = env_text("MAIL_USER", "")
MAIL_PASSWORD = env_text("MAIL_PASSWORD", "")
if MAIL_PASSWORD and MAIL_TLS == "none":
    raise ImproperlyConfigured("MAIL_TLS=none would send MAIL_PASSWORD for all to read. Use starttls or tls.")
if bool(MAIL_USER) != bool(MAIL_PASSWORD):
    raise ImproperlyConfigured("MAIL_USER and MAIL_PASSWORD belong together: set both, or neither.")
MAIL_WITHHELD = env_switch("MAIL_WITHHELD")  # nothing leaves this installation
# Seconds: connecting, and the whole conversation about one mail; after the lease its worker is taken for dead.
MAIL_CONNECT_SECONDS = env_count("MAIL_CONNECT_SECONDS", 10, least=1)
MAIL_SECONDS = env_count("MAIL_SECONDS", 120, least=1)
MAIL_LEASE_SECONDS = env_count("MAIL_LEASE_SECONDS", MAIL_CONNECT_SECONDS + MAIL_SECONDS + 30, least=2)
# The first pause; each is three times the one before, six hours at most. Ten tries take most of a day.
MAIL_PAUSE_SECONDS = env_count("MAIL_PAUSE_SECONDS", 30, least=1)
MAIL_TRIES = env_count("MAIL_TRIES", 10, least=1)
MAIL_AT_ONCE = env_count("MAIL_AT_ONCE", 5, least=1)  # connections to the mail server, of all workers together
MAIL_RECIPIENT_HOUR = env_count("MAIL_RECIPIENT_HOUR", 10, least=1)  # mails to one recipient, from all merchants
MAIL_RECIPIENT_DAY = env_count("MAIL_RECIPIENT_DAY", 30, least=1)
MAIL_MERCHANT_DAY = env_count("MAIL_MERCHANT_DAY", 1000, least=1)
MAIL_MESSAGE_DAYS = env_count("MAIL_MESSAGE_DAYS", 3, least=1)  # the text of a mail that stopped
MAIL_KEPT_DAYS = env_count("MAIL_KEPT_DAYS", 90, least=7)  # its line in the outbox

# ---- Logs -----------------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request": {"()": "portal.middleware.RequestIdFilter"}},
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(request_id)s %(message)s",
            "rename_fields": {"asctime": "at", "levelname": "level", "name": "logger"},
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["request"]}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # Django mails errors by default and prints query texts at DEBUG: neither here.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.db.backends": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
    },
}
