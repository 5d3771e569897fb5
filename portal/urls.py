"""Every address. A merchant's pages stand below /m/ and its slug; `@member` takes the slug from there."""

from allauth.account import views as account
from allauth.mfa.base import views as factor
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as app
from allauth.mfa.webauthn import views as passkeys
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.urls import path

from portal import languages
from portal.codes import callbacks
from portal.codes import pages as shown_codes
from portal.desk import (
    card_holder,
    connection_health,
    customer,
    customer_erase,
    customer_merge,
    customers,
    daily_limit_pages,
    first_steps,
    health,
    home,
    incident_pages,
    keys,
    lock,
    on_call,
    on_call_find,
    scan,
    search,
    switch_pages,
    trail,
)
from portal.desk.administration.pages import site as administration
from portal.ledger import (
    approval_pages,
    attention,
    case_pages,
    limit_pages,
    list_pages,
    new_card,
    pages,
    pause_pages,
    saved_view_pages,
    shift_pages,
    till,
)
from portal.ledger import views as ledger
from portal.mail import caught
from portal.mail import pages as mail
from portal.merchants import (
    account_pages,
    connecting_pages,
    connection_pages,
    founding_pages,
    invitation_pages,
    people_pages,
    store_pages,
    till_pages,
)
from portal.merchants import views as merchants
from portal.shopper import settings_pages as balance
from portal.shopper import views as shopper

handler500 = "portal.desk.failing.broken"

