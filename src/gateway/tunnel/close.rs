//! Close frames of ours (RFC 6455, sections 5.5.1 and 7.4.1).

use crate::entropy;
use crate::problem::ProblemCode;

const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const POLICY_VIOLATION: u16 = 1008;
/// Bytes of a reason; the payload of a control frame has at most 125.
const REASON: usize = 123;

/// What a Close says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    code: u16,
    reason: &'static str,
}

impl Close {
    #[must_use]
    pub const fn access_ended(why: ProblemCode) -> Self {
        Self { code: POLICY_VIOLATION, reason: why.code() }
    }

    #[must_use]
    pub const fn going_away(reason: &'static str) -> Self {
        Self { code: GOING_AWAY, reason }
    }

    #[must_use]
    pub const fn malformed() -> Self {
        Self { code: PROTOCOL_ERROR, reason: "malformed frame" }
    }

    /// The whole frame; towards a tool it has a mask, as a client's frames have.
    #[must_use]
    pub fn frame(self, masked: bool) -> Vec<u8> {
        let reason = self.reason.as_bytes();
        let reason = reason.get(..REASON).unwrap_or(reason);
        let payload = [&self.code.to_be_bytes()[..], reason].concat();
        // At most 125.
        let length = u8::try_from(payload.len()).unwrap_or(125);
        if !masked {
            return [&[0x88, length][..], &payload].concat();
        }
        // The mask protects against payloads that somebody chose; this one nobody did.
        let mask: [u8; 4] = entropy::bytes().unwrap_or_default();
        let hidden = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        [&[0x88, 0x80 | length][..], &mask].concat().into_iter().chain(hidden).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_carries_its_code_and_reason_masked_or_not() {
        let close = Close::access_ended(ProblemCode::GrantExpired);
        let plain = close.frame(false);
        assert_eq!(plain, [&[0x88, 15, 0x03, 0xf0][..], b"grant-expired"].concat());
        let masked = close.frame(true);
        assert_eq!(masked[..2], [0x88, 0x80 | 15]);
        let payload: Vec<u8> =
            masked[6..].iter().zip(masked[2..6].iter().cycle()).map(|(a, b)| a ^ b).collect();
        assert_eq!(payload, plain[2..]);
    }
}
