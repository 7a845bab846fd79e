use super::world::StandaloneWorld;
use crate::store::backend::Backend;
use crate::store::contract::World;

#[tokio::test]
async fn a_real_server_tells_its_version_its_role_and_its_memory() {
    let world = StandaloneWorld::fresh().await;
    let status = world.backend().status().await.expect("it answers");
    let told: Vec<String> =
        status.lines.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let told = told.join("\n");
    for part in ["back end: redis", " version: redis 7.", " role: master", "bytes used", "aof: "] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(!told.contains('?'), "everything was said\n{told}");
}
