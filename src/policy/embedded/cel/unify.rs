//! Which type may stand for which, and what type parameters stand for: cel-go's rules.

use super::types::Type;

/// What is known of the type parameters so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Substitution {
    known: Vec<Option<Type>>,
}

impl Substitution {
    /// A new type parameter.
    pub fn fresh(&mut self) -> Type {
        let id = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.known.push(None);
        Type::Param(id)
    }

    /// A signature's types with type parameters of their own.
    pub fn instantiate(&mut self, types: &[&Type]) -> Vec<Type> {
        let mut renamed: Vec<(u32, Type)> = Vec::new();
        types
            .iter()
            .map(|it| {
                it.substitute(&mut |id| {
                    if let Some((_, fresh)) = renamed.iter().find(|(known, _)| *known == id) {
                        return fresh.clone();
                    }
                    let fresh = self.fresh();
                    renamed.push((id, fresh.clone()));
                    fresh
                })
            })
            .collect()
    }

    fn find(&self, id: u32) -> Option<&Type> {
        self.known.get(usize::try_from(id).ok()?)?.as_ref()
    }

    fn set(&mut self, id: u32, to: Type) {
        if let Some(slot) = usize::try_from(id).ok().and_then(|id| self.known.get_mut(id)) {
            *slot = Some(to);
        }
    }

    /// The type with everything known filled in.
    pub fn resolve(&self, it: &Type) -> Type {
        it.substitute(&mut |id| match self.find(id) {
            Some(known) => self.resolve(known),
            None => Type::Param(id),
        })
    }

    /// Whether values of the one type may be used where the other is wanted; nothing is learnt
    /// when not.
    pub fn assign(&mut self, given: &[Type], wanted: &[Type]) -> bool {
        let mut attempt = self.clone();
        let fits = given.len() == wanted.len()
            && given.iter().zip(wanted).all(|(given, wanted)| attempt.internal(given, wanted));
        if fits {
            *self = attempt;
        }
        fits
    }

    fn internal(&mut self, left: &Type, right: &Type) -> bool {
        if let Type::Param(id) = right {
            let (valid, known) = self.stands_for(left, *id);
            if valid || known {
                return valid;
            }
        }
        if let Type::Param(id) = left {
            return self.stands_for(right, *id).0;
        }
        match (left, right) {
            (Type::Dyn, _) | (_, Type::Dyn) => true,
            (Type::Null, other) | (other, Type::Null) => is_nullable(other),
            (Type::List(left), Type::List(right))
            | (Type::Optional(left), Type::Optional(right)) => self.internal(left, right),
            (Type::Map(left), Type::Map(right)) => {
                self.internal(&left.0, &right.0) && self.internal(&left.1, &right.1)
            }
            _ => left == right,
        }
    }

    /// Whether `it` can be what the parameter stands for, and whether that was known before.
    fn stands_for(&mut self, it: &Type, id: u32) -> (bool, bool) {
        if *it == Type::Param(id) {
            return (true, true);
        }
        if let Some(known) = self.find(id).cloned() {
            if *it == known {
                return (true, true);
            }
            if !self.internal(it, &known) {
                return (false, true);
            }
            let general = most_general(it, &known);
            if !self.occurs(id, &general) {
                self.set(id, general);
            }
            return (true, true);
        }
        if self.occurs(id, it) {
            return (false, false);
        }
        self.set(id, it.clone());
        (true, false)
    }

    fn occurs(&self, id: u32, inside: &Type) -> bool {
        match inside {
            Type::Param(other) => {
                *other == id || self.find(*other).is_some_and(|known| self.occurs(id, known))
            }
            other => other.parts().into_iter().any(|part| self.occurs(id, part)),
        }
    }

    /// The type of elements that are of both types: `dyn` when they do not agree.
    pub fn join(&mut self, left: &Type, right: &Type) -> Type {
        if self.assign(std::slice::from_ref(left), std::slice::from_ref(right)) {
            return most_general(left, right);
        }
        Type::Dyn
    }
}

const fn is_nullable(it: &Type) -> bool {
    matches!(
        it,
        Type::Null | Type::Duration | Type::Timestamp | Type::Opaque(_) | Type::Optional(_)
    )
}

fn most_general(left: &Type, right: &Type) -> Type {
    if is_equal_or_less_specific(left, right) { left.clone() } else { right.clone() }
}

fn is_equal_or_less_specific(left: &Type, right: &Type) -> bool {
    match (left, right) {
        (Type::Dyn | Type::Param(_), _) => true,
        (_, Type::Dyn | Type::Param(_)) => false,
        (Type::List(left), Type::List(right)) | (Type::Optional(left), Type::Optional(right)) => {
            is_equal_or_less_specific(left, right)
        }
        (Type::Map(left), Type::Map(right)) => {
            is_equal_or_less_specific(&left.0, &right.0)
                && is_equal_or_less_specific(&left.1, &right.1)
        }
        _ => left == right,
    }
}
