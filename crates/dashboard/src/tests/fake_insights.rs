//! Made-up insights, dashboards, cohorts and a feature flag.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use belvedere_business_intelligence::feature_flag::{
    FeatureFlag, FeatureFlags, FlagChange, FlagCondition, NewFlag,
};
use belvedere_business_intelligence::insight::{
    Board, BoardChange, BoardId, Boards, Cohort, CohortChange, CohortId, CohortSize, Cohorts, Condition,
    DidCondition, FunnelQuestion, Insight, InsightChange, InsightId, Insights, Link, LinkId, LinkSecret,
    Matching, NewCohort, NewInsight, Often, PathQuestion, PropertyOp, Question, RetentionQuestion, Rule,
    SharedBoard, Tile, TileWidth, TrendQuestion,
};
use belvedere_business_intelligence::{BusinessError, ChangedBy};
use belvedere_event_store::kernel::subject_set::SubjectSet;
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

/// The secret of the only link that works.
pub(super) const SECRET: &str = "0f0f";

/// Project 7 has four insights, one dashboard with all of them, a link to it, and two cohorts; names end in `suffix`.
/// What is asked for is remembered; `full` and other names are taken or refused.
pub(super) struct FakeInsights {
    now: Timestamp,
    suffix: String,
    pub(super) calls: Mutex<Vec<String>>,
}

pub(super) fn insight_id(number: u8) -> InsightId {
    InsightId::from_bytes([number; 16])
}

pub(super) fn board_id() -> BoardId {
    BoardId::from_bytes([21; 16])
}

pub(super) fn link_id() -> LinkId {
    LinkId::from_bytes([22; 16])
}

pub(super) fn cohort_id(number: u8) -> CohortId {
    CohortId::from_bytes([number; 16])
}

fn refused<T>(why: &str) -> Result<T, BusinessError> {
    Err(BusinessError::Invalid { field: "name", why: why.to_owned() })
}

impl FakeInsights {
    pub(super) fn new(now: Timestamp, suffix: &str) -> Self {
        Self { now, suffix: suffix.to_owned(), calls: Mutex::default() }
    }

    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn insights(&self) -> Vec<Insight> {
        let steps = ["signup", "error"].map(|step| format!("{step}{}", self.suffix)).to_vec();
        let questions = [
            (
                "Errors",
                Question::Trend(TrendQuestion { event: "error".to_owned(), ..TrendQuestion::default() }),
            ),
            ("Way in", Question::Funnel(FunnelQuestion { steps, ..FunnelQuestion::default() })),
            ("Coming back", Question::Retention(RetentionQuestion::default())),
            (
                "What follows",
                Question::Path(PathQuestion { event: "error".to_owned(), ..PathQuestion::default() }),
            ),
        ];
        let insight = |(number, (name, question)): (u8, (&str, Question))| Insight {
            id: insight_id(number),
            name: format!("{name}{}", self.suffix),
            question,
            created_by: None,
            created_at: self.now,
            changed_at: self.now,
        };
        (1..).zip(questions).map(insight).collect()
    }

    fn board(&self) -> Board {
        let tile = |number| Tile {
            insight: insight_id(number),
            width: if number == 3 { TileWidth::Full } else { TileWidth::Half },
        };
        Board {
            id: board_id(),
            name: format!("Product{}", self.suffix),
            tiles: [1, 2, 3].map(tile).into(),
            created_by: None,
            created_at: self.now,
            changed_at: self.now.minus(Duration::from_secs(7_200)),
        }
    }

    fn cohort(&self, number: u8) -> Cohort {
        let did =
            DidCondition { event: format!("signup{}", self.suffix), op: Often::AtLeast, times: 2, days: 30 };
        Cohort {
            id: cohort_id(number),
            name: format!("Cohort {number}{}", self.suffix),
            rule: Rule { matching: Matching::All, conditions: vec![Condition::Did(did)] },
            is_static: number == 2,
            size: if number == 2 { 3 } else { 1_204 },
            counted_at: self.now,
            created_by: None,
            created_at: self.now,
            changed_at: self.now,
        }
    }
}

#[async_trait]
impl Insights for FakeInsights {
    async fn list_insights(&self, project: ProjectId) -> Result<Vec<Insight>, BusinessError> {
        Ok(if project.0 == 7 { self.insights() } else { Vec::new() })
    }

    async fn find_insight(&self, project: ProjectId, id: InsightId) -> Result<Insight, BusinessError> {
        let all = self.list_insights(project).await?;
        all.into_iter().find(|insight| insight.id == id).ok_or(BusinessError::NotFound("insight"))
    }

