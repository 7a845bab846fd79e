//! Tests from outside: the structure of the code, and the whole program over real sockets.

#[cfg(test)]
mod tidy;
