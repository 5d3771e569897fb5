"""What people on call see beside the work itself: the processes, the tasks that broke, and the alerts.

None of it belongs to a merchant. Processes and broken tasks are written by portal/presence.py only, alerts by
alerts.py.
"""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.merchants.writers import Writer, WrittenRows

alert_writer = Writer("portal.desk.alerts")


class Process(models.Model):
    """A worker or beat, from its start to its end. That it lives says its lock (presence.LOCK), not this row."""

    class Kind(models.TextChoices):
        WORKER = "worker", _("Worker")
        BEAT = "beat", _("Beat")

    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=200, help_text="worker@host.")
    queues = models.CharField(max_length=200, blank=True, help_text="What it listens to, by blanks.")
    threads = models.PositiveIntegerField(default=0)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    told_at = models.DateTimeField(help_text="When it last wrote this row.")
    called_at = models.DateTimeField(null=True, help_text="When the last roll call came to it; of beat: left it.")
    begun_at = models.DateTimeField(null=True, help_text="When it last took work.")
    ended_at = models.DateTimeField(null=True, help_text="When it last finished work.")
    in_hand = models.PositiveIntegerField(default=0, help_text="Tasks under way when it last wrote.")
    full_since = models.DateTimeField(null=True, help_text="All its threads were taken, from then until it wrote.")
    done = models.PositiveBigIntegerField(default=0, help_text="Pieces of work since its start.")
    late_seconds = models.FloatField(default=0, help_text="Of beat: how much later than due it last called.")
    stopped_at = models.DateTimeField(null=True, help_text="It said goodbye.")

    class Meta:
        indexes = [models.Index(fields=["kind", "-id"], name="process_newest")]


class FailedTask(models.Model):
    """Tasks that ended by an error nobody foresaw, by cause. Without arguments and without the error's own text, which
    may hold what people typed."""

    task = models.CharField(max_length=100)
    cause = models.CharField(max_length=100, help_text="The kind of error.")
    place = models.CharField(max_length=200, help_text="Where in our code.")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "cause", "place"], name="failed_task_once")]
        indexes = [models.Index(fields=["-last_at"], name="failed_task_newest")]


class AlertRows(WrittenRows["Alert"]):
    """Alerts."""

    writer = alert_writer


class Alert(models.Model):
    """Something that people on call should know, from when it was found until it was no more so."""

    kind = models.CharField(max_length=30, help_text="on_call_words.RUNBOOKS.")
    about = models.CharField(max_length=200, blank=True, help_text="Which one, where there are several.")
    told = models.JSONField(default=dict, help_text="Names and numbers for its sentence.")
    since = models.DateTimeField(help_text="Since when it is so.")
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="When it was last found to be so.")
    resolved_at = models.DateTimeField(null=True)

    objects = AlertRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "about"], condition=models.Q(resolved_at=None), name="alert_open_once"
            ),
            models.CheckConstraint(
                condition=models.Q(resolved_at=None) | models.Q(resolved_at__gte=models.F("opened_at")),
                name="alert_resolved_after_it_opened",
            ),
        ]
        indexes = [models.Index(fields=["-resolved_at"], name="alert_newest")]

    def save(self, *args: Any, **kwargs: Any) -> None:
        alert_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        alert_writer.require()
        return super().delete(*args, **kwargs)
