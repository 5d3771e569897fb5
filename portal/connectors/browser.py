"""What a provider may learn of the shopper's browser, for its checks against fraud."""

import re

from portal.connectors.base import ClientContext

# The CardInquiry document wants "all HTTP headers" (below its list of statuses). Names that begin so stay
# here all the same: our session and CSRF tokens would be a breach, and what proxies add describes our
# network, not the browser.
WITHHELD = (
    "cookie",
    "authorization",
    "proxy-",
    "x-csrf",
    "x-xsrf",
    "x-forwarded",
    "forwarded",
    "x-real-ip",
    "x-client-",
    "x-original-",
    "x-remote-",
    "x-auth-",
    "x-ssl-",
    "x-amzn-",
    "x-envoy-",
    "x-tillside-",
    "cf-",
    "true-client-ip",
    "remote-",
    "hx-",
    "referer",  # addresses of our pages
    "origin",
)
MOST_HEADERS = 40
MOST_HEADER_BYTES = 8 * 1024


def forwardable(client: ClientContext) -> list[tuple[str, str]]:
    """The browser's headers as data: never copied onto our own request, where Host or Content-Length would
    change it."""
    chosen: dict[str, str] = {}
    left = MOST_HEADER_BYTES
    for name, value in client.headers:
        if name.lower().startswith(WITHHELD) or not re.fullmatch("[A-Za-z0-9-]+", name):
            continue
        plain = re.sub("[^ -~]", "", value)
        left -= len(name) + len(plain)
        if left < 0 or len(chosen) == MOST_HEADERS:
            break
        chosen[name.title()] = plain
    return list(chosen.items())
