//! Fakes of identity, policy, store and decision log, moved by hand.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::{Semaphore, broadcast};

use crate::clock::{Clock, ManualClock};
use crate::config::CredentialSource;
use crate::domain::grant::{EndedWhy, Tombstone};
use crate::domain::ids::{CommitId, GrantId, Partition, PartitionCount};
use crate::domain::markers::{Generation, KillTarget};
use crate::domain::subject::{Person, Subject, SubjectKey};
use crate::domain::time::Timestamp;
use crate::gateway::ports::{Decide, Fate, Identify, Live, LiveSet, MatchedGrant, Provide};
use crate::identity::{Identity, LastToken};
use crate::policy::{Decision, Query, Reason};
use crate::problem::ProblemCode;
use crate::resources::{Known, NotProvided, Origin, Provided, Wanted};
use crate::store::{Base, Head, Seen, StoreFault};
use crate::telemetry::decision::{DecisionLog, DecisionLogFull, DecisionRecord, LeaseCut};

pub const START: Timestamp = Timestamp::from_millis(1_795_339_800_000);

#[derive(Clone, Debug)]
pub struct FakeGrant {
    pub id: GrantId,
    pub subject: &'static str,
    pub tool: &'static str,
    pub role: &'static str,
    pub expires_at: Timestamp,
    /// Empty: every method.
    pub methods: Vec<&'static str>,
}

/// What the policy says next.
#[derive(Clone, Debug)]
pub enum Verdict {
    Allow,
    Deny,
    Unreachable,
    UnknownKind,
    Bypass,
    /// Allowed to those who have this role.
    Role(&'static str),
    /// Allowed, but while it was asked the clock moved to this time.
    AllowAt(Timestamp),
    Panic,
}

/// What the policy was asked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub kind: String,
    pub id: String,
    pub scope: String,
    pub action: String,
    pub roles: Vec<String>,
    pub principal: serde_json::Value,
    pub resource: serde_json::Value,
}

pub struct State {
    pub people: Vec<Identity>,
    pub grants: Vec<FakeGrant>,
    pub ended: Vec<Tombstone>,
    pub suspended: Vec<SubjectKey>,
    pub fault: Option<StoreFault>,
    /// A read of the store takes until then.
    pub read_until: Option<Timestamp>,
    /// Counts changes that the store would commit.
    pub seq: u64,
    pub generation: u64,
    /// Kills of the tool `notes` and when: every grant is gone with them.
    pub killed_at: Option<Timestamp>,
    pub verdict: Verdict,
    /// Questions about somebody with this role alone, of those that grants give, wait for it.
    pub slow_for: Option<(&'static str, Arc<Semaphore>)>,
    /// How grants ended is told only after it.
    pub slow_tombstones: Option<Arc<Semaphore>>,
    /// The number of the policies.
    pub policies: Option<u64>,
    pub asked: Vec<Asked>,
    /// What is said of documents; `None`: nobody knows them.
    pub document: Option<Document>,
    /// Ids of documents, as they were asked for.
    pub wanted: Vec<String>,
}

/// What the provider of documents says.
#[derive(Clone, Debug)]
pub enum Document {
    Has(serde_json::Value),
    Not(NotProvided),
    Panic,
}

pub struct World {
    pub clock: Arc<ManualClock>,
    pub state: Mutex<State>,
    pub reads: AtomicUsize,
    pub identified: AtomicUsize,
    pub records: Mutex<Vec<(Instant, DecisionRecord)>>,
    pub log_full: AtomicBool,
    pub cuts: Mutex<Vec<LeaseCut>>,
    pub moved: broadcast::Sender<Partition>,
    /// Reads of heads alone.
    pub looks: AtomicUsize,
}

pub fn person(name: &str, groups: &[&str], roles: &[&str]) -> Identity {
    let subject = Subject::new("https://idp.test", name);
    let claims = serde_json::json!({ "sub": name });
    Identity {
        key: subject.key(),
        person: Person {
            email: Some(format!("{name}@example.com").into()),
            groups: groups.iter().map(|&group| group.into()).collect(),
            ..Person::named(subject)
        },
        roles: roles.iter().map(|&role| role.into()).collect(),
        claims: Arc::new(claims.as_object().cloned().unwrap_or_default()),
        expires_at: START.plus(std::time::Duration::from_hours(1)),
        proof: crate::identity::Proof::default(),
        prepared: crate::identity::Prepared::default(),
    }
}

pub fn grant_id(number: u8) -> GrantId {
    GrantId { partition: Partition(7), random: [number; 16] }
}

impl World {
    pub fn new() -> Arc<Self> {
        let state = State {
            people: vec![
                person("alice", &["engineering"], &["operator", "auditor"]),
                person("bob", &["a,b", "c d", "z\u{fc}rich"], &[]),
            ],
            grants: Vec::new(),
            ended: Vec::new(),
            suspended: Vec::new(),
            fault: None,
            read_until: None,
            seq: 1,
            generation: 0,
            killed_at: None,
            verdict: Verdict::Allow,
            slow_for: None,
            slow_tombstones: None,
            policies: None,
            asked: Vec::new(),
            document: None,
            wanted: Vec::new(),
        };
        Arc::new(Self {
            clock: ManualClock::at(START),
            state: Mutex::new(state),
            reads: AtomicUsize::new(0),
            identified: AtomicUsize::new(0),
            records: Mutex::default(),
            log_full: AtomicBool::new(false),
            cuts: Mutex::default(),
            moved: broadcast::channel(64).0,
            looks: AtomicUsize::new(0),
        })
    }

