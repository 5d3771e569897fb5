"""What a person says about an operation whose end nobody knows."""

from django import forms
from django.utils.translation import gettext_lazy as _

HAPPENED, DID_NOT = "happened", "did_not"


class DecisionForm(forms.Form):
    """It happened or it did not, and why. The verdict is the button that was pressed."""

    verdict = forms.ChoiceField(
        choices=[(HAPPENED, _("It happened")), (DID_NOT, _("It did not"))],
        widget=forms.HiddenInput,
        error_messages=dict.fromkeys(("required", "invalid_choice"), _("Say whether it happened or not.")),
    )
    reason = forms.CharField(
        label=_("How do you know?"),
        help_text=_("For example: the provider confirmed it by phone, with the name of who said so."),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={
            "required": _("Write how you know. Others will rely on it."),
            "max_length": _("Say it in at most 500 characters."),
        },
    )
