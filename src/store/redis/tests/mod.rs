//! Against real servers.

mod status;
mod world;

mod contract {
    use super::world::StandaloneWorld;
    use crate::store::contract::contract_suite;

    contract_suite!(StandaloneWorld);
}
