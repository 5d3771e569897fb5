"""Alice's tills, arranged as the ledger's own tests do."""

from tests.ledger.conftest import awards, paywizard, revenuemonster, till

__all__ = ["awards", "paywizard", "revenuemonster", "till"]