    /// Grants `role` on `tool` to `subject` for a minute.
    pub fn grant(&self, number: u8, subject: &'static str, tool: &'static str, role: &'static str) {
        let expires_at = START.plus(std::time::Duration::from_mins(1));
        let grant = FakeGrant {
            id: grant_id(number),
            subject,
            tool,
            role,
            expires_at,
            methods: Vec::new(),
        };
        self.change(|state| state.grants.push(grant));
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().expect("not poisoned"))
    }

    pub fn end(&self, number: u8, tool: &str, why: EndedWhy, at: Timestamp) {
        let tombstone = Tombstone { grant: grant_id(number), tool: tool.into(), why, at };
        self.change(|state| {
            state.grants.retain(|grant| grant.id != grant_id(number));
            state.ended.push(tombstone);
        });
    }

    /// Commits what was changed and tells everybody.
    pub fn commit<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let done = self.commit_silently(change);
        for partition in PartitionCount::DEFAULT.all() {
            let _nobody_listens = self.moved.send(partition);
        }
        done
    }

    /// The word of it is lost.
    pub fn commit_silently<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.change(|state| {
            state.seq += 1;
            change(state)
        })
    }

    pub fn cuts(&self) -> Vec<LeaseCut> {
        self.cuts.lock().expect("not poisoned").clone()
    }

    pub fn records(&self) -> Vec<DecisionRecord> {
        self.records.lock().expect("not poisoned").iter().map(|(_, r)| r.clone()).collect()
    }

    pub fn asked(&self) -> Asked {
        self.change(|state| state.asked.last().cloned().expect("the policy was asked"))
    }
}

impl DecisionLog for World {
    fn record(&self, _core: usize, record: &Arc<DecisionRecord>) -> Result<(), DecisionLogFull> {
        if self.log_full.load(Ordering::SeqCst) {
            return Err(DecisionLogFull);
        }
        self.records.lock().expect("not poisoned").push((Instant::now(), (**record).clone()));
        Ok(())
    }

    fn cut(&self, cut: Arc<LeaseCut>) {
        self.cuts.lock().expect("not poisoned").push((*cut).clone());
    }
}

pub struct FakeIdentify(pub Arc<World>);

