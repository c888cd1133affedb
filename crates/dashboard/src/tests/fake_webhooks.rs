//! A made-up webhook with its deliveries behind the real trait.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_alerting::{
    AlertingError, ChangedBy, Delivery, DeliveryId, DeliveryState, Endpoint, EndpointChange, EndpointId,
    NewEndpoint, SigningSecret, Webhooks,
};
use belvedere_kernel::{NoticeKind, ProjectId};
use belvedere_storage::{Cursor, Id, Page, PageRequest, Timestamp};

/// The project that has the webhook.
const PROJECT: ProjectId = ProjectId(7);

/// The webhook of the project 7 alone.
pub(crate) struct FakeWebhooks {
    now: Timestamp,
    /// Added to every text.
    suffix: String,
    /// What was done, in words.
    pub(crate) calls: Mutex<Vec<String>>,
}

pub(crate) fn endpoint_id() -> EndpointId {
    Id::from_bytes([6; 16])
}

impl FakeWebhooks {
    pub(crate) fn new(now: Timestamp, suffix: &str) -> Self {
        Self { now, suffix: suffix.to_owned(), calls: Mutex::default() }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint {
            id: endpoint_id(),
            project: PROJECT,
            url: format!("https://hooks.example.org/belvedere{}", self.suffix),
            kinds: vec![NoticeKind::MilestoneReached, NoticeKind::LearnerStruggling],
            is_enabled: true,
            waiting: 1,
            dead: 2,
            dropped: 1_204,
            created_at: self.now.minus(Duration::from_secs(9 * 86_400)),
        }
    }

    fn delivery(&self, number: u8, state: DeliveryState, attempts: u32) -> Delivery {
        let ago = |seconds: u64| self.now.minus(Duration::from_secs(seconds));
        let (status, answer) = match state {
            DeliveryState::Pending => (Some(503), "come back later"),
            DeliveryState::Delivered => (Some(204), ""),
            DeliveryState::Dead => (None, "connection refused"),
        };
        Delivery {
            id: Id::from_bytes([number; 16]),
            kind: "learning.milestone".to_owned(),
            state,
            attempts,
            last_status: status,
            last_answer: Some(format!("{answer}{}", self.suffix)),
            created_at: ago(600 * u64::from(number)),
            next_at: (state == DeliveryState::Pending).then(|| self.now.plus(Duration::from_secs(45))),
            settled_at: (state != DeliveryState::Pending).then(|| ago(30)),
        }
    }

    fn act(&self, project: ProjectId, endpoint: EndpointId, what: &str) -> Result<(), AlertingError> {
        if (project, endpoint) != (PROJECT, endpoint_id()) {
            return Err(AlertingError::NotFound("webhook"));
        }
        self.calls.lock().unwrap().push(what.to_owned());
        Ok(())
    }
}

#[async_trait]
impl Webhooks for FakeWebhooks {
    async fn list_endpoints(&self, project: ProjectId) -> Result<Vec<Endpoint>, AlertingError> {
        Ok(if project == PROJECT { vec![self.endpoint()] } else { Vec::new() })
    }
    async fn find_endpoint(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
    ) -> Result<Option<Endpoint>, AlertingError> {
        Ok(Some(self.endpoint()).filter(|it| (it.project, it.id) == (project, endpoint)))
    }
    async fn create_endpoint(
        &self,
        _: ProjectId,
        new: NewEndpoint,
        _: &ChangedBy,
    ) -> Result<(Endpoint, SigningSecret), AlertingError> {
        if new.kinds.is_empty() {
            return Err(AlertingError::Invalid { field: "kinds", why: "must have at least one".to_owned() });
        }
        self.calls.lock().unwrap().push(format!("create {} {:?}", new.url, new.kinds));
        Ok((self.endpoint(), SigningSecret::from_bytes(vec![1; 24])))
    }
    async fn change_endpoint(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        change: EndpointChange,
        _: &ChangedBy,
    ) -> Result<Endpoint, AlertingError> {
        self.act(project, endpoint, &format!("change {:?} {:?}", change.kinds, change.is_enabled))?;
        Ok(self.endpoint())
    }
    async fn delete_endpoint(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        _: &ChangedBy,
    ) -> Result<(), AlertingError> {
        self.act(project, endpoint, "delete")
    }
    async fn rotate_secret(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        _: &ChangedBy,
    ) -> Result<SigningSecret, AlertingError> {
        self.act(project, endpoint, "rotate")?;
        Ok(SigningSecret::from_bytes(vec![2; 24]))
    }
    async fn ping(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        _: &ChangedBy,
    ) -> Result<DeliveryId, AlertingError> {
        self.act(project, endpoint, "ping")?;
        Ok(Id::from_bytes([1; 16]))
    }
    async fn list_deliveries(
        &self,
        _: ProjectId,
        _: EndpointId,
        page: PageRequest,
    ) -> Result<Page<Delivery>, AlertingError> {
        let items = vec![
            self.delivery(1, DeliveryState::Pending, 2),
            self.delivery(2, DeliveryState::Delivered, 1),
            self.delivery(3, DeliveryState::Dead, 14),
        ];
        let next = page.after.is_none().then(|| Cursor::from("3".to_owned()));
        Ok(Page { items, next })
    }
    async fn resend(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        delivery: DeliveryId,
        _: &ChangedBy,
    ) -> Result<(), AlertingError> {
        self.act(project, endpoint, &format!("resend {delivery}"))
    }
}
