"""What is typed and chosen about people: an invitation, a role, a new account."""

from typing import Any, cast

from django import forms
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.merchants.fields import NameField
from portal.merchants.models import Person
from portal.merchants.roles import Role


class RoleForm(forms.Form):
    """One of the roles the person who asks may give. The template draws each with what it can and cannot do."""

    role = forms.ChoiceField(
        label=_("Role"),
        widget=forms.RadioSelect,
        error_messages=dict.fromkeys(("required", "invalid_choice"), _("Choose one of the roles listed.")),
    )

    def __init__(self, *args: Any, roles: list[Role], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["role"]).choices = [(role.value, role.label) for role in roles]


class InviteForm(RoleForm):
    """Whom, and into which role."""

    email = forms.EmailField(
        label=_("E-mail address"),
        help_text=_("The invitation goes there."),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        error_messages={
            "required": _("Type the address the invitation goes to."),
            "invalid": _("Type one whole address, such as alice@example.com."),
            "max_length": _("That is too long for an address."),
        },
    )
    field_order = ("email", "role")

    def clean_email(self) -> str:
        """In small letters, the domain as it stands on the wire: letters that only look like others show there."""
        local, _at, domain = self.cleaned_data["email"].lower().rpartition("@")
        try:
            return f"{local}@{domain.encode('idna').decode()}"
        except UnicodeError:
            raise ValidationError(gettext("Type one whole address, such as alice@example.com.")) from None


class JoinForm(forms.Form):
    """A new account for the invited address: how one is called, and a password."""

    name = NameField(
        label=_("Your name"),
        help_text=_("As your colleagues know you. It stands beside what you do."),
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        error_messages={
            "required": _("Type your name."),
            "max_length": _("Shorten the name to 100 characters."),
        },
    )
    password = forms.CharField(
        label=_("Password"),
        help_text=_("At least 12 characters. A few words in a row are easy to keep in mind."),
        max_length=1000,  # hashing takes its time, and longer for more
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        error_messages={
            "required": _("Choose a password."),
            "max_length": _("Shorten the password to 1000 characters."),
        },
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "password" in cleaned:
            person = Person(email=self.email, name=cleaned.get("name", ""))
            try:
                password_validation.validate_password(cleaned["password"], person)
            except ValidationError as weak:
                self.add_error("password", weak)
        return cleaned
