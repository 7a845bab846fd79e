//! The catalog of templates, read from a directory of YAML files.
//!
//! Files are read in the order of their names, `*.yaml` and `*.yml`, not below folders. All of their
//! problems come at once. `${NAME}` is ordinary text here.

mod fields;
pub mod file;
mod one;
mod rules;
mod shelf;
mod template;
#[cfg(test)]
mod tests;

pub use one::{Wrong, read_one, unknown_groups, written};
pub use shelf::{Shelf, Turned};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::load::read;
use crate::config::reader::{At, Context};
use crate::config::{Problem, Problems};
use crate::domain::template::{Catalog, Template};

/// More files than this in one catalog are refused.
const MOST_FILES: usize = 1000;

/// Every template of the directory, also those that are not enabled: they show what may be granted,
/// and [`Template::is_visible_to`] keeps them from everybody.
///
/// `tools` are the names of the configured tools; an access to another one is a problem.
///
/// # Errors
/// Every problem of every file.
pub fn load(directory: &Path, tools: &[Arc<str>]) -> Result<Catalog, Problems> {
    let mut problems = Vec::new();
    let mut templates: BTreeMap<Arc<str>, Arc<Template>> = BTreeMap::new();
    let mut homes: BTreeMap<Arc<str>, PathBuf> = BTreeMap::new();
    let files = files(directory).map_err(|problem| Problems(vec![problem]))?;
    for file in files {
        let context = Context::new(&file, None);
        let walk = |root: &At<'_>| file_templates(root, tools);
        let found = read(&file, &context, "a mapping with templates", walk).unwrap_or_default();
        for (index, template) in found {
            let name = template.name.clone();
            if let Some(home) = homes.insert(name.clone(), file.clone()) {
                let found = format!("{name}, which {} has already", home.display());
                context.problem(
                    &format!("templates[{index}].name"),
                    None,
                    found,
                    "a name of its own",
                );
            }
            templates.insert(name, Arc::new(template));
        }
        problems.extend(context.finish().0);
    }
    if problems.is_empty() {
        Ok(Catalog { templates, ..Catalog::default() })
    } else {
        Err(Problems(problems))
    }
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, Problem> {
    let problem = |found: String| Problem {
        file: directory.display().to_string().into(),
        path: String::new(),
        line: None,
        found,
        expected: "a directory of at most 1000 catalog files".to_owned(),
    };
    let unreadable =
        |error: std::io::Error| problem(format!("no readable directory ({})", error.kind()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        let is_hidden =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_yaml && !is_hidden && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    if files.len() > MOST_FILES {
        Err(problem(format!("{} files", files.len())))
    } else {
        Ok(files)
    }
}

/// The templates that could be read, each with its place in the list.
fn file_templates(root: &At<'_>, tools: &[Arc<str>]) -> Option<Vec<(usize, Template)>> {
    let map = root.map("a mapping with templates")?;
    let found = map.need("templates", "a list of templates", |at| {
        at.list("a list of templates", |at| Some(template::template(at, tools)))
    });
    map.finish();
    let read = found?.into_iter().enumerate();
    Some(read.filter_map(|(index, template)| Some((index, template?))).collect())
}