    async fn create_insight(
        &self,
        _: ProjectId,
        new: NewInsight,
        _: &ChangedBy,
    ) -> Result<Insight, BusinessError> {
        if new.name == "Errors" {
            return refused("there is one called \"Errors\" already");
        }
        self.note(format!("create_insight {} {}", new.name, new.question.kind()));
        let [insight, ..] = &self.insights()[..] else { return refused("") };
        Ok(Insight { name: new.name, question: new.question, ..insight.clone() })
    }

    async fn change_insight(
        &self,
        project: ProjectId,
        id: InsightId,
        change: InsightChange,
        _: &ChangedBy,
    ) -> Result<Insight, BusinessError> {
        let insight = self.find_insight(project, id).await?;
        let question = change.question.unwrap_or(insight.question.clone());
        self.note(format!("change_insight {:?} {}", change.name, question.kind()));
        Ok(Insight { question, ..insight })
    }

    async fn delete_insight(
        &self,
        project: ProjectId,
        id: InsightId,
        _: &ChangedBy,
    ) -> Result<(), BusinessError> {
        self.find_insight(project, id).await?;
        self.note(format!("delete_insight {id}"));
        Ok(())
    }
}

#[async_trait]
impl Boards for FakeInsights {
    async fn list_boards(&self, project: ProjectId) -> Result<Vec<Board>, BusinessError> {
        Ok(if project.0 == 7 { vec![self.board()] } else { Vec::new() })
    }

    async fn find_board(&self, project: ProjectId, id: BoardId) -> Result<Board, BusinessError> {
        let all = self.list_boards(project).await?;
        all.into_iter().find(|board| board.id == id).ok_or(BusinessError::NotFound("dashboard"))
    }

    async fn create_board(
        &self,
        _: ProjectId,
        name: &str,
        tiles: Vec<Tile>,
        _: &ChangedBy,
    ) -> Result<Board, BusinessError> {
        if name == "Product" {
            return refused("there is one called \"Product\" already");
        }
        self.note(format!("create_board {name} with {}", tiles.len()));
        Ok(self.board())
    }

    async fn change_board(
        &self,
        project: ProjectId,
        id: BoardId,
        change: BoardChange,
        _: &ChangedBy,
    ) -> Result<Board, BusinessError> {
        let board = self.find_board(project, id).await?;
        let tiles = change.tiles.unwrap_or_default();
        let tiles: Vec<_> = tiles.iter().map(|it| (it.insight.to_bytes()[0], it.width.as_str())).collect();
        self.note(format!("change_board {:?} {tiles:?}", change.name));
        Ok(board)
    }

    async fn pin_insight(
        &self,
        project: ProjectId,
        id: BoardId,
        tile: Tile,
        _: &ChangedBy,
    ) -> Result<Board, BusinessError> {
        self.note(format!("pin_insight {} {}", tile.insight.to_bytes()[0], tile.width.as_str()));
        self.find_board(project, id).await
    }

    async fn delete_board(
        &self,
        project: ProjectId,
        id: BoardId,
        _: &ChangedBy,
    ) -> Result<(), BusinessError> {
        self.find_board(project, id).await?;
        self.note(format!("delete_board {id}"));
        Ok(())
    }

    async fn list_links(&self, project: ProjectId, board: BoardId) -> Result<Vec<Link>, BusinessError> {
        self.find_board(project, board).await?;
        Ok(vec![Link { id: link_id(), created_by: None, created_at: self.now, expires_at: Some(self.now) }])
    }

    async fn create_link(
        &self,
        _: ProjectId,
        _: BoardId,
        expires_at: Option<Timestamp>,
        _: &ChangedBy,
    ) -> Result<(Link, LinkSecret), BusinessError> {
        self.note(format!("create_link {expires_at:?}"));
        let link = Link { id: link_id(), created_by: None, created_at: self.now, expires_at };
        Ok((link, LinkSecret::of_text(SECRET)))
    }

    async fn revoke_link(
        &self,
        _: ProjectId,
        _: BoardId,
        link: LinkId,
        _: &ChangedBy,
    ) -> Result<(), BusinessError> {
        self.note(format!("revoke_link {link}"));
        Ok(())
    }

    async fn find_shared(&self, link: LinkId, secret: &str) -> Result<Option<SharedBoard>, BusinessError> {
        let shared = SharedBoard {
            project: ProjectId(7),
            time_zone: "Europe/Berlin".to_owned(),
            board: self.board(),
            insights: self.insights(),
        };
        Ok((link == link_id() && secret == SECRET).then_some(shared))
    }
}

#[async_trait]
impl Cohorts for FakeInsights {
    async fn list_cohorts(&self, project: ProjectId) -> Result<Vec<Cohort>, BusinessError> {
        Ok(if project.0 == 7 { [1, 2].map(|number| self.cohort(number)).into() } else { Vec::new() })
    }

