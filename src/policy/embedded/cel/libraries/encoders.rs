//! `base64.encode` and `base64.decode`.

use super::super::error::EvalError;
use super::super::library::{Context, Overload, global};
use super::super::types::Type;
use super::super::value::Value;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
const PADDED: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
const UNPADDED: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, CONFIG.with_decode_padding_mode(DecodePaddingMode::RequireNone));

pub(super) fn overloads() -> Vec<Overload> {
    vec![
        global("base64.encode", [Type::Bytes], Type::String, encode),
        global("base64.decode", [Type::String], Type::Bytes, decode),
    ]
}

fn encode(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::Bytes(bytes)] = args else { return Err(EvalError::no_such_overload()) };
    context.produce(bytes.len().div_ceil(3).saturating_mul(4))?;
    Ok(Value::from(PADDED.encode(bytes)))
}

/// With or without padding; as in Go, line breaks are passed over.
fn decode(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    context.produce(text.len())?;
    let letters: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let bytes = PADDED
        .decode(&letters)
        .or_else(|_| UNPADDED.decode(&letters))
        .map_err(|_| EvalError::new("the string is no base64"))?;
    Ok(Value::Bytes(bytes.into()))
}
