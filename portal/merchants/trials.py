"""Trying a connection out: a worker opens the secrets of a draft, has the doctor look, and reports to connecting.py."""

import base64
import logging
from collections.abc import Mapping

from django.conf import settings

from portal.connectors import PROVIDERS, doctor
from portal.connectors.base import Misconfigured, Reason, SettingsError
from portal.connectors.doctor import Finding
from portal.connectors.http import Exchange
from portal.merchants import connecting, connections, hosts, outward, tenancy, vault
from portal.merchants.models import ConnectionDraft

log = logging.getLogger(__name__)

# The provider was away or busy: what was typed may well be right.
AWAY = frozenset({Reason.UNREACHABLE, Reason.TIMEOUT, Reason.CUT, Reason.SERVER_ERROR, Reason.THROTTLED})


def try_out(draft_id: int) -> None:
    """Test one waiting draft and report what was found. Nothing happens if it is not waiting."""
    with tenancy.every_merchant("a worker claims the test of a connection by its id"):
        draft = connecting.claim(draft_id)
    if draft is None:
        return
    with tenancy.merchant(draft.merchant_id):
        try:
            options = PROVIDERS[draft.provider].Settings.options(draft.typed)
            hosts.require(draft.merchant_id, draft.provider, options)
            secrets = _open(draft)
        except vault.CannotOpen:
            # Not the provider's doing: a box was copied, or its key is gone. Somebody has to look.
            log.exception("a sealed value does not open", extra={"draft": str(draft.key)})
            connecting.failed(draft, why=connecting.SEALED_ELSEWHERE)
        except SettingsError:
            connecting.failed(draft, why=connecting.INCOMPLETE)
        except Misconfigured:
            connecting.failed(draft, why=connecting.NOT_APPROVED)
        else:
            _examine(draft, options, secrets)


def _open(draft: ConnectionDraft) -> dict[str, str]:
    """All secrets of the connection to be: what was typed, over what the connection has. Raises vault.CannotOpen."""
    known = connections.open_secrets(draft.connection) if draft.connection else {}
    typed = {
        name: vault.open_sealed(connecting.place(draft, name), base64.b64decode(box)).decode()
        for name, box in draft.sealed.items()
    }
    return known | typed


def _examine(draft: ConnectionDraft, options: Mapping[str, object], secrets: Mapping[str, str]) -> None:
    outward.give_back_database()
    findings = doctor.examine(
        draft.provider,
        {**options, **secrets},
        wire=outward.wire(),
        environment=draft.environment,
        on_finding=lambda finding: _tell(draft, finding),
        on_exchange=lambda exchange: _log(draft, exchange),
        connect_seconds=settings.LOOK_UP_CONNECT_SECONDS,
        total_seconds=settings.LOOK_UP_SECONDS,
    )
    if findings and all(finding.passed for finding in findings):
        connecting.passed(draft, options=options, secrets=secrets)
    else:
        was_away = bool(findings) and findings[-1].reason in AWAY
        connecting.failed(draft, secrets=secrets if was_away else None)


def _tell(draft: ConnectionDraft, finding: Finding) -> None:
    connecting.found(draft, finding)
    outward.give_back_database()


def _log(draft: ConnectionDraft, exchange: Exchange) -> None:
    log.info(
        "exchange",
        extra={
            "draft": str(draft.key),
            "provider": draft.provider,
            "status": exchange.status,
            "failure_reason": exchange.reason,
            "total_seconds": round(exchange.total_seconds, 4),
        },
    )
