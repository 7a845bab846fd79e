//! Notices: who is told of what. Every event of a transition gets its recipients in the commit that
//! makes it true; sinks send them. Nothing here decides who may do something.

use std::sync::Arc;

use super::command::{SubjectState, Transition};
use super::course::{Recipient, Way};
use super::event::{Event, EventKind, Resource};
use super::grant::Grant;
use super::ids::Seed;
use super::people::{Member, People};
use super::request::Request;
use super::rules::Notify;
use super::subject::Person;
use super::template::{Approvers, Step};

mod audience;
mod choose;
#[cfg(test)]
mod tests;

use audience::{Audience, MOST};

/// What a choice hangs on that no subject owns, drawn before the commit.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    pub seed: Seed,
    /// Where approvers are told one after the other: whose turn it is.
    pub turn: u64,
}

/// Chooses whom each event of the transition is for, and keeps in the request who was told.
pub fn address(before: &SubjectState, transition: &mut Transition, people: &People, draw: Draw) {
    let Transition { requests, grants, events, .. } = transition;
    let desk = Desk { before, people, draw };
    for event in events {
        let id = match event.resource {
            Resource::Request(id) => Some(id),
            Resource::Grant(_) => event.correlation,
            Resource::Template(_) => None,
        };
        let changed = requests.iter_mut().find(|request| Some(request.id) == id);
        let known = id.and_then(|id| before.requests.get(&id));
        let mut request = changed.as_deref().or(known).cloned();
        let grant = match event.resource {
            Resource::Request(_) | Resource::Template(_) => None,
            // A warning changes nothing of its grant.
            Resource::Grant(id) => {
                let changed = grants.iter().find(|grant| grant.id == id);
                changed.or_else(|| before.grants.get(&id))
            }
        };
        event.notify = desk.audience(event, request.as_mut(), grant).recipients(MOST);
        if let (Some(changed), Some(request)) = (changed, request) {
            changed.course.told = request.course.told;
        }
    }
}

/// The most approvers that are told by name: it leaves room for the requester and who asked for them.
const MOST_APPROVERS: usize = MOST - 2;

struct Desk<'a> {
    before: &'a SubjectState,
    people: &'a People,
    draw: Draw,
}

