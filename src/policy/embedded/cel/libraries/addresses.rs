//! `inIPAddrRange`: Cerbos' own, which reads addresses more loosely than `ip()` does.

use super::super::error::EvalError;
use super::super::library::{Context, Overload, member};
use super::super::types::Type;
use super::super::value::Value;
use std::net::{IpAddr, Ipv6Addr};

const MAPPED: u128 = 0xffff << 32;
const LOW: u128 = 0xffff_ffff;

pub(super) fn overloads() -> Vec<Overload> {
    vec![member("inIPAddrRange", [Type::String, Type::String], Type::Bool, in_range)]
}

fn in_range(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::String(address), Value::String(range)] = args else {
        return Err(EvalError::no_such_overload());
    };
    context.charge(1)?;
    let address: IpAddr = address.parse().map_err(|_| EvalError::new("no IP address"))?;
    let range = Range::parse(range).ok_or_else(|| EvalError::new("no range of IP addresses"))?;
    Ok(Value::Bool(range.contains(address)))
}

/// The bits that count and their value, as IPv6.
struct Range {
    is_v4: bool,
    mask: u128,
    network: u128,
}

impl Range {
    /// An address, `/`, and the number of bits, which may begin with zeros.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        if bits.is_empty() || !bits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let bits: u32 = bits.parse().ok()?;
        let free = match address {
            IpAddr::V4(_) => 32_u32,
            IpAddr::V6(_) => 128,
        }
        .checked_sub(bits)?;
        let mask = u128::MAX.checked_shl(free).unwrap_or(0);
        let (mask, network) = match address {
            IpAddr::V4(address) => {
                let mask = mask & LOW;
                (mask, MAPPED | (u128::from(address.to_bits()) & mask))
            }
            IpAddr::V6(address) => (mask, address.to_bits() & mask),
        };
        // A mapped range that keeps its prefix is one of IPv4.
        let is_v4 = is_mapped(network);
        let mask = if is_v4 { mask | !LOW } else { mask };
        Some(Self { is_v4, mask, network })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let bits = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => Ipv6Addr::to_bits(address),
        };
        is_mapped(bits) == self.is_v4 && bits & self.mask == self.network
    }
}

const fn is_mapped(bits: u128) -> bool {
    bits & !LOW == MAPPED
}
