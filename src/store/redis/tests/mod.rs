//! Against real servers.

mod commits;
mod levels;
mod opening;
mod status;
mod topologies;
pub(crate) mod world;

mod contract {
    use super::world::StandaloneWorld;
    use crate::store::contract::contract_suite;

    contract_suite!(StandaloneWorld);
}

mod contract_on_a_cluster {
    use super::topologies::ClusterWorld;
    use crate::store::contract::contract_suite;

    contract_suite!(ClusterWorld);
}

mod contract_on_valkey {
    use super::topologies::ValkeyWorld;
    use crate::store::contract::contract_suite;

    contract_suite!(ValkeyWorld);
}
