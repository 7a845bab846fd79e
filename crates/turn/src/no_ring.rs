//! Where there is no `io_uring`.

use std::io;
use std::ops::Range;
use std::os::fd::RawFd;

#[derive(Debug)]
pub enum Ring {}

#[derive(Debug)]
pub struct Broken;

impl Ring {
    pub fn new(_most: u32) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn send(
        &mut self,
        _bytes: &mut Vec<u8>,
        _writes: impl Iterator<Item = (u64, RawFd, Range<usize>)>,
        _took: impl FnMut(u64, i32),
    ) -> Result<(), Broken> {
        match *self {}
    }
}
