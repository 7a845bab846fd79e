//! Makes a difference small, and writes it down.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::campaign::{Difference, differences, engine, folder, ours, start};
use super::policies::Set;
use super::report::Report;

const PATIENCE: Duration = Duration::from_secs(8);

pub fn write_refused(set: &Set, why: &str) -> PathBuf {
    let folder = folder("refused-");
    set.write(&folder);
    fs::write(folder.join("difference.txt"), why).expect("a file");
    folder
}

pub fn write(binary: &Path, set: &Set, request: &Json, difference: &Difference) -> PathBuf {
    let mut small = Small {
        binary,
        documents: set.documents.clone(),
        set,
        request: request.clone(),
        what: difference.what.clone(),
        last: difference.clone(),
        since: Instant::now(),
    };
    small.reduce_request(difference);
    small.reduce_documents();
    let folder = folder(&format!("{}-", difference.what.replace(' ', "-")));
    let set = Set { documents: small.documents, ..set.clone() };
    set.write(&folder);
    let request = serde_json::to_string_pretty(&small.request).expect("JSON");
    fs::write(folder.join(".request.json"), request).expect("a file");
    let it = &small.last;
    let text = format!(
        "{} of {:?}\nengine: {}\nPDPs:   {}\n",
        it.what,
        it.action,
        it.ours,
        it.theirs.join("\n        ")
    );
    fs::write(folder.join(".difference.txt"), text).expect("a file");
    folder
}

struct Small<'s> {
    binary: &'s Path,
    set: &'s Set,
    documents: Vec<Json>,
    request: Json,
    what: String,
    last: Difference,
    since: Instant,
}

impl Small<'_> {
    fn is_over(&self) -> bool {
        self.since.elapsed() > PATIENCE
    }

    /// Whether something of the same sort differs.
    fn differs(&self, documents: &[Json], request: &Json) -> Option<Difference> {
        if self.is_over() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let documents = documents.to_vec();
        Set { documents, ..self.set.clone() }.write(folder.path());
        let engine = engine(folder.path(), &self.set.knobs).ok()?;
        let mut pdps = start(self.binary, folder.path(), &self.set.knobs, 1).ok()?;
        let text = request.to_string();
        let theirs: Vec<_> = pdps.iter_mut().map(|pdp| pdp.check(&text)).collect();
        let ours = ours(&engine, request);
        let found = differences(request, &ours, &theirs, &mut Report::default());
        found.into_iter().find(|it| it.what == self.what)
    }

    fn take(&mut self, documents: Vec<Json>, request: Json) -> bool {
        let Some(difference) = self.differs(&documents, &request) else { return false };
        (self.documents, self.request, self.last) = (documents, request, difference);
        true
    }

    fn reduce_request(&mut self, difference: &Difference) {
        let mut request = self.request.clone();
        let mut entry = request["resources"][difference.resource].clone();
        if let Some(action) = &difference.action {
            entry["actions"] = json!([action]);
        }
        request["resources"] = json!([entry]);
        self.take(self.documents.clone(), request);
    }

    fn reduce_documents(&mut self) {
        // Halves first, then one by one.
        let mut size = self.documents.len().div_ceil(2);
        while size > 0 && !self.is_over() {
            let mut at = 0;
            while at < self.documents.len() && !self.is_over() {
                let mut fewer = self.documents.clone();
                fewer.drain(at..(at + size).min(fewer.len()));
                if !self.take(fewer, self.request.clone()) {
                    at += size;
                }
            }
            size /= 2;
        }
        for index in 0..self.documents.len() {
            let rules = |document: &Json| {
                let kinds = ["resourcePolicy", "principalPolicy", "rolePolicy"];
                let kind = kinds.into_iter().find(|kind| document.get(*kind).is_some());
                kind.and_then(|kind| Some((kind, document[kind]["rules"].as_array()?.len())))
            };
            let Some((kind, count)) = rules(&self.documents[index]) else { continue };
            for rule in (0..count).rev() {
                let mut fewer = self.documents.clone();
                if let Some(rules) = fewer[index][kind]["rules"].as_array_mut() {
                    rules.remove(rule);
                }
                self.take(fewer, self.request.clone());
            }
        }
    }
}