urlpatterns = [
    path("", merchants.start, name="start"),
    path("admin/", (administration.get_urls(), "admin", administration.name)),
    path("readyz", health.readyz, name="readyz"),
    path("on-call/", on_call.on_call, name="on_call"),
    path("on-call/switches/", switch_pages.listing_page, name="switches"),
    path("on-call/switches/<uuid:key>/", switch_pages.switch_on_page, name="switch_on"),
    path("on-call/incident/", incident_pages.incident_page, name="incident"),
    path("on-call/find/", on_call_find.on_call_find, name="on_call_find"),
    path("on-call/operations/<int:pk>/", on_call_find.on_call_operation, name="on_call_operation"),
    path("language/", languages.switch, name="language"),
    path("accounts/login/", account.login, name="account_login"),
    path("accounts/logout/", account.logout, name="account_logout"),
    path("accounts/inactive/", account.account_inactive, name="account_inactive"),
    path("accounts/sign-up/", account.signup, name="account_signup"),
    path("accounts/confirm-email/", account.email_verification_sent, name="account_email_verification_sent"),
    path("accounts/prove/", account.reauthenticate, name="account_reauthenticate"),
    path("accounts/email/", account.email, name="account_email"),
    path("accounts/password/", account.password_change, name="account_change_password"),
    path("accounts/reset/", account.password_reset, name="account_reset_password"),
    path("accounts/reset/code/", account.confirm_password_reset_code, name="account_confirm_password_reset_code"),
    path("accounts/reset/password/", account.complete_password_reset, name="account_complete_password_reset"),
    path("accounts/reset/done/", account.password_reset_from_key_done, name="account_password_reset_completed"),
    path("accounts/second-factor/", account_pages.to_account, name="mfa_index"),
    path("accounts/second-factor/enter/", factor.authenticate, name="mfa_authenticate"),
    path("accounts/second-factor/prove/", factor.reauthenticate, name="mfa_reauthenticate"),
    path("accounts/second-factor/app/", login_required(app.activate_totp), name="mfa_activate_totp"),
    path("accounts/second-factor/app/remove/", account_pages.remove_app, name="mfa_deactivate_totp"),
    path("accounts/second-factor/codes/", account_pages.recovery_codes, name="mfa_view_recovery_codes"),
    path(
        "accounts/second-factor/codes/new/",
        login_required(codes.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path("accounts/passkeys/", account_pages.to_account, name="mfa_list_webauthn"),
    path("accounts/passkeys/add/", login_required(passkeys.add_webauthn), name="mfa_add_webauthn"),
    path("accounts/passkeys/enter/", passkeys.login_webauthn, name="mfa_login_webauthn"),
    path("accounts/passkeys/prove/", passkeys.reauthenticate_webauthn, name="mfa_reauthenticate_webauthn"),
    path("accounts/passkeys/<int:pk>/remove/", account_pages.remove_passkey, name="mfa_remove_webauthn"),
    path("account/", account_pages.account, name="account"),
    path("account/end-sessions/", account_pages.end_sessions, name="end_sessions"),
    path("viewing/end/", merchants.end_viewing, name="end_viewing"),
    path("merchants/", merchants.choose, name="choose"),
    # Without a merchant: the till's own cookie says whose it is.
    path("till/", lock.lock_page, name="lock"),
    path("till/lock/", lock.lock_now, name="lock_now"),
    path("till/awake/", lock.awake, name="awake"),
    path("merchants/found/", founding_pages.found, name="found"),
    path("invitation/", invitation_pages.invitation, name="invitation"),
    path("invitations/<path:token>", invitation_pages.link, name="invitation_link"),
    # The public balance page: for everybody, so `shop` and not `merchant`, which is for members.
    # What providers tell by themselves; the key is the connection's.
    path("callbacks/<uuid:key>/", callbacks.hear, name="callback"),
    path("b/<slug:shop>/", shopper.balance_page, name="balance_page"),
    path("b/<slug:shop>/style.css", shopper.balance_style, name="balance_style"),
    path("b/<slug:shop>/logo", shopper.balance_logo, name="balance_logo"),
    path("b/<slug:shop>/<uuid:key>/", shopper.balance_answer, name="balance_answer"),
    path("m/<slug:merchant>/", home.home, name="desk"),
    path("m/<slug:merchant>/practice/", founding_pages.practice, name="practice"),
    path("m/<slug:merchant>/scan/", scan.scan, name="scan"),
    path("m/<slug:merchant>/first-steps/close/", first_steps.close, name="close_first_steps"),
    path("m/<slug:merchant>/search/", search.search, name="search"),
    path("m/<slug:merchant>/keys/", keys.keys, name="keys"),
    path("m/<slug:merchant>/look-ups/<uuid:key>/", ledger.look_up, name="look_up"),
    path("m/<slug:merchant>/cards/", list_pages.cards, name="cards"),
    path("m/<slug:merchant>/cards/export/", list_pages.export_cards, name="export_cards"),
    path("m/<slug:merchant>/cards/new/", new_card.new_card, name="new_card"),
    path("m/<slug:merchant>/cards/new/make/", new_card.make, name="make_card"),
    path("m/<slug:merchant>/cards/<uuid:key>/", till.card, name="card"),
    path("m/<slug:merchant>/cards/<uuid:key>/ask-again/", till.ask_again, name="ask_again"),
    path("m/<slug:merchant>/cards/<uuid:key>/confirm/", till.confirm, name="confirm"),
    path("m/<slug:merchant>/codes/new/", shown_codes.new_code, name="new_code"),
    path("m/<slug:merchant>/codes/new/make/", shown_codes.make_code, name="make_code"),
    path("m/<slug:merchant>/codes/<uuid:key>/", shown_codes.code, name="code"),
    path("m/<slug:merchant>/codes/<uuid:key>/cancel/", shown_codes.cancel, name="cancel_code"),
    path("m/<slug:merchant>/operations/", list_pages.operations, name="operations"),
    path("m/<slug:merchant>/operations/save/", saved_view_pages.save_operations, name="save_operations"),
    path("m/<slug:merchant>/cards/save/", saved_view_pages.save_cards, name="save_cards"),
    path("m/<slug:merchant>/views/", saved_view_pages.listed, name="saved_views"),
    path("m/<slug:merchant>/operations/export/", list_pages.export_operations, name="export_operations"),
    path("m/<slug:merchant>/operations/<uuid:key>/", pages.operation, name="operation"),
    path("m/<slug:merchant>/operations/<uuid:key>/withdraw/", pages.withdraw, name="withdraw"),
    path("m/<slug:merchant>/operations/<uuid:key>/receipt/", pages.receipt, name="receipt"),
    path("m/<slug:merchant>/operations/<uuid:key>/evidence/", pages.evidence, name="evidence"),
    path("m/<slug:merchant>/attention/", attention.queue, name="attention"),
    path("m/<slug:merchant>/attention/<uuid:key>/", attention.case, name="attention_case"),
    path("m/<slug:merchant>/attention/<uuid:key>/balance/", case_pages.balance_case, name="balance_case"),
    path("m/<slug:merchant>/shift/", shift_pages.shift, name="shift"),
    path("m/<slug:merchant>/shift/start/", shift_pages.start, name="start_shift"),
    path("m/<slug:merchant>/shift/end/", shift_pages.end, name="end_shift"),
    path("m/<slug:merchant>/shifts/", shift_pages.listed, name="shifts"),
    path("m/<slug:merchant>/shifts/<uuid:key>/", shift_pages.report, name="shift_report"),
    path("m/<slug:merchant>/pin/", till_pages.pin, name="pin"),
    path("m/<slug:merchant>/cards/<uuid:key>/customer/", card_holder.choose, name="card_holder"),
    path("m/<slug:merchant>/cards/<uuid:key>/customer/attach/", card_holder.attach, name="attach_card"),
    path("m/<slug:merchant>/cards/<uuid:key>/customer/detach/", card_holder.detach, name="detach_card"),
    path("m/<slug:merchant>/customers/", customers.customers, name="customers"),
    path("m/<slug:merchant>/customers/export/", customers.export, name="export_customers"),
    path("m/<slug:merchant>/customers/new/", customers.new, name="new_customer"),
    path("m/<slug:merchant>/customers/<uuid:key>/", customer.customer, name="customer"),
    path("m/<slug:merchant>/customers/<uuid:key>/edit/", customer.edit, name="edit_customer"),
    path("m/<slug:merchant>/customers/<uuid:key>/consent/", customer.consent, name="customer_consent"),
    path("m/<slug:merchant>/customers/<uuid:key>/data/", customer.data, name="customer_data"),
    path("m/<slug:merchant>/customers/<uuid:key>/merge/", customer_merge.merge, name="merge_customers"),
    path("m/<slug:merchant>/customers/<uuid:key>/erase/", customer_erase.erase, name="erase_customer"),
    path("m/<slug:merchant>/outbox/", mail.listed, name="outbox"),
    path("m/<slug:merchant>/outbox/handle/", mail.handle, name="outbox_handle"),
    path("m/<slug:merchant>/outbox/<uuid:key>/", mail.one, name="outbox_mail"),
    path("m/<slug:merchant>/approvals/<uuid:key>/", approval_pages.approval, name="approval"),
    path("m/<slug:merchant>/approvals/<uuid:key>/withdraw/", approval_pages.withdraw, name="withdraw_approval"),
    path("m/<slug:merchant>/settings/limits/", limit_pages.limits, name="limits"),
    path("m/<slug:merchant>/settings/limits/day/", daily_limit_pages.daily_limits, name="daily_limits"),
    path(
        "m/<slug:merchant>/settings/limits/day/<uuid:key>/take-back/",
        daily_limit_pages.take_back,
        name="take_back_daily_limit",
    ),
    path("m/<slug:merchant>/settings/balance-page/", balance.balance_settings, name="balance_settings"),
    path("m/<slug:merchant>/settings/balance-page/open-again/", balance.open_again, name="open_balance_page_again"),
    path("m/<slug:merchant>/settings/balance-page/poster/", balance.balance_poster, name="balance_poster"),
    path("m/<slug:merchant>/settings/balance-page/snippets/", balance.balance_snippets, name="balance_snippets"),
    path("m/<slug:merchant>/settings/balance-page/tries/", balance.balance_tries, name="balance_tries"),
    path(
        "m/<slug:merchant>/settings/balance-page/tries/<uuid:key>/forgive/",
        balance.forgive_tries,
        name="forgive_tries",
    ),
    path("m/<slug:merchant>/settings/", merchants.settings_page, name="settings"),
    path("m/<slug:merchant>/settings/stores/new/", store_pages.new_store, name="new_store"),
    path("m/<slug:merchant>/settings/stores/<uuid:key>/", store_pages.store, name="store"),
    path("m/<slug:merchant>/settings/tills/", till_pages.tills_page, name="tills"),
    path("m/<slug:merchant>/settings/tills/lock-after/", till_pages.lock_after, name="lock_after"),
    path("m/<slug:merchant>/settings/tills/<uuid:key>/end/", till_pages.end_till, name="end_till"),
    path("m/<slug:merchant>/settings/trail/", trail.trail, name="trail"),
    path("m/<slug:merchant>/settings/trail/export/", trail.export, name="trail_export"),
    path("m/<slug:merchant>/settings/connections/<uuid:key>/pause/", pause_pages.pause, name="pause_connection"),
    path(
        "m/<slug:merchant>/settings/connections/<uuid:key>/health/",
        connection_health.page,
        name="connection_health",
    ),
    path("m/<slug:merchant>/settings/connections/<uuid:key>/resume/", pause_pages.resume, name="resume_connection"),
    path(
        "m/<slug:merchant>/settings/connections/<uuid:key>/pauses/<uuid:pause>/",
        pause_pages.report,
        name="pause_report",
    ),
    path("m/<slug:merchant>/settings/connections/new/", connecting_pages.connect, name="connect"),
    path(
        "m/<slug:merchant>/settings/connections/new/<uuid:key>/", connecting_pages.connect_draft, name="connect_draft"
    ),
    path(
        "m/<slug:merchant>/settings/connections/new/<uuid:key>/test/",
        connecting_pages.connect_test,
        name="connect_test",
    ),
    path(
        "m/<slug:merchant>/settings/connections/new/<uuid:key>/discard/",
        connecting_pages.discard,
        name="discard_draft",
    ),
    path("m/<slug:merchant>/settings/connections/<uuid:key>/", connection_pages.connection, name="connection"),
    path(
        "m/<slug:merchant>/settings/connections/<uuid:key>/change/",
        connecting_pages.change,
        name="change_connection",
    ),
    path(
        "m/<slug:merchant>/settings/connections/<uuid:key>/retire/",
        connection_pages.retire,
        name="retire_connection",
    ),
    path("m/<slug:merchant>/settings/people/", people_pages.listing, name="people"),
    path("m/<slug:merchant>/settings/people/invite/", people_pages.invite, name="invite"),
    path("m/<slug:merchant>/settings/people/<uuid:key>/", people_pages.person, name="person"),
    path("m/<slug:merchant>/settings/people/<uuid:key>/remove/", people_pages.remove, name="remove_person"),
    path("m/<slug:merchant>/settings/invitations/<uuid:key>/resend/", people_pages.resend, name="resend_invitation"),
    path(
        "m/<slug:merchant>/settings/invitations/<uuid:key>/withdraw/",
        people_pages.withdraw,
        name="withdraw_invitation",
    ),
    path("m/<slug:merchant>/roles/", people_pages.roles, name="roles"),
    path("m/<slug:merchant>/leave/", people_pages.leave, name="leave"),
]

# Where the demonstration's mails are read: whoever reaches this page reads links meant for others.
demo = [path("demo/mail/", caught.mails, name="caught_mails")]
if settings.DEMO:
    urlpatterns += demo
