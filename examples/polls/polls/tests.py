"""What a visitor can do, and what the database refuses."""

from datetime import timedelta

from django.contrib.auth import get_user_model
from django.contrib.staticfiles import finders
from django.db import IntegrityError, transaction
from django.test import TestCase
from django.urls import reverse
from django.utils import timezone

from .models import Answer, Poll


def make_poll(question="Tea or coffee?", answers=("Tea", "Coffee"), **fields):
    poll = Poll.objects.create(question=question, **fields)
    for text in answers:
        poll.answers.create(text=text)
    return poll


class ListTest(TestCase):
    def test_an_empty_database_is_no_error(self):
        page = self.client.get(reverse("polls:list"))
        self.assertContains(page, "Nobody has asked anything")

    def test_polls_of_the_future_are_hidden(self):
        make_poll("Which month?")
        make_poll("Which century?", opens_at=timezone.now() + timedelta(days=1))
        page = self.client.get(reverse("polls:list"))
        self.assertContains(page, "Which month?")
        self.assertNotContains(page, "Which century?")

    def test_the_linked_style_sheet_exists(self):
        page = self.client.get(reverse("polls:list"))
        self.assertContains(page, "polls/site.css")
        self.assertIsNotNone(finders.find("polls/site.css"))


class VoteTest(TestCase):
    def test_a_vote_is_counted_and_shown(self):
        poll = make_poll()
        tea = poll.answers.get(text="Tea")
        page = self.client.post(poll.get_absolute_url(), {"answer": tea.pk}, follow=True)
        self.assertContains(page, "your vote is counted")
        self.assertContains(page, "100 % (1)")
        tea.refresh_from_db()
        self.assertEqual(tea.votes, 1)

    def test_no_answer_chosen(self):
        poll = make_poll()
        page = self.client.post(poll.get_absolute_url(), {"answer": ""})
        self.assertContains(page, "Choose one of the answers first", status_code=422)

    def test_an_answer_of_another_poll_is_refused(self):
        stranger = make_poll("Cats or dogs?", ["Cats", "Dogs"]).answers.first()
        page = self.client.post(make_poll().get_absolute_url(), {"answer": stranger.pk})
        self.assertEqual(page.status_code, 422)
        self.assertFalse(Answer.objects.filter(votes__gt=0).exists())

    def test_a_closed_poll_shows_its_result_only(self):
        now = timezone.now()
        poll = make_poll(opens_at=now - timedelta(days=2), closes_at=now - timedelta(days=1))
        answer = poll.answers.first()
        page = self.client.post(poll.get_absolute_url(), {"answer": answer.pk}, follow=True)
        self.assertContains(page, "Voting has ended")
        answer.refresh_from_db()
        self.assertEqual(answer.votes, 0)


class DatabaseTest(TestCase):
    def test_a_poll_cannot_close_before_it_opens(self):
        now = timezone.now()
        with self.assertRaises(IntegrityError), transaction.atomic():
            make_poll(opens_at=now, closes_at=now - timedelta(hours=1))

    def test_an_answer_appears_once_in_a_poll(self):
        with self.assertRaises(IntegrityError), transaction.atomic():
            make_poll(answers=["Tea", "Tea"])


class AdminTest(TestCase):
    def test_a_poll_is_written_in_the_admin(self):
        self.client.force_login(get_user_model().objects.create_superuser("ada"))
        page = self.client.post(
            reverse("admin:polls_poll_add"),
            {
                "question": "Sun or rain?",
                "note": "",
                "opens_at_0": "2024-05-01",
                "opens_at_1": "12:00",
                "answers-TOTAL_FORMS": "2",
                "answers-INITIAL_FORMS": "0",
                "answers-0-text": "Sun",
                "answers-1-text": "Rain",
            },
        )
        self.assertRedirects(page, reverse("admin:polls_poll_changelist"))
        self.assertEqual(Answer.objects.filter(poll__question="Sun or rain?").count(), 2)
