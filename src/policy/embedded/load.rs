//! From the texts of a policy directory to documents.

use serde::de::DeserializeOwned;

use super::file::Document;
use super::listing::Kind;
use super::problem::{At, Problems};
use super::snapshot::Snapshot;

/// The documents of one file that are not disabled, and what is wrong with it so far.
pub(super) struct Source {
    pub problems: Problems,
    pub documents: Vec<Document>,
}

/// Every policy file, in the order of their paths.
pub(super) fn sources(snapshot: &Snapshot) -> Vec<Source> {
    snapshot
        .of(Kind::Policy)
        .map(|path| {
            let mut problems = Problems::new(path.to_owned());
            let documents = match snapshot.text(path) {
                Ok(text) => documents(text, &mut problems),
                Err(why) => {
                    problems.add(At::NOWHERE, "", why);
                    Vec::new()
                }
            };
            Source { problems, documents }
        })
        .collect()
}

fn documents(text: &str, problems: &mut Problems) -> Vec<Document> {
    match serde_saphyr::from_multiple_with_options::<Document>(text, options()) {
        Ok(documents) => {
            if let Some(second) = documents.get(1) {
                let at = At::from(&second.api_version);
                problems.add(at, "", "a second document: the PDP reads one from each file");
            }
            documents.into_iter().filter(|it| !it.disabled).collect()
        }
        Err(error) => {
            let at = error.location().map_or(At::NOWHERE, |location| At::from(&location));
            problems.add(at, "", error.to_string());
            Vec::new()
        }
    }
}

/// One document.
///
/// # Errors
/// Where and why it cannot be read as a `T`.
pub(super) fn document<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| error.to_string())
}

/// Bounded, as the library has it: 64 levels, 250,000 nodes, 1,000,000 events of aliases. What is
/// wrong is told without the lines around it.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { with_snippet: false }
}
