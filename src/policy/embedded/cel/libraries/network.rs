//! IP addresses and ranges of them: `ip`, `cidr` and their methods. Addresses are read strictly: no
//! zones, no IPv4 in IPv6.

use super::super::error::EvalError;
use super::super::library::{Context, Function, Overload, global, member};
use super::super::types::Type::{self, Bool, Int, String as Text};
use super::super::value::{Opaque, Value};
use std::any::Any;
use std::net::IpAddr;

const IP: &str = "net.IP";
const CIDR: &str = "net.CIDR";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address(IpAddr);

/// An address, which need not be the first of its range, and how many bits the range has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    address: IpAddr,
    bits: u32,
}

impl Opaque for Address {
    fn type_name(&self) -> &'static str {
        IP
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        Some(other.as_opaque() == Some(self))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Opaque for Range {
    fn type_name(&self) -> &'static str {
        CIDR
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        Some(other.as_opaque() == Some(self))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

pub(super) fn overloads() -> Vec<Overload> {
    let (ip, cidr) = (|| Type::Opaque(IP), || Type::Opaque(CIDR));
    let mut all = vec![
        global("ip", [Text], ip(), parse_ip),
        global("cidr", [Text], cidr(), parse_cidr),
        global("isIP", [Text], Bool, |context, args| {
            read(context, args).map(|text| Value::Bool(address(text).is_some()))
        }),
        global("isCIDR", [Text], Bool, |context, args| {
            read(context, args).map(|text| Value::Bool(range(text).is_some()))
        }),
        global("ip.isCanonical", [Text], Bool, is_canonical),
        global("string", [ip()], Text, |_, args| of_ip(args, |it| it.to_string().into())),
        global("string", [cidr()], Text, |_, args| {
            of_cidr(args, |it| format!("{}/{}", it.address, it.bits).into())
        }),
        member("family", [ip()], Int, |_, args| {
            of_ip(args, |it| Value::Int(if it.is_ipv4() { 4 } else { 6 }))
        }),
        member("ip", [cidr()], ip(), |_, args| {
            of_cidr(args, |it| Value::opaque(Address(it.address)))
        }),
        member("masked", [cidr()], cidr(), |_, args| {
            of_cidr(args, |it| Value::opaque(it.masked()))
        }),
        member("isMask", [cidr()], Bool, |_, args| {
            of_cidr(args, |it| Value::Bool(it.masked() == it))
        }),
        member("prefixLength", [cidr()], Int, |_, args| {
            of_cidr(args, |it| Value::Int(i64::from(it.bits)))
        }),
    ];
    let questions: [(&str, Function); 5] = [
        ("isLoopback", |_, args| of_ip(args, |it| Value::Bool(it.is_loopback()))),
        ("isUnspecified", |_, args| of_ip(args, |it| Value::Bool(it.is_unspecified()))),
        ("isGlobalUnicast", |_, args| of_ip(args, |it| Value::Bool(is_global_unicast(it)))),
        ("isLinkLocalUnicast", |_, args| of_ip(args, |it| Value::Bool(is_link_local(it)))),
        ("isLinkLocalMulticast", |_, args| {
            of_ip(args, |it| Value::Bool(is_link_local_multicast(it)))
        }),
    ];
    all.extend(questions.map(|(name, function)| member(name, [ip()], Bool, function)));
    for other in [ip(), Text] {
        all.push(member("containsIP", [cidr(), other], Bool, contains_ip));
    }
    for other in [cidr(), Text] {
        all.push(member("containsCIDR", [cidr(), other], Bool, contains_cidr));
    }
    all
}

fn read<'v>(context: &mut Context<'_>, args: &[&'v Value]) -> Result<&'v str, EvalError> {
    let [Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    context.charge(1 + text.len() / 64)?;
    Ok(text)
}

fn of_ip(args: &[&Value], ask: fn(IpAddr) -> Value) -> Result<Value, EvalError> {
    let [value] = args else { return Err(EvalError::no_such_overload()) };
    let it: &Address = value.as_opaque().ok_or_else(EvalError::no_such_overload)?;
    Ok(ask(it.0))
}

fn of_cidr(args: &[&Value], ask: fn(Range) -> Value) -> Result<Value, EvalError> {
    let [value] = args else { return Err(EvalError::no_such_overload()) };
    let it: &Range = value.as_opaque().ok_or_else(EvalError::no_such_overload)?;
    Ok(ask(*it))
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().filter(|address| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_none(),
    })
}

fn range(text: &str) -> Option<Range> {
    let (text, bits) = text.rsplit_once('/')?;
    let address = address(text)?;
    let is_number = bits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || (bits.len() > 1 && bits.starts_with('0')) {
        return None;
    }
    let bits: u32 = bits.parse().ok()?;
    (bits <= width(address)).then_some(Range { address, bits })
}

const fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl Range {
    /// The first bits of an address, as many as the range has.
    fn first_bits(self, address: IpAddr) -> IpAddr {
        let free = width(address).saturating_sub(self.bits);
        match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(free).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(free).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        }
    }

    fn masked(self) -> Self {
        Self { address: self.first_bits(self.address), ..self }
    }

    fn contains(self, address: IpAddr) -> bool {
        width(address) == width(self.address)
            && self.first_bits(address) == self.first_bits(self.address)
    }
}

fn parse_ip(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let text = read(context, args)?;
    let address = address(text).ok_or_else(|| no_address(text))?;
    Ok(Value::opaque(Address(address)))
}

fn parse_cidr(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let text = read(context, args)?;
    let range = range(text).ok_or_else(|| no_range(text))?;
    Ok(Value::opaque(range))
}

fn no_address(text: &str) -> EvalError {
    EvalError::new(format!("'{text}' is no IP address"))
}

fn no_range(text: &str) -> EvalError {
    EvalError::new(format!("'{text}' is no range of IP addresses"))
}

fn is_canonical(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let text = read(context, args)?;
    let address = address(text).ok_or_else(|| no_address(text))?;
    Ok(Value::Bool(address.to_string() == text))
}

fn contains_ip(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [range, other] = args else { return Err(EvalError::no_such_overload()) };
    let range: &Range = range.as_opaque().ok_or_else(EvalError::no_such_overload)?;
    let other = match other {
        Value::String(text) => {
            read(context, &[other])?;
            address(text).ok_or_else(|| no_address(text))?
        }
        other => other.as_opaque::<Address>().ok_or_else(EvalError::no_such_overload)?.0,
    };
    Ok(Value::Bool(range.contains(other)))
}

fn contains_cidr(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [outer, inner] = args else { return Err(EvalError::no_such_overload()) };
    let outer: &Range = outer.as_opaque().ok_or_else(EvalError::no_such_overload)?;
    let inner = match inner {
        Value::String(text) => {
            read(context, &[inner])?;
            range(text).ok_or_else(|| no_range(text))?
        }
        inner => *inner.as_opaque().ok_or_else(EvalError::no_such_overload)?,
    };
    Ok(Value::Bool(outer.bits <= inner.bits && outer.contains(inner.address)))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
        IpAddr::V6(address) => {
            matches!(address.segments(), [first, ..] if first & 0xff0f == 0xff02)
        }
    }
}

/// As Go sees it: private addresses are global too.
fn is_global_unicast(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !is_broadcast
        && !address.is_unspecified()
        && !address.is_loopback()
        && !address.is_multicast()
        && !is_link_local(address)
}
