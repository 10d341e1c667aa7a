"""The cluster's own certificate authority, and a certificate and kubeconfig for each of its parts.

It writes files below the state folder and talks to nobody.
"""

import base64
import datetime
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devcluster.paths import State

LIFETIME = datetime.timedelta(days=365)


@dataclass(frozen=True)
class Authority:
    """A certificate authority: its certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def _save(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _save_key(folder / f"{name}.key", key)


def _save_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
    )


def authority(folder: Path, name: str) -> Authority:
    """Make a certificate authority, saved as `NAME.crt` and `NAME.key`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"cats-dogs {name}")])
    certificate = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _save(folder, name, certificate, key)
    return Authority(certificate, key)


def issue(
    ca: Authority, folder: Path, file: str, name: str, groups: Iterable[str] = (), hosts: Iterable[str] = ()
) -> None:
    """Issue a certificate for user `name` in `groups`, valid as a server for `hosts` (names or addresses)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
    builder = _builder(subject, ca.certificate.subject, key.public_key()).add_extension(usage, critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False
    )
    if alternatives := [_general_name(host) for host in hosts]:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    _save(folder, file, builder.sign(ca.key, hashes.SHA256()), key)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def kubeconfig(state: State, target: Path, server: str, user: str, context: str) -> None:
    """Write a self-contained kubeconfig for the certificate `USER.crt` of the cluster's authority."""

    def encoded(file: str) -> str:
        return base64.b64encode((state.pki / file).read_bytes()).decode()

    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": context, "cluster": {"server": server, "certificate-authority-data": encoded("ca.crt")}}],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": encoded(f"{user}.crt"),
                    "client-key-data": encoded(f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": user, "namespace": "default"}}],
    }
    target.touch(mode=0o600)
    target.write_text(yaml.safe_dump(content, sort_keys=False))


def make(state: State, node: str, addresses: Iterable[str], server: str, context: str) -> None:
    """Make all of a cluster's certificates, keys and kubeconfigs, once: an existing authority is kept.

    `addresses` are the names and addresses that the API server answers to; `server` is its URL.
    """
    if (state.pki / "complete").exists():
        return
    state.pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca = authority(state.pki, "ca")
    front = authority(state.pki, "front-proxy-ca")
    hosts = [
        "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local", *addresses,
    ]  # fmt: skip
    issue(ca, state.pki, "apiserver", "kube-apiserver", hosts=hosts)
    issue(ca, state.pki, "etcd", "etcd", hosts=["localhost", "127.0.0.1"])
    issue(ca, state.pki, "apiserver-kubelet", "apiserver-kubelet", groups=["system:masters"])
    issue(front, state.pki, "front-proxy", "front-proxy-client")
    issue(ca, state.pki, "admin", "admin", groups=["system:masters"])
    issue(ca, state.pki, "controller-manager", "system:kube-controller-manager")
    issue(ca, state.pki, "scheduler", "system:kube-scheduler")
    issue(ca, state.pki, "kubelet", f"system:node:{node}", groups=["system:nodes"], hosts=[node, *addresses])
    issue(ca, state.pki, "kube-proxy", "system:kube-proxy")
    issue(ca, state.pki, "addons", "devcluster:addons", groups=["devcluster:addons"])
    issue(
        ca,
        state.pki,
        "metrics-server",
        "metrics-server",
        hosts=["metrics-server.kube-system.svc", *addresses],
    )
    _save_key(state.pki / "service-accounts.key", ec.generate_private_key(ec.SECP256R1()))
    for user in ("controller-manager", "scheduler", "kubelet", "kube-proxy", "addons"):
        kubeconfig(state, state.kubeconfig_of(user), server, user, context)
    kubeconfig(state, state.kubeconfig, server, "admin", context)
    (state.pki / "complete").touch()
