"""A merchant's program at the imitated Revenue Monster: it has a token and signs by itself what it sends."""

import base64
import json
import secrets
import time
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .conftest import Answer, Sandbox

MEMBER, PHONE = "2777058682717858418", "176473298"
AWARD = "/v3/loyalty/spending-reward"


def plain(body: object, method: str, nonce: str, url: str, timestamp: str) -> str:
    """The text to sign, for bodies whose canonical form is plain."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    data = f"data={base64.b64encode(canonical).decode()}&" if body else ""
    return f"{data}method={method.lower()}&nonceStr={nonce}&requestUrl={url}&signType=sha256&timestamp={timestamp}"


class Program:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.credentials = sandbox.ask("GET", "/_sandbox/credentials").json["revenuemonster"]
        self.token = ""

    def basic(self, secret: str = "") -> str:
        pair = f"{self.credentials['client_id']}:{secret or self.credentials['client_secret']}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    def grant(self, authorization: str = "", **body: str) -> Answer:
        headers = {"Content-Type": "application/json", "Authorization": authorization or self.basic()}
        return self.sandbox.ask("POST", "/revenuemonster/v1/token", json.dumps(body), headers)

    def signature(self, text: str) -> str:
        key = serialization.load_pem_private_key(self.credentials["private_key"].encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()

    def headers(self, method: str, path: str, body: object, *, at: str = "", nonce: str = "") -> dict[str, str]:
        if not self.token:
            self.token = self.grant(grantType="client_credentials").json["accessToken"]
        at, nonce = at or str(int(time.time())), nonce or secrets.token_hex(16)
        url = f"http://127.0.0.1:{self.sandbox.port}/revenuemonster{path}"
        return {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "X-Nonce-Str": nonce,
            "X-Timestamp": at,
            "X-Signature": f"sha256 {self.signature(plain(body, method, nonce, url, at))}",
        }

    def ask(self, method: str, path: str, body: object = None, **sent: str) -> Answer:
        headers = self.headers(method, path, body)
        headers |= {name.replace("_", "-"): value for name, value in sent.items()}
        return self.send(method, path, body, headers)

    def send(self, method: str, path: str, body: object, headers: dict[str, str]) -> Answer:
        return self.sandbox.ask(method, f"/revenuemonster{path}", json.dumps(body) if body else None, headers)

    def award(self, member: str = MEMBER, amount: int = 1250) -> Answer:
        return self.ask("POST", AWARD, spending(amount, type="ID", memberId=member))

    def points(self, member: str = MEMBER) -> int:
        held: int = self.ask("GET", f"/v3/loyalty/member/{member}").json["item"]["loyaltyPoint"]
        return held

    def code(self, amount: int = 1250) -> dict[str, str]:
        item: dict[str, str] = self.ask("POST", AWARD, spending(amount, type="QRCODE")).json["item"]
        return item

    def claim(self, url: str, phone: str = "017 647 3298") -> Answer:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.sandbox.ask("POST", path_of(url), f"phone={phone.replace(' ', '+')}", form)

    def cancel(self, id: str) -> Answer:
        return self.ask("POST", f"{AWARD}/cancel", {"id": id})


def spending(amount: int, **whom: Any) -> dict[str, Any]:
    return {"currencyType": "MYR", "amount": amount, **whom}


def path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def refused(answer: Answer) -> tuple[int, str]:
    code: str = answer.json["error"]["code"]
    return answer.status, code
