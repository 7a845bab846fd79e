//! What every expression knows: functions, types, compiled patterns.

use super::declarations::{Declarations, unknown};
use super::error::CompileError;
use super::library::{Overload, Style};
use super::program::Program;
use super::regexes::Regexes;
use super::types::Type;
use super::{fold, libraries, lower, misread, parse, standard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

/// Functions by name. Made once; compiling and evaluating share it.
#[derive(Debug)]
pub struct Environment {
    globals: BTreeMap<&'static str, Vec<Arc<Overload>>>,
    members: BTreeMap<&'static str, Vec<Arc<Overload>>>,
    opaque_types: BTreeSet<&'static str>,
    pub(super) regexes: Arc<Regexes>,
}

/// Some 4,000 parts in each other, which is more than fit into a source, need less.
const COMPILE_STACK: usize = 128 << 20;

static CERBOS: LazyLock<Environment> =
    LazyLock::new(|| Environment::new(standard::all().into_iter().chain(libraries::all())));

impl Environment {
    /// The functions that Cerbos documents.
    #[must_use]
    pub fn cerbos() -> &'static Self {
        &CERBOS
    }

    /// An environment with exactly these functions besides the operators and macros.
    pub fn new(overloads: impl IntoIterator<Item = Overload>) -> Self {
        let mut it = Self {
            globals: BTreeMap::new(),
            members: BTreeMap::new(),
            opaque_types: BTreeSet::new(),
            regexes: Arc::default(),
        };
        for overload in overloads {
            for of in overload.params.iter().chain([&overload.result]) {
                if let Type::Opaque(name) = of {
                    it.opaque_types.insert(name);
                }
            }
            let table = match overload.style {
                Style::Global => &mut it.globals,
                Style::Member => &mut it.members,
            };
            table.entry(overload.name).or_default().push(Arc::new(overload));
        }
        it
    }

    /// Checks a source and makes it ready.
    ///
    /// # Errors
    /// Where and why it is refused: not CEL, an unknown name, types that do not fit, a constant
    /// part that fails, or something that the PDP is known to read differently.
    pub fn compile(
        &self,
        source: &str,
        declarations: &Declarations,
    ) -> Result<Program, CompileError> {
        if parse::is_simple(source) {
            return self.compile_here(source, declarations);
        }
        // The parser's stack grows with the source, and an overflow would end the process.
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(COMPILE_STACK)
                .spawn_scoped(scope, || self.compile_here(source, declarations))
                .ok()
                .and_then(|thread| thread.join().ok())
                .unwrap_or_else(|| Err(CompileError::whole("the expression is too big")))
        })
    }

    fn compile_here(
        &self,
        source: &str,
        declarations: &Declarations,
    ) -> Result<Program, CompileError> {
        let parsed = parse::parse(source)?;
        let mut lowered = lower::lower(self, declarations, &parsed)?;
        misread::refuse(&lowered.root, lowered.slots, &parsed.positions)?;
        fold::fold(&mut lowered.root, lowered.slots, &self.regexes, &parsed.positions)?;
        fold::reread_durations(&mut lowered.root);
        Ok(Program {
            root: lowered.root,
            slots: lowered.slots,
            reads: lowered.reads,
            result: lowered.result,
            regexes: Arc::clone(&self.regexes),
        })
    }

    pub(super) fn overloads(&self, name: &str, style: Style) -> Option<&[Arc<Overload>]> {
        let table = match style {
            Style::Global => &self.globals,
            Style::Member => &self.members,
        };
        table.get(name).map(Vec::as_slice)
    }

    pub(super) fn opaque_type(&self, name: &str) -> Option<Type> {
        self.opaque_types.get(name).map(|name| Type::Opaque(name))
    }

    /// What to say of a function that is not there.
    pub(super) fn unknown_function(&self, name: &str, style: Style) -> String {
        let other = match style {
            Style::Global => self.members.contains_key(name),
            Style::Member => self.globals.contains_key(name),
        };
        match (other, style) {
            (true, Style::Global) => format!("'{name}' is called on a value, as in x.{name}()"),
            (true, Style::Member) => format!("'{name}' is called as {name}(x)"),
            (false, _) => {
                let known = self.globals.keys().chain(self.members.keys()).copied();
                unknown("function", name, known.chain(super::macros::NAMES))
            }
        }
    }
}
