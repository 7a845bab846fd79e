//! What a server says when it says no.

use super::super::StoreFault;

/// An error reply, by its first word (redis.io, "Redis serialization protocol", simple errors).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    Moved,
    Ask,
    TryAgain,
    ClusterDown,
    CrossSlot,
    Loading,
    MasterDown,
    Busy,
    ReadOnly,
    NoReplicas,
    NoAuth,
    WrongPass,
    NoPerm,
    Misconf,
    OutOfMemory,
    NoScript,
    WrongType,
    Other,
}

impl Refusal {
    /// In the order of their declaration.
    pub const ALL: [Self; 18] = [
        Self::Moved,
        Self::Ask,
        Self::TryAgain,
        Self::ClusterDown,
        Self::CrossSlot,
        Self::Loading,
        Self::MasterDown,
        Self::Busy,
        Self::ReadOnly,
        Self::NoReplicas,
        Self::NoAuth,
        Self::WrongPass,
        Self::NoPerm,
        Self::Misconf,
        Self::OutOfMemory,
        Self::NoScript,
        Self::WrongType,
        Self::Other,
    ];

    /// From the text of an error reply without its leading `-`.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let word = text.split(|&byte| byte == b' ').next().unwrap_or_default();
        match word {
            b"MOVED" => Self::Moved,
            b"ASK" => Self::Ask,
            b"TRYAGAIN" => Self::TryAgain,
            b"CLUSTERDOWN" => Self::ClusterDown,
            b"CROSSSLOT" => Self::CrossSlot,
            b"LOADING" => Self::Loading,
            b"MASTERDOWN" => Self::MasterDown,
            b"BUSY" => Self::Busy,
            b"READONLY" => Self::ReadOnly,
            b"NOREPLICAS" => Self::NoReplicas,
            b"NOAUTH" => Self::NoAuth,
            b"WRONGPASS" => Self::WrongPass,
            b"NOPERM" => Self::NoPerm,
            b"MISCONF" => Self::Misconf,
            b"OOM" => Self::OutOfMemory,
            b"NOSCRIPT" => Self::NoScript,
            b"WRONGTYPE" => Self::WrongType,
            _ => Self::Other,
        }
    }

    /// The word as the server says it; a closed set, for logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Moved => "MOVED",
            Self::Ask => "ASK",
            Self::TryAgain => "TRYAGAIN",
            Self::ClusterDown => "CLUSTERDOWN",
            Self::CrossSlot => "CROSSSLOT",
            Self::Loading => "LOADING",
            Self::MasterDown => "MASTERDOWN",
            Self::Busy => "BUSY",
            Self::ReadOnly => "READONLY",
            Self::NoReplicas => "NOREPLICAS",
            Self::NoAuth => "NOAUTH",
            Self::WrongPass => "WRONGPASS",
            Self::NoPerm => "NOPERM",
            Self::Misconf => "MISCONF",
            Self::OutOfMemory => "OOM",
            Self::NoScript => "NOSCRIPT",
            Self::WrongType => "WRONGTYPE",
            Self::Other => "an error",
        }
    }

    /// The routes are not what they were: look again, and try once more.
    #[must_use]
    pub const fn is_redirection(self) -> bool {
        matches!(self, Self::Moved | Self::Ask | Self::TryAgain)
    }

    /// The node at the other end is not a primary that can be used.
    #[must_use]
    pub const fn is_wrong_node(self) -> bool {
        matches!(self, Self::Moved | Self::ReadOnly | Self::MasterDown | Self::ClusterDown)
    }
}

impl From<Refusal> for StoreFault {
    fn from(refusal: Refusal) -> Self {
        Self::Unreachable(format!("the server answered {}", refusal.word()))
    }
}