impl Identify for FakeIdentify {
    async fn identify(
        &self,
        headers: &HeaderMap,
        _query: Option<&str>,
        (source, _last): (&CredentialSource, &LastToken),
        now: Timestamp,
    ) -> Result<Arc<Identity>, (ProblemCode, String)> {
        self.0.identified.fetch_add(1, Ordering::SeqCst);
        let text = match source {
            CredentialSource::Bearer => headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()),
            CredentialSource::Header(name) => headers.get(name).and_then(|v| v.to_str().ok()),
            CredentialSource::Cookie(name) => headers
                .get("cookie")
                .and_then(|v| v.to_str().ok())
                .and_then(|v| v.split("; ").find_map(|p| p.strip_prefix(&format!("{name}=")))),
        };
        let Some(text) = text else {
            return Err((ProblemCode::NoCredential, "no token was sent".to_owned()));
        };
        let name = text.strip_prefix("Bearer ").unwrap_or(text);
        let found = self
            .0
            .change(|state| state.people.iter().find(|p| *p.person.subject.name == *name).cloned());
        found
            .filter(|identity| now < identity.expires_at)
            .map(Arc::new)
            .ok_or_else(|| (ProblemCode::InvalidToken, "not a token of ours".to_owned()))
    }
}

pub struct FakePolicy(pub Arc<World>);

impl Decide for FakePolicy {
    fn set(&self) -> Option<u64> {
        self.0.change(|state| state.policies)
    }

    async fn decide(&self, query: &Query<'_>) -> (Decision, Option<u64>) {
        let set = self.set();
        let roles: Vec<String> = query.principal.roles.iter().map(|&r| r.to_owned()).collect();
        let asked = Asked {
            kind: query.resource.kind.to_owned(),
            id: query.resource.id.to_owned(),
            scope: query.resource.scope.to_owned(),
            action: query.actions.join(","),
            roles: roles.clone(),
            principal: query.principal.attr.attributes().into(),
            resource: query.resource.attr.attributes().into(),
        };
        let verdict = self.0.change(|state| {
            state.asked.push(asked);
            state.verdict.clone()
        });
        let slow = self.0.change(|state| state.slow_for.clone());
        let granted = roles.iter().filter(|role| ["reader", "writer"].contains(&role.as_str()));
        let granted: Vec<&String> = granted.collect();
        if let Some((role, gate)) = slow
            && granted == [role]
        {
            gate.acquire().await.expect("open").forget();
        }
        let (allowed, reason, unknown_kind) = match verdict {
            Verdict::Allow => (true, Reason::Allowed, false),
            Verdict::Unreachable => (false, Reason::Unreachable, true),
            Verdict::UnknownKind => (false, Reason::Denied, true),
            Verdict::Bypass => (true, Reason::Bypassed, false),
            Verdict::Role(role) if roles.iter().any(|r| r == role) => {
                (true, Reason::Allowed, false)
            }
            Verdict::Deny | Verdict::Role(_) => (false, Reason::Denied, false),
            Verdict::AllowAt(at) => {
                self.0.clock.set(at);
                (true, Reason::Allowed, false)
            }
            Verdict::Panic => panic!("as the test wants"),
        };
        let plain = Decision::plain(allowed, reason, "resource.tool.vdefault", "as the test says");
        (Decision { unknown_kind, ..plain }, set)
    }
}

pub struct FakeLive(pub Arc<World>);

#[derive(Debug)]
pub struct FakeSet {
    grants: Vec<FakeGrant>,
    suspended: bool,
    seen: Seen,
    killed_at: Option<Timestamp>,
}

impl Live for FakeLive {
    type View = FakeSet;

    async fn read(&self, subject: SubjectKey) -> Result<FakeSet, StoreFault> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        if let Some(until) = self.0.change(|state| state.read_until) {
            self.0.clock.set(until);
        }
        self.0.change(|state| match &state.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(FakeSet {
                grants: state
                    .grants
                    .iter()
                    .filter(|g| SubjectKey::new("https://idp.test", g.subject) == subject)
                    .cloned()
                    .collect(),
                suspended: state.suspended.contains(&subject),
                seen: seen(state),
                killed_at: state.killed_at,
            }),
        })
    }

    async fn tombstones(&self, _subject: SubjectKey) -> Result<Vec<Tombstone>, StoreFault> {
        let slow = self.0.change(|state| state.slow_tombstones.clone());
        if let Some(gate) = slow {
            gate.acquire().await.expect("open").forget();
        }
        self.0.change(|state| state.fault.clone().map_or_else(|| Ok(state.ended.clone()), Err))
    }

    async fn base(&self, _partition: Partition) -> Result<Base, StoreFault> {
        self.0.looks.fetch_add(1, Ordering::SeqCst);
        self.0.change(|state| match &state.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(Base { head: seen(state).head, markers: Arc::default() }),
        })
    }

    fn partition(&self, subject: SubjectKey) -> Partition {
        subject.partition(PartitionCount::DEFAULT)
    }
}

