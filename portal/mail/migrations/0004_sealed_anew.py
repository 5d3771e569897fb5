"""A mail's text never changes, but the key it is sealed with may: a box gives way to one under another key."""

from importlib import import_module

from django.db import migrations

_guard = import_module("portal.mail.migrations.0002_kept_apart")._GUARD
_FUNCTION = _guard[: _guard.index("CREATE TRIGGER")].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
_KEY = "split_part(encode(substring({}.sealed_message from 1 for 32), 'escape'), ':', 2)"
_BEFORE = "NEW.sealed_message IS DISTINCT FROM OLD.sealed_message"
# What names no key is no box.
_NOW = f"{_BEFORE} AND ({_KEY.format('NEW')} IS NOT DISTINCT FROM {_KEY.format('OLD')} OR {_KEY.format('NEW')} = '')"


class Migration(migrations.Migration):
    dependencies = [("mail", "0003_fewer_indexes")]

    operations = [migrations.RunSQL(_FUNCTION.replace(_BEFORE, _NOW), _FUNCTION)]
