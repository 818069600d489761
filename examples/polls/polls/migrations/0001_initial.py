"""Polls and their answers."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Poll",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("question", models.CharField(max_length=160)),
                ("note", models.TextField(blank=True, help_text="Shown below the question.")),
                ("opens_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "closes_at",
                    models.DateTimeField(blank=True, help_text="Empty: voting never ends.", null=True),
                ),
            ],
            options={
                "ordering": ["-opens_at", "-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("closes_at__isnull", True),
                            ("closes_at__gt", models.F("opens_at")),
                            _connector="OR",
                        ),
                        name="poll_closes_after_it_opens",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Answer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("text", models.CharField(max_length=120)),
                ("votes", models.PositiveIntegerField(default=0, editable=False)),
                (
                    "poll",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="answers", to="polls.poll"
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.UniqueConstraint(fields=("poll", "text"), name="answer_once_per_poll")
                ],
            },
        ),
    ]