/// Every partition has the same head here, and every subject the version of the head.
fn seen(state: &State) -> Seen {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&state.seq.to_be_bytes());
    let head = Head { epoch: 1, seq: state.seq, id: CommitId(id) };
    Seen { head, generation: state.generation, version: state.seq }
}

impl LiveSet for FakeSet {
    fn is_suspended(&self) -> bool {
        self.suspended
    }

    fn matching(
        &self,
        tool: &str,
        method: &str,
        _path: &str,
        now: Timestamp,
        mut found: impl FnMut(MatchedGrant),
    ) {
        for grant in &self.grants {
            let covers = grant.methods.is_empty() || grant.methods.contains(&method);
            let counts = now < grant.expires_at && self.killed_at.is_none();
            if grant.tool == tool && counts && covers {
                let expires_at = grant.expires_at;
                found(MatchedGrant { id: grant.id, role: grant.role.into(), expires_at });
            }
        }
    }

    fn counts_for(&self, tool: &str, now: Timestamp) -> bool {
        self.grants.iter().any(|grant| grant.tool == tool && now < grant.expires_at)
    }

    fn kept(&self) -> Option<crate::store::LiveView> {
        None
    }

    fn seen(&self) -> Seen {
        self.seen
    }

    fn fate(&self, id: GrantId, tool: &str, now: Timestamp) -> Fate {
        let found = self.grants.iter().find(|grant| grant.id == id && grant.tool == tool);
        match (found, self.killed_at) {
            (None, _) => Fate::Gone,
            (Some(grant), _) if grant.expires_at <= now => Fate::Expired(grant.expires_at),
            (Some(_), Some(at)) => Fate::Killed(at),
            (Some(_), None) => Fate::Counts,
        }
    }

    fn killed_since(
        &self,
        generation: Generation,
        hits: impl Fn(&KillTarget) -> bool,
    ) -> Option<Timestamp> {
        let later = self.seen.generation > generation && hits(&KillTarget::Tool("notes".into()));
        self.killed_at.filter(|_| later)
    }

    fn latest_end(&self, tool: &str, now: Timestamp) -> Option<(Timestamp, EndedWhy)> {
        let past = self.grants.iter().filter(|g| g.tool == tool && g.expires_at <= now);
        past.map(|grant| (grant.expires_at, EndedWhy::Expired)).max_by_key(|(at, _)| *at)
    }
}

pub struct FakeResources(pub Arc<World>);

impl Provide for FakeResources {
    fn knows(&self, kind: &str) -> bool {
        kind == "document" && self.0.change(|state| state.document.is_some())
    }

    async fn provide(&self, wanted: &Wanted<'_>) -> Result<Provided, NotProvided> {
        let said = self.0.change(|state| {
            state.wanted.push(format!("{}/{}@{}", wanted.tool, wanted.id, wanted.scope));
            state.document.clone()
        });
        match said {
            Some(Document::Has(attributes)) => Ok(Provided {
                known: Known::of(attributes.as_object().cloned().expect("an object"))
                    .expect("good"),
                from: Origin::Source { index: 0, kind: "static" },
            }),
            Some(Document::Not(why)) => Err(why),
            Some(Document::Panic) | None => panic!("as the test wants"),
        }
    }
}

pub type FakePorts = (FakeIdentify, FakePolicy, FakeLive, FakeResources);

pub fn ports(world: &Arc<World>) -> FakePorts {
    let (one, two) = (world.clone(), world.clone());
    let (three, four) = (world.clone(), world.clone());
    (FakeIdentify(one), FakePolicy(two), FakeLive(three), FakeResources(four))
}

#[test]
fn the_clock_of_the_fakes_stands_still() {
    assert_eq!(World::new().clock.now(), START);
}
