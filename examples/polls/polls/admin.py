"""Where polls are written: a poll with its answers on one page."""

from django.contrib import admin

from .models import Answer, Poll


class AnswerInline(admin.TabularInline):
    model = Answer
    extra = 2
    readonly_fields = ["votes"]


@admin.register(Poll)
class PollAdmin(admin.ModelAdmin):
    date_hierarchy = "opens_at"
    inlines = [AnswerInline]
    list_display = ["question", "opens_at", "closes_at", "turnout"]
    search_fields = ["question"]

    def get_queryset(self, request):
        return super().get_queryset(request).with_turnout()

    @admin.display(description="votes", ordering="turnout")
    def turnout(self, poll):
        return poll.turnout
