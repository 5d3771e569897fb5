"""The card providers, imitated: each one's server as its documents describe it, with state and with faults.

Nothing here imports the rest of Tillside, and only management commands and tests import this. A new provider
is one module and one line below.
"""

from portal.sandboxes.cardinquiry import CARDINQUIRY
from portal.sandboxes.paywizard import PAYWIZARD
from portal.sandboxes.revenuemonster import REVENUEMONSTER
from portal.sandboxes.secuconnect import SECUCONNECT

PROVIDERS = (CARDINQUIRY, PAYWIZARD, REVENUEMONSTER, SECUCONNECT)
