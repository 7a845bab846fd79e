"""One issuer with a key for each algorithm, the tokens that the peers have to accept and to refuse, and the
certificate that they show."""

import base64
import datetime
import ipaddress
import json
import os
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://idp.test"
AUDIENCE = "tidegate"
KEY_ID = "bench"
KEY_IDS = {"ES256": KEY_ID, "RS256": "bench-rsa", "EdDSA": "bench-ed25519"}


def encode(data):
    if not isinstance(data, bytes):
        data = json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size=None):
    return encode(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Issuer:
    def __init__(self, folder):
        self.keys = {
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        self.jwks_file = os.path.join(folder, "jwks.json")
        self.pem_file = os.path.join(folder, "issuer.pem")
        with open(self.jwks_file, "w") as file:
            json.dump({"keys": self.jwks()}, file)
        with open(self.pem_file, "wb") as file:
            pem = serialization.PublicFormat.SubjectPublicKeyInfo
            file.write(self.keys["ES256"].public_key().public_bytes(serialization.Encoding.PEM, pem))
        self.server_key_file = os.path.join(folder, "server.key")
        self.certificate_file = os.path.join(folder, "server.crt")
        self.server_pem_file = os.path.join(folder, "server.pem")
        write_certificate(self.server_key_file, self.certificate_file, self.server_pem_file)

    def jwks(self):
        point = self.keys["ES256"].public_key().public_numbers()
        modulus = self.keys["RS256"].public_key().public_numbers()
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        parts = {
            "ES256": {"kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)},
            "RS256": {"kty": "RSA", "n": number(modulus.n), "e": number(modulus.e)},
            "EdDSA": {"kty": "OKP", "crv": "Ed25519", "x": encode(self.keys["EdDSA"].public_key().public_bytes(*raw))},
        }
        return [{"alg": name, "use": "sig", "kid": KEY_IDS[name], **part} for name, part in parts.items()]

    def sign(self, header, claims):
        text = f"{encode(header)}.{encode(claims)}"
        return f"{text}.{encode(self.signature(header['alg'], text.encode()))}"

    def signature(self, algorithm, text):
        key = self.keys[algorithm]
        if algorithm == "RS256":
            return key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        if algorithm == "EdDSA":
            return key.sign(text)
        r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def token(self, subject, algorithm="ES256", **changed):
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 6 * 3600,
            "email": f"{subject}@example.test", "groups": ["engineering", "on-call"], "roles": [],
        }
        return self.sign({"alg": algorithm, "typ": "JWT", "kid": KEY_IDS[algorithm]}, {**claims, **changed})

    def lead(self, subject="bob"):
        """Somebody who may approve and revoke."""
        return self.token(subject, groups=["engineering", "leads"], roles=["approver"])

    def bad_tokens(self, subject):
        """What has to be refused, by what is wrong with it."""
        header, claims, signature = self.token(subject).split(".")
        other = self.token(subject, email="root@example.test").split(".")[1]
        flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
        unsigned = encode({"alg": "none", "typ": "JWT", "kid": KEY_ID})
        return {
            "tampered claims": f"{header}.{other}.{signature}",
            "tampered signature": f"{header}.{claims}.{flipped}",
            "no algorithm": f"{unsigned}.{claims}.",
            "expired": self.token(subject, exp=int(time.time()) - 120),
            "garbage": "abc.def.ghi",
        }


def write_certificate(key_file, certificate_file, both_file):
    """For 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    day = datetime.timedelta(days=1)
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(pem)
    for path, data in ((key_file, secret), (certificate_file, certificate), (both_file, certificate + secret)):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