    async fn find_cohort(&self, project: ProjectId, id: CohortId) -> Result<Cohort, BusinessError> {
        let all = self.list_cohorts(project).await?;
        all.into_iter().find(|cohort| cohort.id == id).ok_or(BusinessError::NotFound("cohort"))
    }

    async fn create_cohort(
        &self,
        _: ProjectId,
        new: NewCohort,
        _: &ChangedBy,
    ) -> Result<Cohort, BusinessError> {
        if new.name == "Cohort 1" {
            return refused("there is one called \"Cohort 1\" already");
        }
        self.note(format!("create_cohort {} {} {:?}", new.name, new.is_static, new.rule));
        Ok(self.cohort(1))
    }

    async fn change_cohort(
        &self,
        project: ProjectId,
        id: CohortId,
        change: CohortChange,
        _: &ChangedBy,
    ) -> Result<Cohort, BusinessError> {
        self.note(format!("change_cohort {:?} {}", change.name, change.rule.is_some()));
        self.find_cohort(project, id).await
    }

    async fn delete_cohort(
        &self,
        project: ProjectId,
        id: CohortId,
        _: &ChangedBy,
    ) -> Result<(), BusinessError> {
        self.find_cohort(project, id).await?;
        self.note(format!("delete_cohort {id}"));
        Ok(())
    }

    async fn count_cohort(&self, project: ProjectId, id: CohortId) -> Result<Cohort, BusinessError> {
        self.find_cohort(project, id).await
    }

    async fn list_sizes(&self, project: ProjectId, id: CohortId) -> Result<Vec<CohortSize>, BusinessError> {
        let cohort = self.find_cohort(project, id).await?;
        let size = |(week, size): (&str, Option<u64>)| {
            let week: Timestamp = week.parse().unwrap();
            CohortSize { week, until: week.plus(Duration::from_secs(7 * 86_400)), size }
        };
        let sizes = [("2026-11-08T23:00:00Z", None), ("2026-11-15T23:00:00Z", Some(1_208))];
        Ok(if cohort.is_static { Vec::new() } else { sizes.map(size).into() })
    }

    async fn find_people(&self, project: ProjectId, id: CohortId) -> Result<Arc<SubjectSet>, BusinessError> {
        self.find_cohort(project, id).await?;
        Ok(Arc::new([1, 2].into_iter().collect()))
    }
}

#[async_trait]
impl FeatureFlags for FakeInsights {
    async fn list_flags(&self, project: ProjectId) -> Result<Vec<FeatureFlag>, BusinessError> {
        let condition = |property: &str, op, value: &str| FlagCondition {
            property: format!("{property}{}", self.suffix),
            op,
            value: Some(format!("{value}{}", self.suffix)),
        };
        let flag = FeatureFlag {
            key: "new-editor".to_owned(),
            number: 1,
            note: format!("For teams{}", self.suffix),
            is_active: true,
            share_percent: 25,
            conditions: vec![
                condition("plan", PropertyOp::Is, "team"),
                condition("seats", PropertyOp::Greater, "5"),
            ],
            payload: Some(format!("{{\"colour\": 1}}{}", self.suffix)),
            version: 3,
            created_by: None,
            created_at: self.now,
            changed_at: self.now,
        };
        Ok(if project.0 == 7 { vec![flag] } else { Vec::new() })
    }

    async fn find_flag(&self, project: ProjectId, key: &str) -> Result<FeatureFlag, BusinessError> {
        let all = self.list_flags(project).await?;
        all.into_iter().find(|flag| flag.key == key).ok_or(BusinessError::NotFound("feature flag"))
    }

    async fn create_flag(
        &self,
        project: ProjectId,
        new: NewFlag,
        _: &ChangedBy,
    ) -> Result<FeatureFlag, BusinessError> {
        if new.key == "new-editor" {
            return refused("there is a flag with this one already");
        }
        let (key, is_active, share) = (&new.key, new.is_active, new.share_percent);
        self.note(format!("create_flag {key} {is_active} {share} {}", new.conditions.len()));
        self.find_flag(project, "new-editor").await
    }

    async fn change_flag(
        &self,
        project: ProjectId,
        key: &str,
        change: FlagChange,
        _: &ChangedBy,
    ) -> Result<FeatureFlag, BusinessError> {
        let flag = self.find_flag(project, key).await?;
        let FlagChange { is_active, share_percent, payload, .. } = change;
        self.note(format!("change_flag {key} {is_active:?} {share_percent:?} {payload:?}"));
        Ok(flag)
    }

    async fn delete_flag(&self, project: ProjectId, key: &str, _: &ChangedBy) -> Result<(), BusinessError> {
        self.find_flag(project, key).await?;
        self.note(format!("delete_flag {key}"));
        Ok(())
    }

    async fn flags_now(&self, project: ProjectId) -> Result<Arc<[FeatureFlag]>, BusinessError> {
        Ok(self.list_flags(project).await?.into())
    }
}
