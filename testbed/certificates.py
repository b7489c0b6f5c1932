"""Makes the certificates of a run: an authority, a server's for 127.0.0.1, and clients' named on the command line.

    python certificates.py DIRECTORY CLIENT...

writes DIRECTORY/authority.pem, and NAME.pem with NAME.key for `server` and each client. A client `NAME=stranger` is
signed by an authority that nobody trusts.
"""

import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
CLIENT_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
SERVER_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


def certificate(name, extensions, issuer=None):
    """A new key and its certificate, signed by `issuer` (another pair), or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(minutes=5))
        .not_valid_after(NOW + datetime.timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return key, builder.sign(issuer[0] if issuer else key, hashes.SHA256())


def authority(name):
    return certificate(name, [x509.BasicConstraints(ca=True, path_length=None)])


def write(directory, name, pair):
    key, made = pair
    (directory / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / f"{name}.key").write_bytes(private)


def main(directory, *clients):
    directory = pathlib.Path(directory)
    trusted, stranger = authority("testbed"), authority("stranger")
    write(directory, "authority", trusted)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    write(directory, "server", certificate("127.0.0.1", [address, SERVER_AUTH], trusted))
    for client in clients:
        name, _, by = client.partition("=")
        write(directory, name, certificate(name, [CLIENT_AUTH], stranger if by == "stranger" else trusted))


main(*sys.argv[1:])
