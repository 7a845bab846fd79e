//! Where the frames of one direction begin and end (RFC 6455, section 5). Headers are read, payloads
//! only counted.

/// The longest header: two bytes, eight of length, four of mask.
const LONGEST: usize = 14;
const CLOSE: u8 = 8;

/// What breaks the rules for frames.
pub type Malformed = &'static str;

/// The frames of one direction, as far as they have come. A copy of it looks ahead.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    /// Those of a client have a mask, those of a server none.
    masked: bool,
    /// An agreed extension may use the reserved bits.
    extended: bool,
    header: [u8; LONGEST],
    /// Bytes of an unfinished header.
    have: usize,
    /// Bytes of payload that are still to come.
    left: u64,
    message: Message,
}

/// Where in the order of frames the next one comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Between,
    /// Behind a fragment that is not the last.
    Within,
    /// A Close has begun: none comes.
    Closed,
}

/// What a whole header says.
struct Header {
    first: u8,
    payload: u64,
}

impl Frames {
    #[must_use]
    pub const fn new(masked: bool, extended: bool) -> Self {
        Self { masked, extended, header: [0; LONGEST], have: 0, left: 0, message: Message::Between }
    }

    /// Follows all of `bytes`.
    ///
    /// # Errors
    /// How many of them came before the header that is wrong; none of it may pass. Nothing may
    /// follow after that.
    pub fn accept(&mut self, bytes: &[u8]) -> Result<(), (usize, Malformed)> {
        let (mut at, mut boundary) = (0, 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at += self.step(rest).map_err(|malformed| (boundary, malformed))?;
            // All but an unfinished header.
            boundary = at.saturating_sub(self.have);
        }
        Ok(())
    }

    /// Neither in a header nor in a payload.
    #[must_use]
    pub const fn is_at_boundary(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// A Close frame has begun.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.message, Message::Closed)
    }

    /// Bytes of a header that is not whole.
    #[must_use]
    pub const fn unfinished(&self) -> usize {
        self.have
    }

    /// How many of `bytes` belong to the frame that has begun; none at a boundary.
    #[must_use]
    pub fn rest_of_frame(mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while !self.is_at_boundary() {
            let rest = bytes.get(at..).unwrap_or_default();
            match self.step(rest) {
                Ok(0) | Err(_) => return at,
                Ok(count) => at += count,
            }
        }
        at
    }

