//! From a target to a tool and the first of its rules that matches.
//!
//! A tool is found by its host, and by its prefix under any host. The order is: host and prefix
//! (longest prefix first), host alone, prefix alone (longest first); a host that belongs to a tool
//! is therefore never shadowed by a prefix of another tool. A tool with both a host and a prefix
//! is found by either alone only when no other tool names that host, or that prefix: where it
//! could mean two tools, both are needed. The prefix is stripped whenever the path begins with it.

use std::sync::Arc;

use http::Method;
use http::request::Parts;
use rustc_hash::FxHashMap;

use crate::config::{AccessMode, Rule, ToolConfig};
use crate::domain::time::Timestamp;
use crate::problem::ProblemCode;
use crate::telemetry::metrics::Metrics;

use super::refusal::Refusal;
use super::rules::Rules;
use super::target::{Target, check_path};
use super::upstream::Upstreams;
use super::values::Source;

/// The routing table, made once per configuration.
#[derive(Debug, Default)]
pub struct Routes {
    hosts: FxHashMap<Arc<str>, Site>,
    anywhere: Prefixes,
    /// Every method that some rule names.
    methods: Vec<Method>,
    upstreams: Vec<Arc<Upstreams>>,
}

#[derive(Debug, Default)]
struct Site {
    prefixed: Prefixes,
    whole: Option<Arc<Tool>>,
}

/// Tools by their prefix, which begins and ends with `/`.
#[derive(Debug, Default)]
struct Prefixes {
    tools: FxHashMap<Arc<str>, Arc<Tool>>,
    /// Of the prefixes, longest first.
    lengths: Vec<usize>,
}

/// A tool as the table keeps it.
#[derive(Debug)]
pub struct Tool {
    pub config: Arc<ToolConfig>,
    pub upstreams: Arc<Upstreams>,
    rules: Rules,
    /// The scope of whatever has none.
    no_scope: Arc<str>,
}

impl Tool {
    fn new(config: &Arc<ToolConfig>, upstreams: Arc<Upstreams>, rules: Vec<Arc<Rule>>) -> Self {
        let (config, rules) = (Arc::clone(config), Rules::new(rules));
        Self { config, upstreams, rules, no_scope: "".into() }
    }

    /// The same over names of its own. Its backends are still the same ones.
    fn apart(&self) -> Self {
        let text = |text: &Arc<str>| Arc::<str>::from(&**text);
        let rule = |rule: &Arc<Rule>| {
            let (action, resource) = (text(&rule.action), text(&rule.resource));
            Arc::new(Rule { path: rule.path.apart(), action, resource, ..(**rule).clone() })
        };
        let config = ToolConfig { name: text(&self.config.name), ..(*self.config).clone() };
        let rules = self.rules.all().iter().map(rule).collect();
        Self::new(&Arc::new(config), Arc::clone(&self.upstreams), rules)
    }
}

/// Where a request goes, and under which rule.
#[derive(Clone, Debug)]
pub struct Route<'a> {
    pub tool: Arc<Tool>,
    pub rule: Arc<Rule>,
    /// What the rule matched and the tool will see: the target's path without the tool's prefix.
    pub path: &'a str,
    pub stripped: bool,
    /// The resource's id and scope.
    pub id: Arc<str>,
    pub scope: Arc<str>,
}

impl Route<'_> {
    #[must_use]
    pub fn access(&self) -> AccessMode {
        self.rule.access
    }

    #[must_use]
    pub fn tool_name(&self) -> &Arc<str> {
        &self.tool.config.name
    }
}

