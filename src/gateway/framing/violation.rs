//! What the framing guard refuses, and how that is answered.

/// Bytes that are not the one strict reading of HTTP/1.1 (RFC 9112) that this gateway takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The head cannot be read in exactly one way.
    Head(&'static str),
    TargetTooLong,
    HeadTooLarge,
    /// The head did not arrive within its deadline.
    HeadTooSlow,
    /// The body's framing cannot be read in exactly one way.
    Body(&'static str),
}

impl Violation {
    #[must_use]
    pub const fn status_line(self) -> &'static str {
        match self {
            Self::Head(_) | Self::Body(_) => "400 Bad Request",
            Self::TargetTooLong => "414 URI Too Long",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::HeadTooSlow => "408 Request Timeout",
        }
    }

    /// For people; never quotes what was sent.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Head(what) | Self::Body(what) => what,
            Self::TargetTooLong => "the request target is too long",
            Self::HeadTooLarge => "the request head is too large",
            Self::HeadTooSlow => "the request head did not arrive in time",
        }
    }

    /// Whether the bytes belong to the body of a request that was already handed on.
    #[must_use]
    pub const fn is_in_body(self) -> bool {
        match self {
            Self::Body(_) => true,
            Self::Head(_) | Self::TargetTooLong | Self::HeadTooLarge | Self::HeadTooSlow => false,
        }
    }
}