    /// One header, or a part of one, or of a payload.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        if self.left > 0 {
            let here = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(self.left);
            self.left -= here;
            return Ok(usize::try_from(here).unwrap_or(bytes.len()));
        }
        for (taken, &byte) in bytes.iter().enumerate() {
            if let Some(to) = self.header.get_mut(self.have) {
                *to = byte;
            }
            self.have += 1;
            if let Some(header) = self.whole_header()? {
                self.begin(&header)?;
                self.have = 0;
                return Ok(taken + 1);
            }
        }
        Ok(bytes.len())
    }

    fn whole_header(&self) -> Result<Option<Header>, Malformed> {
        let [first, second, rest @ ..] = self.header;
        if self.is_closed() {
            return Err("a frame after Close");
        }
        if self.have < 2 {
            return Ok(None);
        }
        if (second & 0x80 != 0) != self.masked {
            return Err(if self.masked { "a frame without a mask" } else { "a frame with a mask" });
        }
        let short = u64::from(second & 0x7f);
        let extra = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.have < 2 + extra + if self.masked { 4 } else { 0 } {
            return Ok(None);
        }
        let length = rest.iter().take(extra).fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let payload = if extra == 0 { short } else { length };
        let least = match extra {
            0 => 0,
            2 => 126,
            _ => 1 << 16,
        };
        if payload < least || payload >> 63 != 0 {
            return Err("a length in another form than the shortest");
        }
        Ok(Some(Header { first, payload }))
    }

    fn begin(&mut self, header: &Header) -> Result<(), Malformed> {
        let (last, opcode) = (header.first & 0x80 != 0, header.first & 0x0f);
        if header.first & 0x70 != 0 && !self.extended {
            return Err("a reserved bit that no extension has");
        }
        match opcode {
            0 if self.message == Message::Between => return Err("a continuation of nothing"),
            1 | 2 if self.message == Message::Within => return Err("a message inside another"),
            0..=2 => self.message = if last { Message::Between } else { Message::Within },
            CLOSE..=10 if !last => return Err("a control frame in fragments"),
            CLOSE..=10 if header.payload > 125 => return Err("a control frame that is too long"),
            CLOSE if header.payload == 1 => return Err("a Close with half a code"),
            CLOSE => self.message = Message::Closed,
            9 | 10 => (),
            _ => return Err("a reserved opcode"),
        }
        self.left = header.payload;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, masked: bool, length: usize) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match length {
            0..=125 => bytes.push(mask | u8::try_from(length).expect("short")),
            126..=0xffff => {
                bytes.push(mask + 126);
                bytes.extend_from_slice(&u16::try_from(length).expect("short").to_be_bytes());
            }
            _ => {
                bytes.push(mask + 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(if masked { b"mask" } else { b"" });
        bytes.resize(bytes.len() + length, b'x');
        bytes
    }

    #[test]
    fn boundaries_are_found_however_the_bytes_are_cut() {
        for masked in [true, false] {
            for length in [0, 1, 125, 126, 300, 65_535, 65_536] {
                let one = frame(0x82, masked, length);
                let stream = [one.clone(), frame(0x89, masked, 4), one.clone()].concat();
                for at in (0..stream.len()).filter(|at| at % 97 < 16 || stream.len() < 600) {
                    let mut frames = Frames::new(masked, false);
                    frames.accept(&stream[..at]).expect("good");
                    let ends = [0, one.len(), stream.len() - one.len(), stream.len()];
                    assert_eq!(frames.is_at_boundary(), ends.contains(&at), "{length} {at}");
                    let next = ends.into_iter().find(|end| *end >= at).expect("an end");
                    assert_eq!(frames.rest_of_frame(&stream[at..]), next - at, "{length} {at}");
                    let some = (next - at).min(1);
                    assert_eq!(frames.rest_of_frame(&stream[at..at + some]), some);
                    frames.accept(&stream[at..]).expect("good");
                    assert!(frames.is_at_boundary());
                }
            }
        }
    }

    #[test]
    fn messages_may_have_fragments_with_control_frames_between_them() {
        let mut frames = Frames::new(false, false);
        for first in [0x01, 0x89, 0x00, 0x8a, 0x80, 0x82, 0x81, 0x88] {
            frames.accept(&frame(first, false, 2)).expect("good");
        }
        assert!(frames.is_closed() && frames.is_at_boundary());
    }

    #[test]
    fn what_breaks_the_rules_is_refused_where_its_frame_begins_however_it_is_cut() {
        let good = |masked| frame(0x82, masked, 5);
        for masked in [true, false] {
            let mut bad = vec![
                frame(0x82, !masked, 5),
                frame(0x80, masked, 1),
                frame(0x88, masked, 126),
                frame(0x89, masked, 126),
                frame(0x88, masked, 1),
                frame(0x08, masked, 0),
                frame(0x0a, masked, 0),
                [frame(0x01, masked, 1), frame(0x81, masked, 1)].concat(),
                [frame(0x88, masked, 0), frame(0x81, masked, 1)].concat(),
                [frame(0x88, masked, 2), frame(0x88, masked, 2)].concat(),
            ];
            bad.extend([3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(|o| frame(0x80 | o, masked, 1)));
            bad.extend([0xc2, 0xa2, 0x92, 0xf2].map(|first| frame(first, masked, 1)));
            let mask = if masked { 0x80 } else { 0 };
            bad.push([&[0x82, mask + 126, 0, 125][..], b"mask"].concat());
            bad.push([&[0x82, mask + 127, 0, 0, 0, 0, 0, 0, 255, 255][..], b"mask"].concat());
            bad.push([&[0x82, mask + 127, 128, 0, 0, 0, 0, 0, 0, 0][..], b"mask"].concat());
            for bad in bad {
                let stream = [good(masked), bad.clone()].concat();
                let (at, why) = Frames::new(masked, false).accept(&stream).expect_err("bad");
                assert!(at >= good(masked).len() && at < stream.len(), "{bad:?}: {why}");
                for cut in 1..stream.len() {
                    let mut frames = Frames::new(masked, false);
                    let refused = match frames.accept(&stream[..cut]) {
                        Ok(()) => frames.accept(&stream[cut..]).expect_err("bad").1,
                        Err((_, why)) => why,
                    };
                    assert_eq!(refused, why, "{bad:?} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn an_agreed_extension_may_use_the_reserved_bits() {
        assert!(Frames::new(true, true).accept(&frame(0xc2, true, 5)).is_ok());
        assert!(Frames::new(true, true).accept(&frame(0xc3, true, 5)).is_err());
    }
}
