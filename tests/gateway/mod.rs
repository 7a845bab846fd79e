//! Nothing the policy did not see: hostile requests in large numbers over raw sockets, tools that
//! write down what reached them, and the master rule over both.

mod conversation;
mod draft;
mod families;
mod hostile;
mod http2;
mod oracle;
mod parsers;
mod recorder;
mod reuse;
#[path = "../differential/rng.rs"]
mod rng;
mod scene;
