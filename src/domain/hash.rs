//! SHA-256, the one hash of keys, digests and fingerprints.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// SHA-256 (FIPS 180-4) over the parts, one after the other.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let digest = match parts {
        // In one go, without a context to allocate.
        [whole] => digest(&SHA256, whole),
        several => {
            let mut context = Context::new(&SHA256);
            for part in several {
                context.update(part);
            }
            context.finish()
        }
    };
    let mut sum = [0; 32];
    sum.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    sum
}

/// The length of a part in 8 bytes, big endian: put before it, so that no two lists of parts look
/// alike.
#[must_use]
pub fn length(part: &[u8]) -> [u8; 8] {
    u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::hex;

    #[test]
    fn the_parts_are_hashed_as_one_text() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(&[b"abc"])), known);
        assert_eq!(sha256(&[b"a", b"", b"bc"]), sha256(&[b"abc"]));
        assert_eq!(length(b"abc"), [0, 0, 0, 0, 0, 0, 0, 3]);
    }
}