impl Routes {
    /// Of tools whose hosts and prefixes do not collide (the configuration was checked); should
    /// two collide all the same, the first keeps the place.
    ///
    /// # Errors
    /// What is wrong with the TLS files of each tool that cannot be reached with them.
    pub fn open(
        tools: &[Arc<ToolConfig>],
        metrics: &Metrics,
        now: Timestamp,
    ) -> Result<Self, Vec<String>> {
        let mut routes = Self::default();
        let mut problems = Vec::new();
        for (index, config) in tools.iter().enumerate() {
            let upstreams = match Upstreams::open(config, metrics, now) {
                Ok(upstreams) => upstreams,
                Err(problem) => {
                    problems.push(format!("tools[{index}].{problem}"));
                    continue;
                }
            };
            let alone = |test: &dyn Fn(&ToolConfig) -> bool| {
                tools.iter().filter(|other| test(other)).count() == 1
            };
            let owns_prefix = alone(&|other| other.path_prefix == config.path_prefix);
            let owns_host = |host: &Arc<str>| alone(&|other| other.hosts.contains(host));
            let tool = routes.tool_of(config, upstreams);
            routes.add(&tool, owns_prefix, &owns_host);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(routes)
    }

    fn tool_of(&mut self, config: &Arc<ToolConfig>, upstreams: Arc<Upstreams>) -> Arc<Tool> {
        let rules: Vec<Arc<Rule>> = config.rules.iter().cloned().map(Arc::new).collect();
        for method in rules.iter().flat_map(|rule| &rule.methods) {
            if !self.methods.contains(method) {
                self.methods.push(method.clone());
            }
        }
        let tool = Arc::new(Tool::new(config, upstreams, rules));
        self.upstreams.push(Arc::clone(&tool.upstreams));
        tool
    }

    fn add(&mut self, tool: &Arc<Tool>, owns_prefix: bool, owns_host: &dyn Fn(&Arc<str>) -> bool) {
        let config = &tool.config;
        for host in &config.hosts {
            let site = self.hosts.entry(Arc::clone(host)).or_default();
            if let Some(prefix) = &config.path_prefix {
                site.prefixed.add(prefix, tool);
            }
            if config.path_prefix.is_none() || owns_host(host) {
                site.whole.get_or_insert_with(|| Arc::clone(tool));
            }
        }
        if let Some(prefix) = &config.path_prefix
            && (config.hosts.is_empty() || owns_prefix)
        {
            self.anywhere.add(prefix, tool);
        }
    }

    /// The same for one core, over names of its own: records, labels and permits share names, and to
    /// count by whom would otherwise be a write to memory that every core writes to.
    #[must_use]
    pub fn apart(&self) -> Self {
        let mut made: FxHashMap<*const Tool, Arc<Tool>> = FxHashMap::default();
        let mut tool = |tool: &Arc<Tool>| {
            let own = made.entry(Arc::as_ptr(tool)).or_insert_with(|| Arc::new(tool.apart()));
            Arc::clone(own)
        };
        let anywhere = self.anywhere.apart(&mut tool);
        let sites = self.hosts.iter().map(|(host, site)| {
            let prefixed = site.prefixed.apart(&mut tool);
            (Arc::clone(host), Site { prefixed, whole: site.whole.as_ref().map(&mut tool) })
        });
        Self {
            hosts: sites.collect(),
            anywhere,
            methods: self.methods.clone(),
            upstreams: self.upstreams.clone(),
        }
    }

    #[cfg(test)]
    #[must_use]
    pub fn tool_named(&self, name: &str) -> &Tool {
        let whole = self.hosts.values().filter_map(|site| site.whole.as_ref());
        whole.into_iter().find(|tool| &*tool.config.name == name).expect("a tool with a host")
    }

    /// The backends of all tools.
    #[must_use]
    pub fn upstreams(&self) -> &[Arc<Upstreams>] {
        &self.upstreams
    }

    #[must_use]
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The tool of a target; its path need not be checked yet.
    ///
    /// # Errors
    /// `no-route`, or `bad-request` when the path breaks the rules anyway.
    pub fn tool(&self, target: &Target<'_>) -> Result<Arc<Tool>, Refusal> {
        let site = self.hosts.get(&*target.host);
        let of_site =
            site.and_then(|site| site.prefixed.longest(target.path).or(site.whole.as_ref()));
        if let Some(tool) = of_site.or_else(|| self.anywhere.longest(target.path)) {
            return Ok(Arc::clone(tool));
        }
        check_path(target.path, crate::config::Encoded::Refuse).map_err(Refusal::bad_request)?;
        Err(Refusal::new(ProblemCode::NoRoute, "no tool is configured under this host or path"))
    }
}

impl Prefixes {
    fn apart(&self, own: &mut impl FnMut(&Arc<Tool>) -> Arc<Tool>) -> Self {
        let tools = self.tools.iter().map(|(prefix, tool)| (Arc::clone(prefix), own(tool)));
        Self { tools: tools.collect(), lengths: self.lengths.clone() }
    }

    fn add(&mut self, prefix: &Arc<str>, tool: &Arc<Tool>) {
        self.tools.entry(Arc::clone(prefix)).or_insert_with(|| Arc::clone(tool));
        if let Err(place) = self.lengths.binary_search_by(|known| prefix.len().cmp(known)) {
            self.lengths.insert(place, prefix.len());
        }
    }

    /// The tool with the longest prefix of `path`: one look for each length that there is.
    fn longest(&self, path: &str) -> Option<&Arc<Tool>> {
        let beginnings = self.lengths.iter().filter_map(|length| path.get(..*length));
        beginnings.filter(|it| it.ends_with('/')).find_map(|prefix| self.tools.get(prefix))
    }
}

/// What a rule says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Fits,
    OtherMethod,
    OtherPath,
}

/// Whether a rule is about `method` and `path`.
#[must_use]
pub fn fit(rule: &Rule, method: &str, path: &str) -> Fit {
    if !rule.methods.is_empty() && !rule.methods.iter().any(|known| known.as_str() == method) {
        return Fit::OtherMethod;
    }
    if rule.path.matches(path) { Fit::Fits } else { Fit::OtherPath }
}

impl Tool {
    /// In the order in which they are tried.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        self.rules.all()
    }

    /// The path as rules and the tool see it.
    fn stripped<'a>(&self, path: &'a str) -> &'a str {
        match &self.config.path_prefix {
            // The prefix ends with the slash that is kept.
            Some(prefix) if path.starts_with(&**prefix) => {
                path.get(prefix.len() - 1..).unwrap_or(path)
            }
            Some(_) | None => path,
        }
    }

    /// The first rule that matches.
    ///
    /// # Errors
    /// `bad-request` for a path that breaks the rules or a value that the rule needs and the
    /// request lacks; `policy-denied` when no rule lists the request.
    pub fn route<'a>(
        self: &Arc<Self>,
        target: &Target<'a>,
        head: &Parts,
    ) -> Result<Route<'a>, Refusal> {
        check_path(target.path, self.config.encoded).map_err(Refusal::bad_request)?;
        let path = self.stripped(target.path);
        let Some(rule) = self.rules.first(target.method.as_str(), path) else {
            let shown: String = path.chars().take(200).collect();
            let detail = format!("no rule lists {} {shown}", target.method);
            return Err(Refusal::new(ProblemCode::PolicyDenied, detail));
        };
        let source = Source { target, headers: &head.headers, rule, path };
        let id = match &rule.id {
            Some(template) => source.evaluate(template)?,
            None => Arc::clone(&self.config.name),
        };
        let scope = match &rule.scope {
            Some(template) => source.evaluate(template)?,
            None => Arc::clone(&self.no_scope),
        };
        let stripped = path.len() != target.path.len();
        let (tool, rule) = (Arc::clone(self), Arc::clone(rule));
        Ok(Route { tool, rule, path, stripped, id, scope })
    }
}