impl Desk<'_> {
    /// Those who are chosen for an event are added to those who were told of its request.
    fn audience(
        &self,
        event: &Event,
        request: Option<&mut Request>,
        grant: Option<&Grant>,
    ) -> Audience {
        match event.kind {
            // The request's approval said so. A template is nobody's.
            EventKind::GrantActivated | EventKind::TemplateChanged => Audience::default(),
            EventKind::GrantExtended
            | EventKind::GrantReleased
            | EventKind::GrantExpiring
            | EventKind::GrantExpired => self.holder(grant, request.as_deref()),
            EventKind::GrantRevoked => self.revoked(event, grant, request.as_deref()),
            EventKind::RequestSubmitted => of(request, |it| self.submitted(it)),
            EventKind::RequestStepApproved => of(request, |it| self.step_approved(event, it)),
            EventKind::RequestCommented => of(request, |it| self.commented(event, it)),
            EventKind::RequestEscalated => of(request, |it| self.escalated(it)),
            EventKind::RequestApproved
            | EventKind::RequestDenied
            | EventKind::RequestCancelled
            | EventKind::RequestExpired => of(request, |it| self.decided(event, it)),
            EventKind::BreakglassUsed | EventKind::BreakglassOverdue => {
                of(request, |it| self.alarmed(it))
            }
            EventKind::BreakglassReviewed => of(request, |it| self.own(it)),
        }
    }

    /// Those who shall decide, and the requester when somebody else asked. Where nobody has to
    /// decide, or anybody may, there is nobody to choose.
    fn submitted(&self, request: &mut Request) -> Audience {
        let mut all = Audience::default();
        if matches!(request.template.rules.notify, Notify::RoundRobin(_)) {
            request.course.told.turn = self.draw.turn;
        }
        let template = request.template.clone();
        let first = template.steps.first().filter(|_| request.is_pending());
        if let Some(step) = first {
            all = self.choose(request, step);
        }
        let is_open = first.is_some_and(|step| step.approvers == Approvers::Anyone);
        if request.on_behalf_by.is_some() || is_open {
            self.add(&mut all, &request.requester);
        }
        all
    }

    /// The next step's approvers, and everybody who was told before: somebody else decided.
    fn step_approved(&self, event: &Event, request: &mut Request) -> Audience {
        let template = request.template.clone();
        let before = self.before.requests.get(&request.id).and_then(Request::current_step);
        let number = request.current_step().map(|(number, _)| number);
        let place = number.and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
        let next = place.and_then(|place| template.steps.get(place));
        if let Some(step) = next.filter(|_| number != before.map(|(number, _)| number)) {
            self.choose(request, step);
        }
        let mut all = without_actor(told(request), event);
        all.append(self.own(request));
        all
    }

    fn commented(&self, event: &Event, request: &Request) -> Audience {
        let mut all = told(request);
        all.append(self.own(request));
        without_actor(all, event)
    }

    fn decided(&self, event: &Event, request: &Request) -> Audience {
        let mut all = match request.course.way {
            Way::Approvers => without_actor(told(request), event),
            // Nobody else was asked; of a break-glass others hear by its own alarm.
            Way::Rule { .. } | Way::Eligibility | Way::BreakGlass { .. } => Audience::default(),
        };
        all.append(self.own(request));
        all
    }

    fn escalated(&self, request: &mut Request) -> Audience {
        let template = request.template.clone();
        let groups = template.rules.escalation.as_ref().map(|it| it.groups.as_slice());
        let mut all = self.everybody(request, groups.unwrap_or_default());
        keep(request, &all, Self::concerned);
        all.append(self.own(request));
        all
    }

    /// Loud: everybody who could have decided, whatever the template's choice is.
    fn alarmed(&self, request: &mut Request) -> Audience {
        let all = self.everybody(request, &Self::all_groups(request));
        keep(request, &all, Self::all_groups);
        all
    }

    /// Chosen as the template says, and kept as told.
    fn choose(&self, request: &mut Request, step: &Step) -> Audience {
        let Approvers::Groups(groups) = &step.approvers else { return Audience::default() };
        let (pool, unknown) = choose::pool(self.people, groups);
        let (policy, turn) = (request.template.rules.notify, request.course.told.turn);
        let chosen = choose::choose(policy, &pool, &self.draw.seed, turn, |member| {
            !request.approvals.iter().any(|approval| approval.by.is_member(member))
                && !is_kept_out(request, |person| person.is_member(member))
        });
        let all = self.listed(chosen, unknown, groups);
        keep(request, &all, Self::concerned);
        all
    }

    /// All members of groups but those who may not decide.
    fn everybody(&self, request: &Request, groups: &[Arc<str>]) -> Audience {
        let (pool, unknown) = choose::pool(self.people, groups);
        let is_out = |member: &&Member| is_kept_out(request, |person| person.is_member(member));
        self.listed(pool.into_iter().filter(|member| !is_out(member)), unknown, groups)
    }

    /// Too many are told as the `groups` that they are of.
    fn listed<'m>(
        &self,
        members: impl IntoIterator<Item = &'m Member>,
        unknown: Vec<Arc<str>>,
        groups: &[Arc<str>],
    ) -> Audience {
        let mut all = Audience::default();
        for member in members {
            let email = member.email.as_ref().or_else(|| self.people.email(&member.name));
            all.add(member.name.clone(), email.cloned());
        }
        for group in unknown {
            all.add_group(group);
        }
        all.at_most(MOST_APPROVERS, groups)
    }

    /// Whose members may have been told by now.
    fn concerned(request: &Request) -> Vec<Arc<str>> {
        let current = request.current_step().map_or(u32::MAX, |(number, _)| number);
        let upto = usize::try_from(current).unwrap_or(usize::MAX);
        let steps = request.template.steps.iter().take(upto);
        let escalation = request.template.rules.escalation.as_ref();
        let escalated = escalation.filter(|_| request.course.escalated_at.is_some());
        let escalated = escalated.into_iter().flat_map(|it| it.groups.iter().cloned());
        steps.flat_map(groups_of).chain(escalated).collect()
    }

    fn all_groups(request: &Request) -> Vec<Arc<str>> {
        let template = &request.template;
        let escalation = template.rules.escalation.as_ref();
        let escalation = escalation.into_iter().flat_map(|it| it.groups.iter().cloned());
        template.steps.iter().flat_map(groups_of).chain(escalation).collect()
    }

    fn revoked(&self, event: &Event, grant: Option<&Grant>, request: Option<&Request>) -> Audience {
        let mut approvers = Audience::default();
        for name in grant.iter().flat_map(|grant| &grant.approvers) {
            approvers.add(name.clone(), self.people.email(name).cloned());
        }
        let mut all = without_actor(approvers, event);
        all.append(self.holder(grant, request));
        all
    }

    fn holder(&self, grant: Option<&Grant>, request: Option<&Request>) -> Audience {
        let mut all = Audience::default();
        let Some(grant) = grant else { return all };
        let asked = request.map(|request| &request.requester);
        let asked = asked.filter(|person| person.subject == grant.subject);
        let email = asked.and_then(|person| person.email.as_ref());
        let name = &grant.subject.name;
        all.add(name.clone(), email.or_else(|| self.people.email(name)).cloned());
        all
    }

    /// The requester, and who asked for them.
    fn own(&self, request: &Request) -> Audience {
        let mut all = Audience::default();
        own(request).for_each(|person| self.add(&mut all, person));
        all
    }

    fn add(&self, all: &mut Audience, person: &Person) {
        let name = &person.subject.name;
        let email = person.email.as_ref().or_else(|| self.people.email(name));
        all.add(name.clone(), email.cloned());
    }
}

