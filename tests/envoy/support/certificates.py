"""Makes certificates of workloads and servers, and the authorities that sign them."""

import datetime
import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key, as PEM."""

    certificate: str
    key: str

    def write(self, directory: Path, name: str) -> Path:
        """Both in one file, as OpenSSL reads it."""
        file = directory / f"{name}.pem"
        file.write_text(self.certificate + self.key, encoding="ascii")
        return file


class Authority:
    """Signs certificates."""

    def __init__(self, name: str):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        builder = _builder(self._name, self._name, self._key.public_key())
        signed = builder.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())
        self.certificate = _pem(signed)

    def sign(self, *uris: str, address: str | None = None, hosts: Iterable[str] = ()) -> Certificate:
        """A certificate for these URIs, such as SPIFFE ids, for an address, and for hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        if address:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        builder = _builder(x509.Name([]), self._name, key.public_key())
        names += (x509.DNSName(host) for host in hosts)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        signed = builder.sign(self._key, hashes.SHA256())
        encoded = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Certificate(_pem(signed), encoded.decode())


def tls_server(directory: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """The file of an authority, and how a server has a certificate of it for a host."""
    authority = Authority("tests")
    file = directory / "authority.pem"
    file.write_text(authority.certificate, encoding="ascii")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(authority.sign(hosts=[name]).write(directory, "server"))
    return file, server


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
