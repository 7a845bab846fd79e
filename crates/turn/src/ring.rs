//! Many sends, one system call.

use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use io_uring::{IoUring, Probe, opcode, types};

/// None of them waits: what the socket does not take at once ends with `EAGAIN`, within the call. A
/// socket that is closed is an error, and no signal.
const AT_ONCE: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// One thread's way to hand sends to the kernel.
pub struct Ring {
    ring: IoUring,
    is_broken: bool,
}

/// The kernel did not take everything. Nothing more is sent this way.
#[derive(Debug)]
pub struct Broken;

impl Ring {
    /// For up to `most` sends at once, by the thread that made it.
    ///
    /// # Errors
    /// The kernel has no `io_uring`, forbids it, or cannot send with it.
    pub fn new(most: u32) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        let ring = builder.setup_single_issuer().setup_submit_all().build(most);
        // Linux before 6.0 knows neither.
        let ring = ring.or_else(|_| IoUring::new(most))?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Send::CODE) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "it cannot send"));
        }
        let mut ring = Self { ring, is_broken: false };
        ring.prove()?;
        Ok(ring)
    }

    /// Sends parts of `bytes`, and tells under its number how many of each were taken, or the error as a
    /// negative number. At most as many as the ring was made for.
    ///
    /// # Errors
    /// Some were not sent; nothing was told of them. `bytes` is empty then.
    pub fn send(
        &mut self,
        bytes: &mut Vec<u8>,
        writes: impl Iterator<Item = (u64, RawFd, Range<usize>)>,
        took: impl FnMut(u64, i32),
    ) -> Result<(), Broken> {
        let sent = self.try_send(bytes, writes, took);
        if sent.is_err() {
            self.is_broken = true;
            // The kernel may still be told of them: never free, never written to again.
            std::mem::forget(std::mem::take(bytes));
        }
        sent
    }

    fn try_send(
        &mut self,
        bytes: &[u8],
        writes: impl Iterator<Item = (u64, RawFd, Range<usize>)>,
        mut took: impl FnMut(u64, i32),
    ) -> Result<(), Broken> {
        if self.is_broken {
            return Err(Broken);
        }
        let mut open = self.push(bytes, writes)?;
        while open > 0 {
            let submitted = self.ring.submit_and_wait(open);
            for done in self.ring.completion() {
                open = open.saturating_sub(1);
                took(done.user_data(), done.result());
            }
            match submitted {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(_) if open > 0 => return Err(Broken),
                Ok(_) | Err(_) => (),
            }
        }
        Ok(())
    }

    /// How many were put into the queue.
    #[expect(unsafe_code, reason = "the kernel is told where bytes are")]
    fn push(
        &mut self,
        bytes: &[u8],
        writes: impl Iterator<Item = (u64, RawFd, Range<usize>)>,
    ) -> Result<usize, Broken> {
        let mut queue = self.ring.submission();
        let mut count = 0;
        for (number, socket, part) in writes {
            let part = bytes.get(part).ok_or(Broken)?;
            let length = u32::try_from(part.len()).map_err(|_| Broken)?;
            let send = opcode::Send::new(types::Fd(socket), part.as_ptr(), length);
            let entry = send.flags(AT_ONCE).build().user_data(number);
            // SAFETY: the kernel reads the bytes until the send is completed. `send` has them for itself, and
            // returns when all are; otherwise it gives their memory up for good, and the ring submits
            // nothing any more.
            unsafe { queue.push(&entry) }.map_err(|_| Broken)?;
            count += 1;
        }
        Ok(count)
    }

    /// A byte goes through, or another way has to be found: some sandboxes let a ring be made, and no more.
    fn prove(&mut self) -> io::Result<()> {
        let (ours, mut theirs) = UnixStream::pair()?;
        let (mut bytes, mut taken) = (b"?".to_vec(), 0);
        let one = [(0, ours.as_raw_fd(), 0..1)].into_iter();
        let sent = self.send(&mut bytes, one, |_, count| taken = count);
        let mut byte = [0];
        if sent.is_err() || taken != 1 || theirs.read(&mut byte)? != 1 || byte != *b"?" {
            return Err(io::Error::other("a send did not come through"));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// `None`: there is no `io_uring` here.
    fn ring(most: u32) -> Option<Ring> {
        let ring = Ring::new(most);
        if let Err(error) = &ring {
            eprintln!("nothing to see without io_uring: {error}");
        }
        ring.ok()
    }

    fn sent(ring: &mut Ring, writes: &[(&UnixStream, &[u8])]) -> Vec<(u64, i32)> {
        let (mut all, mut parts, mut results) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (to, bytes)) in (0..).zip(writes) {
            let from = all.len();
            all.extend_from_slice(bytes);
            parts.push((number, to.as_raw_fd(), from..all.len()));
        }
        let told = |number, result| results.push((number, result));
        ring.send(&mut all, parts.into_iter(), told).expect("sent");
        results.sort_unstable();
        results
    }

    #[test]
    fn each_socket_gets_its_bytes_and_each_number_its_result() {
        let Some(mut ring) = ring(4) else { return };
        let pairs: Vec<_> = (0..3).map(|_| UnixStream::pair().expect("a pair")).collect();
        for round in 0..10_u8 {
            let bytes: Vec<Vec<u8>> = (0..3).map(|n| vec![round; usize::from(n + round)]).collect();
            let writes: Vec<_> = pairs.iter().zip(&bytes).map(|(p, b)| (&p.0, &b[..])).collect();
            let lengths: Vec<_> =
                (0..).zip(&bytes).map(|(n, b)| (n, i32::try_from(b.len()).expect("few"))).collect();
            assert_eq!(sent(&mut ring, &writes), lengths);
            for ((_, theirs), bytes) in pairs.iter().zip(&bytes) {
                let mut got = vec![0; bytes.len()];
                (&*theirs).read_exact(&mut got).expect("bytes");
                assert_eq!(got, *bytes);
            }
        }
    }

    #[test]
    fn a_full_socket_and_a_closed_one_do_not_hold_up_the_others() {
        let Some(mut ring) = ring(4) else { return };
        let (full, _reader) = UnixStream::pair().expect("a pair");
        full.set_nonblocking(true).expect("set");
        while (&full).write(&[0; 4096]).is_ok() {}
        full.set_nonblocking(false).expect("set");
        let (closed, other) = UnixStream::pair().expect("a pair");
        drop(other);
        let (good, mut reader) = UnixStream::pair().expect("a pair");
        let results = sent(&mut ring, &[(&full, b"a"), (&closed, b"b"), (&good, b"c")]);
        assert_eq!(results, [(0, -libc::EAGAIN), (1, -libc::EPIPE), (2, 1)]);
        let mut byte = [0];
        reader.read_exact(&mut byte).expect("a byte");
        assert_eq!(byte, *b"c");
    }

    #[test]
    fn a_ring_that_was_asked_for_too_much_sends_nothing_then_or_ever() {
        let Some(mut ring) = ring(2) else { return };
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        for most in [3, 1] {
            let mut bytes = b"xyz".to_vec();
            let writes = (0..most).map(|number| {
                let at = usize::try_from(number).expect("few");
                (number, ours.as_raw_fd(), at..at + 1)
            });
            assert!(ring.send(&mut bytes, writes, |_, _| ()).is_err());
            assert!(bytes.is_empty(), "the memory was given up");
        }
        theirs.set_nonblocking(true).expect("set");
        assert!((&theirs).read(&mut [0]).is_err());
    }
}
