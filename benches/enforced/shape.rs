//! How much there is of everything, and what is asked for then.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate::clock::{Clock, SystemClock};
use tidegate::config::{Rule, ToolConfig};
use tidegate::domain::access::PathPattern;
use tidegate::domain::command::Transition;
use tidegate::domain::grant::Grant;
use tidegate::domain::ids::{GrantId, PartitionCount, RequestId};
use tidegate::domain::subject::Subject;
use tidegate::entropy;
use tidegate::store::{Commit, Committed, Load, SharedStore};
use tokio::task::JoinSet;

use crate::tokens::{ISSUER, Issuer};

/// Commits under way at a time: they share an fsync.
const WORKERS: usize = 256;
const LASTS: Duration = Duration::from_secs(8 * 3600);
/// More people than these do not ask, however many have grants.
const ASKING: usize = 1000;

const POLICY: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: KIND
  version: default
  rules:
    - name: suspended
      actions: ['*']
      effect: EFFECT_DENY
      roles: [suspended]
    - name: reads
      actions: [read]
      effect: EFFECT_ALLOW
      roles: [viewer, operator]
      condition: { match: { expr: 'R.attr.method == \"GET\" && P.attr.email.endsWith(\"@example.test\")' } }
";

/// Everything is there once at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub subjects: usize,
    /// Of each of them; the last one is for the tool that is asked.
    pub grants: usize,
    pub tools: usize,
    /// Of each tool; the last one fits.
    pub rules: usize,
    pub policies: usize,
    /// Tools are told apart by their path, not by their host.
    pub by_prefix: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { subjects: 1, grants: 1, tools: 1, rules: 1, policies: 1, by_prefix: false }
    }
}

impl Shape {
    /// The one that budgets are counted on.
    pub fn budget() -> Self {
        Self { subjects: 1, grants: 3, tools: 3, rules: 5, policies: 5, by_prefix: false }
    }

    /// Reads `subjects=10 tools=1000 by_prefix=1`, or `budget`.
    pub fn read(text: &str) -> Self {
        let mut shape = if text == "budget" { Self::budget() } else { Self::default() };
        for word in text.split_whitespace().filter(|word| *word != "budget") {
            let (name, value) = word.split_once('=').expect("name=number");
            let value: usize = value.parse().expect("a number");
            match name {
                "subjects" => shape.subjects = value,
                "grants" => shape.grants = value,
                "tools" => shape.tools = value,
                "rules" => shape.rules = value,
                "policies" => shape.policies = value,
                "by_prefix" => shape.by_prefix = value > 0,
                other => panic!("nothing is called {other}"),
            }
        }
        shape
    }

    pub fn write_files(&self, folder: &Path) {
        let write = |name: &str, text: &[u8]| fs::write(folder.join(name), text).expect("written");
        fs::create_dir_all(folder.join("policies")).expect("a folder");
        let issuer = Issuer::new();
        write("jwks.json", issuer.jwks().to_string().as_bytes());
        write("seal.key", &[7; 32]);
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(folder.join("seal.key"), private).expect("permissions");
        for number in 0..self.policies {
            let kind = if number == 0 { "tool".to_owned() } else { format!("kind-{number}") };
            write(&format!("policies/{kind}.yaml"), POLICY.replace("KIND", &kind).as_bytes());
        }
        let asking = (0..self.asking()).map(|at| issuer.token_of(&self.name(at)));
        write("tokens", asking.collect::<Vec<_>>().join("\n").as_bytes());
    }

    /// Those who ask are spread over all who have grants.
    fn name(&self, asking: usize) -> String {
        format!("user-{}", asking * (self.subjects / self.asking()))
    }

    fn asking(&self) -> usize {
        self.subjects.min(ASKING)
    }

    /// The requests of everybody who asks, for the last tool and its last rule.
    pub fn requests(&self, folder: &Path) -> Vec<Vec<u8>> {
        let tokens = fs::read_to_string(folder.join("tokens")).expect("the tokens");
        let tool = self.tools - 1;
        let (host, prefix) = if self.by_prefix {
            ("any.localhost".to_owned(), format!("/tool-{tool}"))
        } else {
            (format!("tool-{tool}.localhost"), String::new())
        };
        let rule = self.rules - 1;
        let ask = |token: &str| {
            format!(
                "GET {prefix}/api/part-{rule}/things/7?page=2 HTTP/1.1\r\nhost: {host}\r\n\
                 user-agent: count\r\naccept: */*\r\nauthorization: Bearer {token}\r\n\r\n"
            )
            .into_bytes()
        };
        tokens.lines().map(ask).collect()
    }

    /// Tools like `first`, each with its rules.
    pub fn tools(&self, first: &ToolConfig) -> Vec<Arc<ToolConfig>> {
        let like = first.rules.first().expect("a rule");
        let rule = |number: usize| Rule {
            path: PathPattern::new(&format!("/api/part-{number}/things/{{id}}")).expect("a path"),
            ..like.clone()
        };
        let tool = |number: usize| {
            let name = format!("tool-{number}");
            let host = format!("{name}.localhost").into();
            let (hosts, path_prefix) = if self.by_prefix {
                (Vec::new(), Some(format!("/{name}/").into()))
            } else {
                (vec![host], None)
            };
            let rules = (0..self.rules).map(rule).collect();
            Arc::new(ToolConfig { name: name.into(), hosts, path_prefix, rules, ..first.clone() })
        };
        (0..self.tools).map(tool).collect()
    }

    pub async fn fill(&self, store: &SharedStore) {
        let mut workers = JoinSet::new();
        for worker in 0..WORKERS.min(self.subjects) {
            let (store, shape) = (store.clone(), *self);
            workers.spawn(async move {
                for number in (worker..shape.subjects).step_by(WORKERS) {
                    shape.commit(&store, number).await;
                }
            });
        }
        while let Some(ended) = workers.join_next().await {
            ended.expect("it fills");
        }
    }

    async fn commit(&self, store: &SharedStore, number: usize) {
        let subject = Subject::new(ISSUER, &format!("user-{number}"));
        let load = Load { subject: &subject, request: None, grant: None, idempotency: None };
        let state = store.load(load).await.expect("it loads").state;
        let last = self.grants - 1;
        let grants = (0..self.grants).map(|at| {
            let tool = if at == last { self.tools - 1 } else { self.tools + at };
            grant(&subject, tool)
        });
        let commit = Commit {
            id: entropy::commit_id().expect("random bytes"),
            expected_version: state.version,
            generation: state.markers.generation,
            transition: Transition { grants: grants.collect(), ..Transition::default() },
            fired: None,
            answer: None,
            traceparent: None,
            now: SystemClock.now(),
            subject,
        };
        let committed = store.commit(commit).await;
        assert!(matches!(committed, Ok(Committed::Done { .. })), "{committed:?}");
    }
}

fn grant(subject: &Subject, tool: usize) -> Grant {
    let partition = subject.key().partition(PartitionCount::DEFAULT);
    let (random, now) = (|| entropy::bytes().expect("random bytes"), SystemClock.now());
    Grant {
        id: GrantId { partition, random: random() },
        subject: subject.clone(),
        access: format!("tool-{tool}:viewer").parse().expect("an access"),
        template: "viewer".into(),
        request: RequestId { partition, random: random() },
        approvers: vec!["bob@example.test".into()],
        approver_groups: None,
        generation: 0,
        granted_at: now,
        not_before: None,
        expires_at: now.plus(LASTS),
        narrowings: Vec::new(),
        ended: None,
        confirmed: true,
        terms: tidegate::domain::rules::Terms::default(),
        revision: 1,
    }
}
