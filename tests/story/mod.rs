//! The main job over real sockets: asked, approved, enforced, ended.

mod concurrency;
mod crash;
mod ends;
mod explain;
mod flow;
mod kill;
mod reload;
