"""The desk's pages about customers arrange them as the customers' own tests do."""

from tests.customers.conftest import at_jung

__all__ = ["at_jung"]
