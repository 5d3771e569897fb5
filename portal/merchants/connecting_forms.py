"""The form of a draft, made from what a connector declares. It draws no secret, and checks each field by its own rule.

A setting `base_url` is the field `set_base_url`; a secret has `file_…` beside it, for a key that is kept in a file.
"""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal import formats
from portal.connectors import PROVIDERS
from portal.connectors.base import SettingsError
from portal.connectors.fields import Field, Refused
from portal.languages import said
from portal.merchants import connecting, hosts
from portal.merchants.fields import NameField, one_line
from portal.merchants.hosts import Standing
from portal.merchants.models import ConnectionDraft, Environment, HostApproval, HostState

LARGEST_KEY = 16 * 1024  # bytes of a file; an RSA key of 8192 bits has 6,500
_SETTING, _FILE = "set_", "file_"
_WHILE_TYPING = "input changed delay:500ms, change"
_MISSING = "Fill this in."  # as connectors say it


class ConnectForm(forms.Form):
    """What a provider needs to know, the name of the connection, and the shop's name where real money is meant."""

    def __init__(self, *args: Any, draft: ConnectionDraft, url: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.draft, self.url = draft, url
        self.may_ask = False  # whether an administrator can be asked for an address
        self.declared = PROVIDERS[draft.provider].Settings.declared()
        if draft.connection is None:
            self.fields["name"] = NameField(
                label=gettext_lazy("Name"),
                help_text=gettext_lazy("As your people see it beside the scan box."),
                max_length=100,
                required=False,
                initial=draft.name,
                error_messages={"max_length": gettext_lazy("Shorten the name to 100 characters.")},
            )
        for name, asked in self.declared.items():
            self.fields[_SETTING + name] = self._field(name, asked)
            if asked.kind == "secret":
                self.fields[_FILE + name] = _KeyFile(label=gettext_lazy("Or take it from a file"), required=False)
        if draft.environment == Environment.LIVE and not draft.shop_named:
            self.fields["shop_name"] = forms.CharField(
                label=gettext_lazy("The name of your shop"),
                help_text=gettext_lazy("Type it to say that you mean real cards and real money."),
                required=False,
                max_length=200,
            )

    def _field(self, name: str, asked: Field) -> forms.Field:
        field = _SETTING + name
        attributes = {
            "autocomplete": "off",
            "spellcheck": "false",
            "autocapitalize": "off",
            "aria-describedby": f"id_{field}_helptext id_{field}_said" if asked.help else f"id_{field}_said",
            "hx-post": self.url,
            # A secret takes the address along that it is for, which may have been typed a moment ago.
            "hx-params": ",".join([field, *self._addresses()]) if asked.kind == "secret" else field,
            "hx-target": f"#id_{field}_said",
            "hx-swap": "innerHTML",
            "hx-sync": "this:replace",
            # A secret is sealed when it is whole; the others are checked while they are typed.
            "hx-trigger": "change"
            if asked.kind in ("secret", "switch", "choice")
            else "input changed delay:500ms, change",
        }
        words: dict[str, Any] = {
            "label": said(asked.label),
            "help_text": said(asked.help) if asked.help else "",
            "required": False,
        }
        initial = self.draft.typed.get(name)
        if initial is None:
            default = PROVIDERS[self.draft.provider].Settings.__dataclass_fields__[name].default
            initial = "" if asked.required else default
        if asked.kind == "switch":
            return forms.BooleanField(widget=forms.CheckboxInput(attributes), initial=initial in (True, "on"), **words)
        if asked.kind == "choice":
            choices = [(value, said(label)) for value, label in asked.choices]
            nothing = [("", _("Choose…"))] if asked.required else []
            return forms.CharField(
                widget=forms.Select(attributes, choices=[*nothing, *choices]), initial=initial, **words
            )
        if asked.kind == "secret":
            widget = forms.PasswordInput(attributes | {"autocomplete": "new-password"}, render_value=False)
            return forms.CharField(widget=widget, strip=False, max_length=asked.maximum, **words)
        kinds = {"address": ("url", forms.URLInput), "number": ("numeric", forms.TextInput)}
        inputmode, kind = kinds.get(asked.kind, ("text", forms.TextInput))
        return forms.CharField(widget=kind(attributes | {"inputmode": inputmode}), initial=initial, **words)

    # ---- What was typed

    def clean(self) -> dict[str, Any]:
        """Each field that was filled in, by its own rule; what is missing is not looked at yet."""
        cleaned = super().clean() or self.cleaned_data
        for name, asked in self.declared.items():
            text = self._typed(name, asked)
            if asked.kind == "secret" and (key := cleaned.get(_FILE + name)):
                text = key
            if not text or asked.kind == "switch":
                continue
            try:
                asked.clean(text)
            except Refused as refused:
                self.add_error(_SETTING + name, said(refused.sentence))
            else:
                cleaned[_SETTING + name] = text
        return cleaned

    def _typed(self, name: str, asked: Field) -> str:
        value = self.cleaned_data.get(_SETTING + name) if asked.kind != "secret" else self.data.get(_SETTING + name)
        return ("on" if value else "") if asked.kind == "switch" else str(value or "")

    def _addresses(self) -> list[str]:
        return [_SETTING + name for name in address_names(self.draft)]

    def typed(self, only: str = "") -> dict[str, str]:
        """The settings that are no secret, as they were typed, right or wrong; of those that were sent at all.

        `only` is the field that was typed into; the addresses that a secret takes along count, too.
        """
        found = {}
        asked_for = {only, *self._addresses()}
        for name, asked in self.declared.items():
            field = _SETTING + name
            # A browser says nothing of a switch that is out: it is told from one that was not there.
            sent = field in self.data or (asked.kind == "switch" and (only == field or "whole" in self.data))
            if asked.kind != "secret" and sent and (not only or field in asked_for):
                # Without signs that nobody types and the database does not take, such as NUL.
                text = "".join(sign for sign in str(self.data.get(field, "")) if sign.isprintable())
                found[name] = ("on" if text else "") if asked.kind == "switch" else text[: asked.maximum + 1]
        return found

    def secrets(self) -> dict[str, str]:
        """The secrets that were typed or came in a file, and are in order."""
        return {
            name: self.cleaned_data[_SETTING + name]
            for name, asked in self.declared.items()
            if asked.kind == "secret" and self.cleaned_data.get(_SETTING + name) and _SETTING + name not in self.errors
        }

    def require_all(self, draft: ConnectionDraft, *, forgot: bool) -> None:
        """Add what stands in the way of a test, of the draft as it is kept now. `forgot`: it led to another host
        before, and its secrets are gone."""
        try:
            PROVIDERS[draft.provider].Settings.options(draft.typed)
        except SettingsError as wrong:
            self._complain(wrong.errors)
        missing = connecting.missing_secrets(draft)
        again = _("The address leads to another host now. Type this secret again for it.")
        elsewhere = forgot or connecting.leads_elsewhere(draft)
        self._complain(dict.fromkeys(missing, again if elsewhere else _MISSING))
        self._refuse_address_of_the_other_environment(draft)
        self._judge_addresses(draft)
        if "shop_name" in self.fields and not self.names_the_shop():
            self.add_error("shop_name", _("Type the name exactly: %(name)s") % {"name": draft.merchant.name})

    def _complain(self, errors: Mapping[str, str]) -> None:
        for name, sentence in errors.items():
            if _SETTING + name not in self.errors:
                words = {"label": said(self.declared[name].label)}
                # In the summary above the form it stands without its field.
                text = _("Fill in: %(label)s") % words if sentence == _MISSING else said(sentence)
                self.add_error(_SETTING + name, text)

    def _refuse_address_of_the_other_environment(self, draft: ConnectionDraft) -> None:
        other = Environment.SANDBOX if draft.environment == Environment.LIVE else Environment.LIVE
        for name, url in PROVIDERS[draft.provider].hosts.get(other, {}).items():
            if draft.typed.get(name, "").strip().rstrip("/").lower() == url.lower():
                if other == Environment.SANDBOX:
                    sentence = _("This is the address of the test environment. Choose the live one, or sandbox above.")
                else:
                    sentence = _("This is the address for real cards. Choose the test one, or live above.")
                self._complain({name: sentence})

    def _judge_addresses(self, draft: ConnectionDraft) -> None:
        for name in address_names(draft):
            if _SETTING + name in self.errors:
                continue
            verdict = hosts.judge(draft.merchant, draft.provider, draft.typed.get(name, "").strip())
            if verdict.standing is Standing.REFUSED:
                self._complain({name: verdict.sentence})
            elif verdict.standing is Standing.WANTS_APPROVAL:
                self._complain({name: _of_approval(verdict.last)})
                self.may_ask = self.may_ask or verdict.last is None or verdict.last.state != HostState.WAITING

    def names_the_shop(self) -> bool:
        """Whether the shop's name was typed, in whatever capitals."""
        typed, name = (one_line(text).casefold() for text in (self.data.get("shop_name", ""), self.draft.merchant.name))
        return typed == name

    # ---- For the page

    def lines(self, *, required: bool) -> list[dict[str, object]]:
        """The fields a merchant must fill in, or those that have a sensible value already."""
        return [self.line(name) for name, asked in self.declared.items() if asked.required is required]

    def line(self, name: str) -> dict[str, object]:
        """One field with what stands around it."""
        asked, draft = self.declared[name], self.draft
        had = draft.connection.secret_notes.get(name) if draft.connection else None
        serves_on = asked.kind == "secret" and draft.connection is not None and not connecting.leads_elsewhere(draft)
        field = self[_SETTING + name]
        preset = connecting.presets(draft).get(name, "") if asked.kind == "address" else ""
        return {
            "field": field,
            "file": self[_FILE + name] if asked.kind == "secret" else None,
            "kind": asked.kind,
            "note": draft.notes.get(name),
            "stays": serves_on and name not in draft.notes,
            "had": had,
            "preset": preset if preset != field.value() else "",
            "preset_name": name,
        }

    def has_odd(self) -> bool:
        """Whether a field is wrong that has a sensible value by itself: then those are shown."""
        return any(_SETTING + name in self.errors for name, asked in self.declared.items() if not asked.required)


def address_names(draft: ConnectionDraft) -> list[str]:
    """The settings that are addresses."""
    declared = PROVIDERS[draft.provider].Settings.declared()
    return [name for name, asked in declared.items() if asked.kind == "address"]


def _of_approval(last: HostApproval | None) -> str:
    if last is not None and last.state == HostState.WAITING:
        since = formats.moment(last.asked_at)
        return _("An administrator has been asked to approve this address, %(since)s.") % {"since": since}
    if last is not None and last.state == HostState.REFUSED:
        return _("An administrator has refused this address. You can ask again.")
    return _("This is not one of the provider’s own addresses: an administrator has to approve it first.")


class _KeyFile(forms.FileField):
    """A small text file with a key in it, as its text. Anything else is refused."""

    def clean(self, data: Any, initial: Any = None) -> str:
        if not isinstance(data, UploadedFile):
            return ""
        if data.size is None or data.size > LARGEST_KEY:
            raise forms.ValidationError(_("This file is too large to be a key."))
        try:
            data.seek(0)
            text: str = data.read().decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            text = ""
        if not text or not all(line.isprintable() for line in text.splitlines()):
            raise forms.ValidationError(_("This file is not a key. Choose the text file with the key in it."))
        return text
