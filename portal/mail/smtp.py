"""One conversation with the mail server: connect, envelope, hand over, listen. The only module that opens SMTP.

What matters is which side of one moment a failure falls on: the final dot. Before it the server has nothing, so trying
again is safe. After it, until its answer, nobody knows.
"""

import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import parseaddr
from typing import NoReturn
from urllib.parse import urlsplit

from django.conf import settings

from portal.mail import addresses

# Why a mail could not be handed over; words.py says them.
UNREACHABLE = "unreachable"
TIMED_OUT = "timed_out"
HUNG_UP = "hung_up"
NO_TLS = "no_tls"
SIGN_IN_REFUSED = "sign_in_refused"
PUT_OFF = "put_off"
GARBLED = "garbled"

_LONGEST_ANSWER = 500


class NotHandedOver(Exception):
    """The server does not have the mail: try again later. `why` is a word of ours, `answer` what the server said."""

    def __init__(self, why: str, answer: str = "") -> None:
        super().__init__(why)
        self.why, self.answer = why, answer


class Refused(Exception):
    """The server has said no, for good, to this mail."""

    def __init__(self, answer: str) -> None:
        super().__init__("refused")
        self.answer = answer


class Unclear(Exception):
    """The mail was handed over whole, and no answer came: the server may have it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def send(content: bytes, *, to: str, before_handing_over: Callable[[], None]) -> str:
    """Hand one finished message to the mail server; its answer. Raises NotHandedOver, Refused, Unclear.

    `before_handing_over` runs when the server is ready for the text; if it raises, nothing is sent.
    """
    sender = parseaddr(settings.MAIL_FROM)[1]
    with _conversation() as server:
        _say(server, f"MAIL FROM:<{sender}>")
        _say(server, f"RCPT TO:<{to}>")
        _say(server, "DATA", ready=354)
        before_handing_over()
        with _failing_as_not_handed_over():
            server.send(_on_the_wire(content))
        return _final_answer(server)


# ---- The steps ------------------------------------------------------------------------------------------------
@contextmanager
def _conversation() -> Iterator[smtplib.SMTP]:
    """A server that is connected to, encrypted and signed in at, and hung up on at the deadline whatever it does."""
    server, is_over = _server(), threading.Event()
    # Timeouts are per read: a server that drips a byte now and then would hold us for ever.
    deadline = threading.Timer(settings.MAIL_SECONDS, _cut, [server, is_over])
    deadline.daemon = True
    deadline.start()
    try:
        with _failing_as_not_handed_over():
            server.connect(settings.MAIL_HOST, settings.MAIL_PORT)
            _introduce(server)
        yield server
        with suppress(OSError, smtplib.SMTPException):
            server.putcmd("QUIT")  # not waited for: what matters has been said
    except (NotHandedOver, Unclear) as failure:
        if is_over.is_set():  # it was we who hung up
            failure.why = TIMED_OUT
        raise
    finally:
        deadline.cancel()
        server.close()


def _server() -> smtplib.SMTP:
    name, seconds = urlsplit(settings.PUBLIC_URL).hostname, settings.MAIL_CONNECT_SECONDS
    if settings.MAIL_TLS == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            local_hostname=name, timeout=seconds, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(local_hostname=name, timeout=seconds)
    # The name its certificate is checked against. smtplib keeps it only where the constructor itself connects, which
    # our deadline could not interrupt.
    server._host = settings.MAIL_HOST  # type: ignore[attr-defined]
    return server


def _introduce(server: smtplib.SMTP) -> None:
    if server.sock is not None:
        server.sock.settimeout(settings.MAIL_SECONDS)
    server.ehlo_or_helo_if_needed()
    if settings.MAIL_TLS == "starttls":
        server.starttls(context=ssl.create_default_context())
        server.ehlo_or_helo_if_needed()
    if settings.MAIL_USER:
        server.login(settings.MAIL_USER, settings.MAIL_PASSWORD)


def _say(server: smtplib.SMTP, command: str, *, ready: int = 250) -> None:
    """One command of the envelope. 4xx is for later, 5xx is for good."""
    with _failing_as_not_handed_over():
        code, said = server.docmd(command)
    if code != ready and not (ready == 250 and 200 <= code < 300):
        _refuse(code, said)


def _final_answer(server: smtplib.SMTP) -> str:
    try:
        code, said = server.getreply()
    except TimeoutError:
        raise Unclear(TIMED_OUT) from None
    except (OSError, smtplib.SMTPException):
        raise Unclear(HUNG_UP) from None
    if 200 <= code < 300:
        return _readable(code, said)
    if 400 <= code < 600:
        _refuse(code, said)
    raise Unclear(GARBLED)


def _refuse(code: int, said: bytes) -> NoReturn:
    answer = _readable(code, said)
    if 500 <= code < 600:
        raise Refused(answer)
    raise NotHandedOver(PUT_OFF if 400 <= code < 500 else GARBLED, answer)


@contextmanager
def _failing_as_not_handed_over() -> Iterator[None]:
    """Whatever breaks in here, the server does not have the mail.

    A no to us rather than to the mail (a sign-in refused, 5xx to our greeting) is for somebody to mend, and then the
    mail goes out: it is not the mail's end.
    """
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        raise NotHandedOver(SIGN_IN_REFUSED, _readable(error.smtp_code, error.smtp_error)) from None
    except (ssl.SSLError, smtplib.SMTPNotSupportedError):
        raise NotHandedOver(NO_TLS) from None
    except smtplib.SMTPResponseException as error:
        raise NotHandedOver(PUT_OFF, _readable(error.smtp_code, error.smtp_error)) from None
    except smtplib.SMTPException:
        raise NotHandedOver(HUNG_UP) from None
    except TimeoutError:
        raise NotHandedOver(TIMED_OUT) from None
    except (ConnectionResetError, BrokenPipeError):
        raise NotHandedOver(HUNG_UP) from None
    except OSError:
        raise NotHandedOver(UNREACHABLE) from None


def _on_the_wire(content: bytes) -> bytes:
    """With CRLF, dots at the start of lines doubled, and the final dot, so that it is there only if all of it is."""
    lines = re.sub(rb"\r\n|\r|\n", b"\r\n", content)
    doubled = re.sub(rb"(?m)^\.", b"..", lines)
    return doubled.removesuffix(b"\r\n") + b"\r\n.\r\n"


def _cut(server: smtplib.SMTP, is_over: threading.Event) -> None:
    is_over.set()
    if server.sock is not None:
        with suppress(OSError):
            server.sock.shutdown(socket.SHUT_RDWR)


def _readable(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return addresses.one_line(f"{code} {text}", most=_LONGEST_ANSWER)
