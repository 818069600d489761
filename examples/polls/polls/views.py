"""Three pages: the list, one poll with its ballot, and its result."""

from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from .forms import BallotForm
from .models import Poll


@require_safe
def poll_list(request):
    return render(request, "polls/list.html", {"polls": Poll.objects.published().with_turnout()})


def poll(request, pk):
    poll = get_object_or_404(Poll.objects.published(), pk=pk)
    if not poll.is_open:
        return redirect("polls:result", pk=pk)
    form = BallotForm(poll, request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.cleaned_data["answer"].add_vote()
        messages.success(request, "Thank you, your vote is counted.")
        return redirect("polls:result", pk=pk)
    status = 422 if form.errors else 200
    return render(request, "polls/poll.html", {"poll": poll, "form": form}, status=status)


@require_safe
def result(request, pk):
    poll = get_object_or_404(Poll.objects.published().with_turnout(), pk=pk)
    bars = [
        {"answer": answer, "percent": round(100 * answer.votes / poll.turnout) if poll.turnout else 0}
        for answer in poll.answers.all()
    ]
    return render(request, "polls/result.html", {"poll": poll, "bars": bars})
