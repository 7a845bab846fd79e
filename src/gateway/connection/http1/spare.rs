//! Memory that connections of a core lend each other: one that waits for its next request has none, and
//! the next request finds it where it is still in the cache.

use std::cell::RefCell;

use bytes::BytesMut;
use http::HeaderMap;

/// Of each kind so many are kept.
const KEPT: usize = 32;
/// Larger ones are not.
const MOST_BYTES: usize = 16 * 1024;
const MOST_FIELDS: usize = 128;

thread_local! {
    static INPUTS: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
    static ROOMS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static FIELDS: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// To read into; has no room when there is none to spare.
pub fn input() -> BytesMut {
    INPUTS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

pub fn keep_input(input: BytesMut) {
    if input.is_empty() && (1..=MOST_BYTES).contains(&input.capacity()) {
        INPUTS.with_borrow_mut(|kept| keep(kept, input));
    }
}

/// To write to.
pub fn room() -> Vec<u8> {
    ROOMS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

pub fn keep_room(mut room: Vec<u8>) {
    if (1..=MOST_BYTES).contains(&room.capacity()) {
        room.clear();
        ROOMS.with_borrow_mut(|kept| keep(kept, room));
    }
}

/// For the fields of a head.
pub fn fields() -> HeaderMap {
    FIELDS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

pub fn keep_fields(mut fields: HeaderMap) {
    if (1..=MOST_FIELDS).contains(&fields.capacity()) {
        fields.clear();
        FIELDS.with_borrow_mut(|kept| keep(kept, fields));
    }
}

fn keep<T>(kept: &mut Vec<T>, one: T) {
    if kept.len() < KEPT {
        kept.push(one);
    }
}
