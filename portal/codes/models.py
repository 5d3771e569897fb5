"""What providers told by themselves: of each message only that it was here, so that a copy of it is told from it."""

from django.db import models

from portal.merchants.models import Connection, Merchant


class Heard(models.Model):
    """A message that was proved to be the provider's. Erased after a day: by then a copy is too old to be believed."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    nonce = models.CharField(max_length=100)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="heard_of_merchant"),
            models.UniqueConstraint(fields=["connection", "nonce"], name="heard_once"),
        ]
        indexes = [models.Index(fields=["at"], name="heard_oldest")]
