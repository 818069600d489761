"""A poll is one question with a few answers; a vote only raises an answer's number."""

from django.db import models
from django.db.models import F, Q, Sum
from django.urls import reverse
from django.utils import timezone


class PollQuerySet(models.QuerySet):
    def published(self):
        """What visitors may see: opened already, whether or not closed again."""
        return self.filter(opens_at__lte=timezone.now())

    def with_turnout(self):
        return self.annotate(turnout=Sum("answers__votes", default=0))


class Poll(models.Model):
    question = models.CharField(max_length=160)
    note = models.TextField(blank=True, help_text="Shown below the question.")
    opens_at = models.DateTimeField(default=timezone.now)
    closes_at = models.DateTimeField(null=True, blank=True, help_text="Empty: voting never ends.")

    objects = PollQuerySet.as_manager()

    class Meta:
        ordering = ["-opens_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                name="poll_closes_after_it_opens",
                condition=Q(closes_at__isnull=True) | Q(closes_at__gt=F("opens_at")),
            ),
        ]

    def __str__(self):
        return self.question

    def get_absolute_url(self):
        return reverse("polls:poll", args=[self.pk])

    @property
    def is_open(self):
        now = timezone.now()
        return self.opens_at <= now and (self.closes_at is None or now < self.closes_at)


class Answer(models.Model):
    poll = models.ForeignKey(Poll, on_delete=models.CASCADE, related_name="answers")
    text = models.CharField(max_length=120)
    votes = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["poll", "text"], name="answer_once_per_poll")]

    def __str__(self):
        return self.text

    def add_vote(self):
        """Count one vote in the database itself, so that two at the same time are two."""
        type(self).objects.filter(pk=self.pk).update(votes=F("votes") + 1)
