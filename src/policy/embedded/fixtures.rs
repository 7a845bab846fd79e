//! What the tables of a test suite name: principals, resources, auxiliary data and their groups.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use super::api::{AuxData, Principal, Resource};
use super::load;
use super::snapshot::Snapshot;

const MAX_NAMES: usize = 5_000;

pub(super) type Named<T> = BTreeMap<String, T>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrincipalGroup {
    principals: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResourceGroup {
    resources: Vec<String>,
}

/// Principals, resources and auxiliary data by name.
#[derive(Default)]
pub(super) struct Fixtures {
    pub principals: Named<Principal>,
    pub resources: Named<Resource>,
    pub aux_data: Named<AuxData>,
    pub principal_groups: Named<PrincipalGroup>,
    pub resource_groups: Named<ResourceGroup>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Shared {
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    principals: Named<Principal>,
    resources: Named<Resource>,
    #[serde(alias = "aux_data")]
    aux_data: Named<AuxData>,
    #[serde(alias = "principal_groups")]
    principal_groups: Named<PrincipalGroup>,
    #[serde(alias = "resource_groups")]
    resource_groups: Named<ResourceGroup>,
}

impl Fixtures {
    /// Those of a `testdata` folder, which need not exist.
    ///
    /// # Errors
    /// A file there cannot be read.
    pub fn load(snapshot: &Snapshot, folder: &Path) -> Result<Self, String> {
        let read = |names: &[&str]| read(snapshot, folder, names);
        let (principals, resources) = (read(&["principals"])?, read(&["resources"])?);
        let aux_data = read(&["auxdata", "auxData", "aux_data"])?;
        let shared = Self {
            principals: principals.principals,
            principal_groups: principals.principal_groups,
            resources: resources.resources,
            resource_groups: resources.resource_groups,
            aux_data: aux_data.aux_data,
        };
        shared.check().map_err(|why| format!("{}: {why}", folder.display()))?;
        Ok(shared)
    }

    /// Those of a suite come before shared ones.
    #[must_use]
    pub fn with(mut self, own: Self) -> Self {
        self.principals.extend(own.principals);
        self.resources.extend(own.resources);
        self.aux_data.extend(own.aux_data);
        self.principal_groups.extend(own.principal_groups);
        self.resource_groups.extend(own.resource_groups);
        self
    }

    /// # Errors
    /// What the PDP would refuse in a request, or a group names something that does not exist.
    pub fn check(&self) -> Result<(), String> {
        for (name, principal) in &self.principals {
            principal.validate(&format!("principals[{name}]")).map_err(|why| why.message)?;
        }
        if let Some((name, _)) =
            self.aux_data.iter().find(|(_, it)| it.jwt.is_some() && it.jwts.is_some())
        {
            return Err(format!("auxData[{name}]: only one of jwt and jwts"));
        }
        for (name, resource) in &self.resources {
            resource.validate(&format!("resources[{name}]")).map_err(|why| why.message)?;
        }
        for (name, group) in &self.principal_groups {
            group_of(name, &group.principals)?;
            if let Some(lost) =
                group.principals.iter().find(|it| !self.principals.contains_key(*it))
            {
                return Err(format!("principal group '{name}': '{lost}' not found"));
            }
        }
        for (name, group) in &self.resource_groups {
            group_of(name, &group.resources)?;
            if let Some(lost) = group.resources.iter().find(|it| !self.resources.contains_key(*it))
            {
                return Err(format!("resource group '{name}': '{lost}' not found"));
            }
        }
        Ok(())
    }

    pub fn principals<'s>(
        &'s self,
        one: Option<&'s String>,
        some: &'s [String],
        groups: &'s [String],
    ) -> Result<Vec<&'s str>, String> {
        let group = |name| self.principal_groups.get(name).map(|it| it.principals.as_slice());
        collect(one, some, groups, group)
    }

    pub fn resources<'s>(
        &'s self,
        one: Option<&'s String>,
        some: &'s [String],
        groups: &'s [String],
    ) -> Result<Vec<&'s str>, String> {
        let group = |name| self.resource_groups.get(name).map(|it| it.resources.as_slice());
        collect(one, some, groups, group)
    }
}

fn collect<'s>(
    one: Option<&'s String>,
    some: &'s [String],
    groups: &'s [String],
    members: impl Fn(&'s String) -> Option<&'s [String]>,
) -> Result<Vec<&'s str>, String> {
    if one.is_some() && !some.is_empty() {
        return Err("one and several of the same are named".to_owned());
    }
    let mut found: Vec<&str> = one.into_iter().chain(some).map(String::as_str).collect();
    let mut known: BTreeSet<&str> = found.iter().copied().collect();
    let mut looked_at = found.len();
    for group in groups {
        let members = members(group).ok_or_else(|| format!("group '{group}' not found"))?;
        looked_at += members.len();
        if looked_at > MAX_NAMES {
            break;
        }
        found.extend(members.iter().map(String::as_str).filter(|member| known.insert(member)));
    }
    if looked_at > MAX_NAMES {
        return Err(format!("more than {MAX_NAMES} principals or resources"));
    }
    if found.is_empty() { Err("nobody or nothing is named".to_owned()) } else { Ok(found) }
}

fn group_of(name: &str, members: &[String]) -> Result<(), String> {
    if members.is_empty() {
        return Err(format!("the group '{name}' is empty"));
    }
    unique(members)
}

pub(super) fn unique(list: &[String]) -> Result<(), String> {
    for (index, name) in list.iter().enumerate() {
        if name.is_empty() || list.iter().take(index).any(|earlier| earlier == name) {
            return Err(format!("'{name}' is empty or listed twice"));
        }
    }
    Ok(())
}

fn read(snapshot: &Snapshot, folder: &Path, names: &[&str]) -> Result<Shared, String> {
    for name in names {
        for extension in ["json", "yaml", "yml"] {
            let path = folder.join(format!("{name}.{extension}"));
            if snapshot.holds(&path) {
                let told = |why: String| format!("{}: {why}", path.display());
                return snapshot.text(&path).and_then(load::document).map_err(told);
            }
        }
    }
    Ok(Shared::default())
}
