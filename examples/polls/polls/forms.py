"""The ballot: one of the poll's own answers, and nothing else."""

from django import forms


class BallotForm(forms.Form):
    answer = forms.ModelChoiceField(
        queryset=None,
        empty_label=None,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose one of the answers first."},
    )

    def __init__(self, poll, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["answer"].queryset = poll.answers.all()