fn of(request: Option<&mut Request>, tell: impl FnOnce(&mut Request) -> Audience) -> Audience {
    request.map(tell).unwrap_or_default()
}

/// Whose request it is: the requester, and who asked for them.
fn own(request: &Request) -> impl Iterator<Item = &Person> {
    std::iter::once(&request.requester).chain(&request.on_behalf_by)
}

/// Nobody is told to decide on their own request, unless its template lets them.
fn is_kept_out(request: &Request, mut is_them: impl FnMut(&Person) -> bool) -> bool {
    !request.template.self_approval && own(request).any(&mut is_them)
}

fn groups_of(step: &Step) -> impl Iterator<Item = Arc<str>> + '_ {
    let groups = match &step.approvers {
        Approvers::Anyone => &[][..],
        Approvers::Groups(groups) => groups,
    };
    groups.iter().cloned()
}

fn told(request: &Request) -> Audience {
    let mut all = Audience::default();
    for recipient in &request.course.told.approvers {
        match recipient {
            Recipient::Person { name, email } => all.add(name.clone(), email.clone()),
            Recipient::Group { name } => all.add_group(name.clone()),
        }
    }
    all
}

/// Keeps who was told; when they become too many, as the `groups` that they are of.
fn keep(request: &mut Request, new: &Audience, groups: fn(&Request) -> Vec<Arc<str>>) {
    let mut all = told(request);
    all.append(new.clone());
    let all = all.at_most(MOST_APPROVERS, &groups(request));
    request.course.told.approvers = all.recipients(MOST);
}

fn without_actor(mut all: Audience, event: &Event) -> Audience {
    if let Some(person) = event.actor.person() {
        all.remove(person);
    }
    all
}
