//! What happens in the approval API: transitions, refused calls, store faults, timers.

use crate::domain::command::Transition;
use crate::domain::event::{EventKind, Resource};
use crate::domain::markers::KillOrder;
use crate::domain::request::Request;
use crate::domain::subject::Actor;
use crate::problem::ProblemCode;
use crate::store::StoreFault;
use crate::telemetry::bounded;
use crate::telemetry::events::store_failed;
use crate::telemetry::metrics::{ApprovalLabels, Metrics, TemplateLabel};

/// A change was committed. Free text (justifications, comments, reasons) stays in the event.
pub struct Transitioned<'a> {
    pub metrics: &'a Metrics,
    pub actor: &'a Actor,
    pub transition: &'a Transition,
    pub seq: u64,
    pub traceparent: Option<&'a str>,
}

impl Transitioned<'_> {
    pub fn emit(&self) {
        for event in &self.transition.events {
            tracing::info!(
                event = event.kind.cloud_event_type(),
                resource = %event.resource,
                actor = self.actor.name(),
                seq = self.seq,
                traceparent = self.traceparent,
                "transition"
            );
        }
        for event in &self.transition.events {
            let of = |request: &&Request| Resource::Request(request.id) == event.resource;
            if let Some(request) = self.transition.requests.iter().find(of)
                && let Some(outcome) = outcome(event.kind)
            {
                self.count(request, outcome);
            }
        }
    }

    fn count(&self, request: &Request, outcome: &'static str) {
        let template = request.template.name.clone();
        let labels = ApprovalLabels { template: template.clone(), outcome };
        self.metrics.approvals.get_or_create(&labels).inc();
        if outcome == SUBMITTED {
            return;
        }
        if let Some(at) = request.status.decided_at() {
            let wait = at.since(request.created_at).as_secs_f64();
            self.metrics.decision_wait.get_or_create(&TemplateLabel { template }).observe(wait);
        }
    }
}

const SUBMITTED: &str = "submitted";

/// How far an event brings a request. What changes one without deciding it is not counted.
const fn outcome(kind: EventKind) -> Option<&'static str> {
    match kind {
        EventKind::RequestSubmitted => Some(SUBMITTED),
        EventKind::RequestApproved => Some("approved"),
        EventKind::RequestDenied => Some("denied"),
        EventKind::RequestCancelled => Some("cancelled"),
        EventKind::RequestExpired => Some("expired"),
        EventKind::RequestCommented
        | EventKind::RequestStepApproved
        | EventKind::RequestEscalated
        | EventKind::GrantActivated
        | EventKind::GrantExtended
        | EventKind::GrantExpiring
        | EventKind::GrantExpired
        | EventKind::GrantRevoked
        | EventKind::GrantReleased
        | EventKind::BreakglassUsed
        | EventKind::BreakglassReviewed
        | EventKind::BreakglassOverdue
        | EventKind::TemplateChanged => None,
    }
}

/// A template's rule for approval without people came to nothing: people decide.
pub struct RuleFailed<'a> {
    pub template: &'a str,
    pub why: &'a str,
}

impl RuleFailed<'_> {
    pub fn emit(&self) {
        let (template, why) = (self.template, bounded::text(self.why, bounded::TEXT));
        tracing::warn!(template, why, "an auto-approve rule has no value");
    }
}

/// A call was refused.
pub struct CallRefused<'a> {
    pub decision_id: &'a str,
    pub code: ProblemCode,
    pub status: u16,
}

impl CallRefused<'_> {
    pub fn emit(&self) {
        let (decision_id, code, status) = (self.decision_id, self.code.code(), self.status);
        if status >= 500 {
            tracing::warn!(decision_id, code, status, "call refused");
        } else {
            tracing::info!(decision_id, code, status, "call refused");
        }
    }
}

/// The store could not answer.
pub struct StoreFailed<'a> {
    pub metrics: &'a Metrics,
    pub fault: &'a StoreFault,
    pub during: &'static str,
}

impl StoreFailed<'_> {
    pub fn emit(&self) {
        let (kind, during, fault) = (self.fault.kind(), self.during, self.fault);
        let Some(untold) = store_failed(self.metrics, fault, during) else { return };
        tracing::warn!(kind, during, %fault, untold, "the store failed");
    }
}

/// The kill switch was thrown for a tool or a template, in every partition. It is told with its
/// reason: when nothing is hit, no event says who threw it and why.
pub struct Killed<'a> {
    pub order: &'a KillOrder,
    pub reached: usize,
    pub partitions: usize,
}

impl Killed<'_> {
    pub fn emit(&self) {
        let Self { order, reached, partitions } = self;
        let (target, actor) = (&order.target, &*order.by.name);
        let reason = bounded::text(&order.reason, bounded::TEXT);
        tracing::warn!(?target, actor, reason, reached, partitions, "kill switch");
    }
}

/// The kill switch was thrown for a subject: told also when nothing was there to end.
pub struct SubjectKilled<'a> {
    pub subject: &'a str,
    pub actor: &'a str,
    pub reason: &'a str,
}

impl SubjectKilled<'_> {
    pub fn emit(&self) {
        let Self { subject, actor, .. } = self;
        let reason = bounded::text(self.reason, bounded::TEXT);
        tracing::warn!(subject, actor, reason, "kill switch of a subject");
    }
}
