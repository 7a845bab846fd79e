//! Tests from outside: the structure of the code, and the whole program over real sockets.

mod tidy;
