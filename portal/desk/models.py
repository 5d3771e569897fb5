"""What people on call see beside the work itself: the processes, the tasks that broke, and the alerts.

None of it belongs to a merchant. Processes and broken tasks are written by portal/presence.py only.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


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
