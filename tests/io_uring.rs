//! Writes that go to the kernel together, and one by one: whoever asks sees no difference.

use std::fs;
use std::thread;

use crate::harness::World;

/// Whether the process has a ring.
fn has_ring(world: &World) -> bool {
    let folder = format!("/proc/{}/fd", world.gateway.pid());
    let open = fs::read_dir(folder).expect("its files").flatten();
    let links = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.into_iter().any(|link| link.to_string_lossy().contains("io_uring"))
}

/// Many people at once, on connections that they keep, with and without bodies.
fn answers_are_right(world: &World) {
    world.grant("alice");
    let token = world.token("alice");
    thread::scope(|scope| {
        for person in 0..8 {
            let token = &token;
            scope.spawn(move || {
                let mut client = world.proxy();
                for turn in 0..40 {
                    let path = format!("/a/{person}/{turn}");
                    let answer = client.get("warehouse.localhost", &path, Some(token));
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let none = client.get("warehouse.localhost", &path, None);
                    assert_eq!(none.status, 401, "{none:?}");
                }
            });
        }
    });
    let mut paths: Vec<String> = world.upstream.seen().into_iter().map(|it| it.target).collect();
    paths.sort_unstable();
    let mut all: Vec<String> =
        (0..8).flat_map(|person| (0..40).map(move |turn| format!("/a/{person}/{turn}"))).collect();
    all.sort_unstable();
    assert_eq!(paths, all, "each request once");
}

#[test]
fn with_io_uring_every_request_reaches_the_tool_once_and_every_client_its_answer() {
    let world = World::start();
    if !has_ring(&world) {
        // Whoever runs without it is told.
        assert!(world.gateway.log().contains("without io_uring"), "{}", world.gateway.log());
    }
    answers_are_right(&world);
}

#[test]
fn without_io_uring_nothing_is_different() {
    let world =
        World::with(|config| config.replace("listeners:\n", "listeners:\n  io_uring: false\n"));
    assert!(!has_ring(&world));
    assert!(!world.gateway.log().contains("without io_uring"), "it was asked for");
    answers_are_right(&world);
}
