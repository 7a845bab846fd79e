"""One issuer with an ES256 key, and the tokens that the peers have to accept and to refuse."""

import base64
import json
import os
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://idp.test"
AUDIENCE = "tidegate"
KEY_ID = "bench"


def encode(data):
    if not isinstance(data, bytes):
        data = json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    def __init__(self, folder):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.jwks_file = os.path.join(folder, "jwks.json")
        self.pem_file = os.path.join(folder, "issuer.pem")
        public = self.key.public_key()
        point = public.public_numbers()
        jwk = {
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID,
            "x": encode(point.x.to_bytes(32, "big")), "y": encode(point.y.to_bytes(32, "big")),
        }
        with open(self.jwks_file, "w") as file:
            json.dump({"keys": [jwk]}, file)
        with open(self.pem_file, "wb") as file:
            pem = serialization.PublicFormat.SubjectPublicKeyInfo
            file.write(public.public_bytes(serialization.Encoding.PEM, pem))

    def sign(self, header, claims):
        text = f"{encode(header)}.{encode(claims)}"
        r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def token(self, subject, **changed):
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 6 * 3600,
            "email": f"{subject}@example.test", "groups": ["engineering", "on-call"], "roles": [],
        }
        return self.sign({"alg": "ES256", "typ": "JWT", "kid": KEY_ID}, {**claims, **changed})

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
