//! One public key in PEM: `BEGIN PUBLIC KEY`, a `SubjectPublicKeyInfo` (RFC 5280, section 4.1).

use aws_lc_rs::rsa::PublicKey;
use aws_lc_rs::signature::RsaPublicKeyComponents;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::key::Material;
use super::police::{self, KeyDropped};

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// The DER before the key itself; for these kinds it never varies.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P384: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// # Errors
/// Not exactly one public key, or one that is not good enough.
pub fn read(file: &[u8]) -> Result<Material, KeyDropped> {
    let text = std::str::from_utf8(file).map_err(|_| KeyDropped::Pem)?;
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyDropped::Private);
    }
    let (_comment, rest) = text.split_once(BEGIN).ok_or(KeyDropped::Pem)?;
    let (body, after) = rest.split_once(END).ok_or(KeyDropped::Pem)?;
    if after.contains("-----BEGIN") {
        return Err(KeyDropped::Pem);
    }
    let body: String = body.split_ascii_whitespace().collect();
    material(&STANDARD.decode(body).map_err(|_| KeyDropped::Pem)?)
}

fn material(der: &[u8]) -> Result<Material, KeyDropped> {
    if let Some(point) = der.strip_prefix(&P256) {
        return police::p256(point.to_vec());
    }
    if let Some(point) = der.strip_prefix(&P384) {
        return police::p384(point.to_vec());
    }
    if let Some(point) = der.strip_prefix(&ED25519) {
        return police::ed25519(point);
    }
    let key = PublicKey::from_der(der).map_err(|_rejected| KeyDropped::Type)?;
    let parts = RsaPublicKeyComponents::<Vec<u8>>::from(&key);
    police::rsa(&parts.n, &parts.e)
}
