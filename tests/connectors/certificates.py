"""Servers' certificates of every kind, from an issuer of our own."""

import datetime
import ssl
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "cards.example.com"
NOW = datetime.datetime.now(datetime.UTC)


class Issuer:
    """A certificate authority for one test run."""

    def __init__(self, folder, name="Test issuer"):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(self.name, self.key, x509.BasicConstraints(ca=True, path_length=None))
        self.ca_file = str(folder / "ca.pem")
        (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server_context(self, *names: x509.GeneralName, valid_days: tuple[float, float] = (-2, 1)) -> ssl.SSLContext:
        """Of a server whose certificate names these, valid from so many days after now to so many."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Server")])
        certificate = self._sign(subject, key, x509.SubjectAlternativeName(names), valid_days=valid_days)
        path = self.folder / f"{certificate.serial_number}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(self, subject, key, extension, *, valid_days=(-2, 1)):
        since, until = (NOW + datetime.timedelta(days=days) for days in valid_days)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(until)
            .add_extension(extension, critical=False)
            .sign(self.key, hashes.SHA256())
        )


def tls_1_1(context):
    with warnings.catch_warnings(action="ignore"):  # that it is old is what it is for
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context
