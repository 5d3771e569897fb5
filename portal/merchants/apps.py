from django.apps import AppConfig
from django.db.backends.signals import connection_created


class MerchantsConfig(AppConfig):
    name = "portal.merchants"
    label = "merchants"

    def ready(self) -> None:
        from allauth.account import signals as account
        from allauth.mfa import signals as mfa

        from portal.merchants import sessions, tenancy

        # The only place where the context can be put on a connection before its first query.
        connection_created.connect(tenancy.on_connection_created, dispatch_uid="tenancy")

        # allauth tells of these in no other way.
        changes = (
            account.password_changed,
            account.password_set,
            account.password_reset,
            account.email_changed,
            mfa.authenticator_added,
            mfa.authenticator_removed,
            mfa.authenticator_reset,
        )
        for change in changes:
            change.connect(sessions.on_proof_changed, dispatch_uid="sessions")
