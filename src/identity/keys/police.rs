//! Which key material is good enough.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

use super::key::Material;

/// Why a key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyDropped {
    #[error("it is not a JSON object with the members of its type")]
    Shape,
    #[error("its id is not a text of 1 to 256 bytes")]
    Id,
    #[error("another key of the set has the same id (both are dropped)")]
    DuplicateId,
    #[error("it is a private key, which must not be published")]
    Private,
    #[error("it is a shared secret, which a key set must not hold")]
    Symmetric,
    #[error("its use is not sig")]
    Use,
    #[error("its key_ops do not contain verify")]
    Operations,
    #[error("its type (kty) is not RSA, EC or OKP")]
    Type,
    #[error("its curve (crv) is not P-256, P-384 or Ed25519")]
    Curve,
    #[error("its alg does not fit its type")]
    AlgorithmMismatch,
    #[error("no accepted algorithm of the issuer can use it")]
    NotAccepted,
    #[error("a value is not canonical base64url")]
    Base64,
    #[error("its RSA modulus is even or not of 2048 to 8192 bits")]
    Modulus,
    #[error("its RSA exponent is 1, even or too large")]
    Exponent,
    #[error("its point is not on the curve or of small order")]
    Point,
    #[error("the secret is shorter than 32 bytes or than the hash of an accepted algorithm")]
    ShortSecret,
    #[error("the file is not one public key in PEM (BEGIN PUBLIC KEY)")]
    Pem,
}

/// # Errors
/// Too short, too long or malformed.
pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Material, KeyDropped> {
    let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
    let bits = modulus.first().map_or(0, |first| {
        modulus.len().saturating_mul(8).saturating_sub(first.leading_zeros() as usize)
    });
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    if !(2048..=8192).contains(&bits) || !is_odd(modulus) {
        return Err(KeyDropped::Modulus);
    }
    if exponent == [1] || !is_odd(exponent) || exponent.len() > 4 {
        return Err(KeyDropped::Exponent);
    }
    let components = RsaPublicKeyComponents { n: modulus, e: exponent };
    components
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_rejected| KeyDropped::Modulus)?;
    Ok(Material::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
}

fn without_zeros(mut number: &[u8]) -> &[u8] {
    while let Some((0, rest)) = number.split_first() {
        number = rest;
    }
    number
}

/// # Errors
/// Not an uncompressed point of 65 bytes on the curve.
pub fn p256(point: Vec<u8>) -> Result<Material, KeyDropped> {
    on_curve(&point, 65, &ECDSA_P256_SHA256_FIXED)?;
    Ok(Material::P256(point))
}

/// # Errors
/// Not an uncompressed point of 97 bytes on the curve.
pub fn p384(point: Vec<u8>) -> Result<Material, KeyDropped> {
    on_curve(&point, 97, &ECDSA_P384_SHA384_FIXED)?;
    Ok(Material::P384(point))
}

fn on_curve(
    point: &[u8],
    length: usize,
    algorithm: &'static dyn VerificationAlgorithm,
) -> Result<(), KeyDropped> {
    if point.len() != length || point.first() != Some(&4) {
        return Err(KeyDropped::Point);
    }
    UnparsedPublicKey::new(algorithm, point).parse().map_err(|_| KeyDropped::Point)?;
    Ok(())
}

/// The y coordinates of all points of small order, canonical or not (little endian): with such a
/// key one signature fits many messages.
const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    little_endian(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    little_endian(0xec, 0xff, 0x7f),
    little_endian(0xed, 0xff, 0x7f),
    little_endian(0xee, 0xff, 0x7f),
];

const fn little_endian(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let m = middle;
    [
        first, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m,
        m, m, last,
    ]
}

/// # Errors
/// Not 32 bytes, or of small order.
pub fn ed25519(point: &[u8]) -> Result<Material, KeyDropped> {
    let point: [u8; 32] = point.try_into().map_err(|_| KeyDropped::Point)?;
    let mut without_sign = point;
    if let Some(last) = without_sign.last_mut() {
        *last &= 0x7f;
    }
    if SMALL_ORDER.contains(&without_sign) {
        return Err(KeyDropped::Point);
    }
    Ok(Material::Ed25519(point))
}
