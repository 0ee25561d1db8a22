"""TLS for an address beyond this machine: a certificate that the node makes for itself, once.

Nobody vouches for it, so its fingerprint is printed where the node starts, and whoever connects compares.
"""

from __future__ import annotations

import datetime
import ipaddress
import pathlib
import socket
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ctorrent.door import HTTP_CERTIFICATE
from ctorrent.errors import LocalError
from ctorrent.web.place import write_private

DAYS = 3650  # it is trusted by its fingerprint: a new one would only ask everybody to compare again


def context(folder: pathlib.Path, host: str) -> tuple[ssl.SSLContext, str]:
    """A server's context with this folder's certificate, made now if there is none, and its SHA-256 fingerprint."""
    path = folder / HTTP_CERTIFICATE
    if not path.exists():
        write_private(path, _made(host))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    try:
        made.load_cert_chain(path)
        print_ = x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex(":").upper()
    except (OSError, ValueError) as error:
        raise LocalError(f"{path} is no certificate with its key: {error}.", "Move it away: the node makes a new one.") from None
    return made, print_


def _made(host: str) -> str:
    """Key and certificate, PEM, for every name and address this machine has now."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = socket.gethostname()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, own[:64] or "ctorrent")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(_names(host, own)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (private + made.public_bytes(serialization.Encoding.PEM)).decode()


def _names(host: str, own: str) -> list[x509.GeneralName]:
    import psutil

    texts = {host, own, "localhost", "127.0.0.1", "::1"}
    texts |= {one.address.partition("%")[0] for found in psutil.net_if_addrs().values() for one in found if one.family in (socket.AF_INET, socket.AF_INET6)}
    names: list[x509.GeneralName] = []
    for text in sorted(texts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(text)))
        except ValueError:
            if text.isascii() and text:
                names.append(x509.DNSName(text))
    return names
