//! Templates that were made over the API.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::apply::apply;
use crate::domain::command::{Command, Meant, Transition};
use crate::domain::ids::Seed;
use crate::domain::made::{self, Content, MadeTemplates, MadeVersion, TemplateChange};
use crate::domain::subject::Actor;
use crate::domain::template::Template;
use crate::store::keys;
use crate::store::{Committed, Store};

use super::fixtures::*;
use super::{Process, World};

impl<W: World> Process<W> {
    async fn make(&self, command: Command) {
        let subject = made::subject();
        let loaded = self.load(&subject).await;
        let actor = Actor::Person(person(&alice()));
        let transition = apply(&loaded.state, &command, &actor, Seed(unique()), START);
        let commit = commit_on(&loaded, transition.expect("not refused"), START);
        let committed = self.store.commit(commit).await;
        assert!(matches!(committed, Ok(Committed::Done { .. })), "{committed:?}");
    }

    async fn made(&self) -> MadeTemplates {
        self.store.templates(None).await.expect("it reads").expect("nothing is known")
    }
}

fn named(name: &str) -> Arc<Template> {
    Arc::new(Template { name: name.into(), ..template() })
}

fn put(name: &str) -> Command {
    Command::PutTemplate { template: named(name), meant: Meant::New }
}

fn change(name: &str) -> Command {
    let changed = Template { title: "Changed".into(), ..(*named(name)).clone() };
    Command::PutTemplate { template: Arc::new(changed), meant: Meant::Change }
}

pub async fn what_was_made_reads_back_and_is_not_read_twice<W: World>() {
    let world = W::fresh().await;
    let (one, two) = (world.process(), world.process());
    let none = one.made().await;
    assert_eq!((none.version.number, none.templates.len()), (0, 0));
    assert_eq!(one.store.templates(Some(none.version)).await, Ok(None));
    one.make(put("a")).await;
    one.make(put("b")).await;
    one.make(change("a")).await;
    let made = two.made().await;
    let (a, b) = (&made.templates["a"], &made.templates["b"]);
    assert_eq!((a.version, b.version), (2, 1));
    let title = a.template().map(|template| (template.title.to_string(), template.made));
    assert_eq!(title, Some(("Changed".to_owned(), Some(2))));
    assert_eq!(two.store.templates(Some(made.version)).await, Ok(None));
    one.make(put("c")).await;
    let newer = two.store.templates(Some(made.version)).await.expect("it reads");
    assert!(newer.expect("it moved").templates.contains_key("c"));
    drop((one, two));
    let world = world.reopened().await;
    assert_eq!(world.process().made().await.templates.len(), 3);
}

pub async fn a_version_of_the_templates_is_that_of_its_epoch_and_no_older_store_passes_for_it<
    W: World,
>() {
    let world = W::fresh().await;
    let process = world.process();
    process.make(put("a")).await;
    let made = process.made().await;
    // After a repair the same number may come again, for something else.
    let other = MadeVersion { epoch: made.version.epoch + 1, ..made.version };
    assert_eq!(process.store.templates(Some(other)).await, Ok(Some(made.clone())));
    let head = keys::head(partition(&made::subject()));
    let old = world.get(&head).await.expect("a head");
    process.make(put("b")).await;
    let known = process.made().await.version;
    assert_eq!(process.store.templates(Some(known)).await, Ok(None));
    world.put(&head, old).await;
    let answer = process.store.templates(Some(known)).await;
    assert!(rolled_back(&answer), "{answer:?}");
}

pub async fn a_template_and_its_event_are_one_commit_of_nobody_else<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    process.make(put("a")).await;
    let home = partition(&made::subject());
    let events = process.store.read_events(home, 0, 100).await.expect("events");
    let told: Vec<String> = events.iter().map(|it| it.event.resource.to_string()).collect();
    assert_eq!(told, ["templates/a"]);
    assert_eq!(events[0].event.kind.cloud_event_type(), "dev.tidegate.template.changed.v1");
    // In the name of anybody else, and under a name that is none, it is refused.
    let stolen = TemplateChange { name: "x".into(), version: 1, template: Some(named("x")) };
    let odd = TemplateChange { name: "../x".into(), ..stolen.clone() };
    for (subject, change) in [(alice(), stolen), (made::subject(), odd)] {
        let loaded = process.load(&subject).await;
        let transition = Transition { templates: vec![change], ..Transition::default() };
        let refused = process.store.commit(commit_on(&loaded, transition, START)).await;
        assert!(invalid(&refused), "{refused:?}");
    }
}

pub async fn a_template_that_cannot_be_trusted_is_not_there_and_hides_no_other<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    process.make(put("a")).await;
    process.make(put("b")).await;
    let key = keys::template(partition(&made::subject()), "a");
    let good = world.get(&key).await.expect("a record");
    let mut edited = good.to_vec();
    *edited.last_mut().expect("a byte") ^= 1;
    for spoilt in [Some(Bytes::from(edited)), Some(Bytes::new()), None] {
        match spoilt {
            Some(value) => world.put(&key, value).await,
            None => world.delete(&key).await,
        }
        let made = world.process().made().await;
        let a = &made.templates["a"];
        assert!(a.is_unreadable(), "{a:?}");
        assert_eq!(a.accesses, template().accesses, "what it grants is known all the same");
        assert!(made.templates["b"].template().is_some());
    }
    // Making it anew heals it, under the next number.
    process.make(Command::PutTemplate { template: named("a"), meant: Meant::Change }).await;
    let healed = process.made().await;
    let version = healed.templates["a"].template().map(|template| template.made);
    assert_eq!(version, Some(Some(2)));
    world.put(&key, good).await;
    assert!(process.made().await.templates["a"].is_unreadable(), "the older one");
}

pub async fn an_older_template_put_back_is_not_believed<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    process.make(put("a")).await;
    let home = partition(&made::subject());
    let anchor = keys::subject(home, made::subject().key());
    let old = (world.get(&anchor).await.expect("a record"), keys::template(home, "a"));
    let record = world.get(&old.1).await.expect("a record");
    process.make(change("a")).await;
    world.put(&old.1, record.clone()).await;
    let fresh = world.process().made().await;
    assert!(fresh.templates["a"].is_unreadable(), "by a process that knew nothing");
    world.put(&anchor, old.0).await;
    let answer = process.store.templates(None).await;
    assert!(rolled_back(&answer), "{answer:?}");
}

pub async fn a_deleted_template_keeps_its_number<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    process.make(put("a")).await;
    process.make(Command::DeleteTemplate { name: "a".into() }).await;
    let gone = process.made().await;
    assert_eq!((gone.templates["a"].version, &gone.templates["a"].content), (2, &Content::Deleted));
    let key = keys::template(partition(&made::subject()), "a");
    assert_eq!(world.get(&key).await, None);
    process.make(put("a")).await;
    assert_eq!(process.made().await.templates["a"].version, 3);
}
