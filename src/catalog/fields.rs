//! The custom fields of a template.

use crate::config::map::Map;
use crate::config::read::{distinct, name, words};
use crate::config::reader::At;
use crate::domain::template::{Field, FieldKind};

const USUAL_LENGTH: u64 = 200;
const MOST_LENGTH: u64 = 10_000;

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Select,
    Checkbox,
    Number,
}

pub fn fields(at: &At<'_>) -> Option<Vec<Field>> {
    let found = at.list("a list of fields", field)?;
    let names: Vec<&str> = found.iter().map(|field| &*field.name).collect();
    distinct(at, "name", &names).then_some(found)
}

fn field(at: &At<'_>) -> Option<Field> {
    let map = at.map("a field like { name: ticket, type: text }")?;
    let name = map.need("name", "the field's name", name);
    let required = map.or("required", false, At::flag);
    let kind = map.need("type", "one of text, select, checkbox, number", |at| {
        at.one_of(&[
            ("text", Kind::Text),
            ("select", Kind::Select),
            ("checkbox", Kind::Checkbox),
            ("number", Kind::Number),
        ])
    });
    let kind = kind.map(|kind| details(&map, kind));
    // Without a kind, which other keys belong here is not known.
    if kind.is_none() {
        for key in ["max", "options"] {
            map.get(key);
        }
    }
    map.finish();
    Some(Field { name: name?, required: required?, kind: kind?? })
}

fn details(map: &Map<'_>, kind: Kind) -> Option<FieldKind> {
    match kind {
        Kind::Text => {
            let max = map.or("max", USUAL_LENGTH, |at| at.count(&(1..=MOST_LENGTH)))?;
            Some(FieldKind::Text { max: u32::try_from(max).ok()? })
        }
        Kind::Select => {
            let options = map.need("options", "a list of at least one option", words)?;
            Some(FieldKind::Select { options })
        }
        Kind::Checkbox => Some(FieldKind::Checkbox),
        Kind::Number => Some(FieldKind::Number),
    }
}
