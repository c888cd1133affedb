//! Feature flags: who gets what.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use belvedere_accounts::Permission;
use belvedere_business_intelligence::feature_flag::{
    CONDITIONS_MAX, FeatureFlag, FlagChange, FlagCondition, NewFlag,
};
use belvedere_business_intelligence::insight::PropertyOp;

use super::insights::keep::by;
use crate::form::{CheckedForm, Pairs, segment};
use crate::layout::{Layout, Scene, Section};
use crate::pages::activity::Choice;
use crate::pages::done;
use crate::pages::settings::with_status_of;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::Ago;

/// Conditions of an empty form.
const BLANK: usize = 2;

/// How a property is compared, in words.
const TESTS: [(PropertyOp, &str); 7] = [
    (PropertyOp::Is, "is"),
    (PropertyOp::IsNot, "is not"),
    (PropertyOp::Contains, "contains"),
    (PropertyOp::Greater, "is greater than"),
    (PropertyOp::Less, "is less than"),
    (PropertyOp::Set, "is set"),
    (PropertyOp::NotSet, "is not set"),
];

pub(super) fn routes() -> Router<Arc<DashboardState>> {
    Router::new()
        .route("/feature-flags", get(list).post(create))
        .route("/feature-flags/{key}", get(show).post(change))
        .route("/feature-flags/{key}/delete", post(delete))
}

/// A flag as pages show it.
struct Row {
    href: String,
    key: String,
    note: String,
    is_active: bool,
    share: String,
    conditions: Vec<String>,
    has_payload: bool,
    version: i64,
    changed_at: Ago,
}

/// A condition as a form shows it.
struct Line {
    number: usize,
    what: String,
    tests: Vec<Choice>,
    value: String,
}

/// What a form for a flag begins with.
struct Form {
    key: String,
    note: String,
    is_active: bool,
    share: String,
    payload: String,
    lines: Vec<Line>,
}

#[derive(Template)]
#[template(path = "feature_flags/list.html")]
struct ListPage {
    layout: Layout,
    base: String,
    rows: Vec<Row>,
    may_manage: bool,
    public_url: String,
    error: String,
    form: Form,
}

#[derive(Template)]
#[template(path = "feature_flags/flag.html")]
struct FlagPage {
    layout: Layout,
    base: String,
    row: Row,
    may_manage: bool,
    error: String,
    form: Form,
}

fn name_of(op: PropertyOp) -> &'static str {
    TESTS.iter().find(|(other, _)| *other == op).map_or("", |(_, name)| name)
}

fn sentence(condition: &FlagCondition) -> String {
    let (property, is) = (&condition.property, name_of(condition.op));
    match &condition.value {
        Some(value) => format!("{property} {is} {value}"),
        None => format!("{property} {is}"),
    }
}

impl Row {
    fn of(scene: &Scene, flag: &FeatureFlag) -> Self {
        Self {
            href: format!("{}/feature-flags/{}", scene.base(), segment(&flag.key)),
            key: flag.key.clone(),
            note: flag.note.clone(),
            is_active: flag.is_active,
            share: format!("{} %", flag.share_percent),
            conditions: flag.conditions.iter().map(sentence).collect(),
            has_payload: flag.payload.is_some(),
            version: flag.version,
            changed_at: Ago { at: flag.changed_at, now: scene.now },
        }
    }
}

fn line(number: usize, what: &str, test: &str, value: &str) -> Line {
    let choice = |(op, name): &(PropertyOp, &str)| Choice {
        value: op.as_str().to_owned(),
        name: (*name).to_owned(),
        is_chosen: op.as_str() == test,
    };
    let tests = TESTS.iter().map(choice).collect();
    Line { number, what: what.to_owned(), tests, value: value.to_owned() }
}

impl Form {
    fn with_blanks(mut self) -> Self {
        let wanted = (self.lines.len() + 1).clamp(BLANK, CONDITIONS_MAX);
        self.lines.extend((self.lines.len()..wanted).map(|place| line(place + 1, "", "is", "")));
        self
    }

    fn empty() -> Self {
        let (key, note, payload) = (String::new(), String::new(), String::new());
        let form = Self { key, note, is_active: true, share: "100".to_owned(), payload, lines: Vec::new() };
        form.with_blanks()
    }

    fn of(flag: &FeatureFlag) -> Self {
        let lines = flag.conditions.iter().enumerate().map(|(place, condition)| {
            let value = condition.value.as_deref().unwrap_or_default();
            line(place + 1, &condition.property, condition.op.as_str(), value)
        });
        let form = Self {
            key: flag.key.clone(),
            note: flag.note.clone(),
            is_active: flag.is_active,
            share: flag.share_percent.to_string(),
            payload: flag.payload.clone().unwrap_or_default(),
            lines: lines.collect(),
        };
        form.with_blanks()
    }

    /// The form as it was sent.
    fn again(pairs: &Pairs) -> Self {
        let lines = (1..=CONDITIONS_MAX).filter_map(|number| {
            let text = |name: &str| pairs.text(&format!("{name}{number}"));
            let (what, value) = (text("what"), text("value"));
            (!what.is_empty() || !value.is_empty()).then(|| line(number, what, text("test"), value))
        });
        let form = Self {
            key: pairs.text("key").to_owned(),
            note: pairs.text("note").to_owned(),
            is_active: pairs.is_ticked("active"),
            share: pairs.text("share").to_owned(),
            payload: pairs.text("payload").to_owned(),
            lines: lines.collect(),
        };
        form.with_blanks()
    }
}

/// What a form says of a flag; lines without a property and a value are left out.
fn flag(pairs: &Pairs) -> Result<NewFlag, Refusal> {
    let mut conditions = Vec::new();
    for number in 1..=CONDITIONS_MAX {
        let text = |name: &str| pairs.text(&format!("{name}{number}"));
        let (property, value) = (text("what").to_owned(), text("value").to_owned());
        if property.is_empty() && value.is_empty() {
            continue;
        }
        let op = PropertyOp::find(text("test"));
        let op = op.ok_or_else(|| Refusal::Invalid("conditions: one is none that there is".to_owned()))?;
        conditions.push(FlagCondition { property, op, value: Some(value).filter(|value| !value.is_empty()) });
    }
    let share = pairs.text("share").parse();
    Ok(NewFlag {
        key: pairs.text("key").to_owned(),
        note: pairs.text("note").to_owned(),
        is_active: pairs.is_ticked("active"),
        share_percent: share
            .map_err(|_| Refusal::Invalid("share: must be a number from 0 to 100".to_owned()))?,
        conditions,
        payload: pairs.some("payload"),
    })
}

/// `GET /projects/{project}/feature-flags`: for those who may see analytics.
async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    scene.business()?;
    list_page(&scene, &pairs, Form::empty(), String::new()).await
}

async fn list_page(scene: &Scene, pairs: &Pairs, form: Form, error: String) -> Result<Response, Refusal> {
    let flags = scene.state.feature_flags.list_flags(scene.id()).await?;
    let has_error = !error.is_empty();
    let page = ListPage {
        layout: scene.layout(Section::FeatureFlags, pairs).await?,
        base: scene.base(),
        rows: flags.iter().map(|flag| Row::of(scene, flag)).collect(),
        may_manage: scene.may(Permission::ManageFeatureFlags),
        public_url: scene.state.public_url.clone(),
        error,
        form,
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

/// A project whose flags the visitor may change.
async fn open(state: Arc<DashboardState>, visitor: Visitor, project: &str) -> Result<Scene, Refusal> {
    let scene = Scene::open(state, visitor, project, Permission::ManageFeatureFlags).await?;
    scene.business()?;
    Ok(scene)
}

/// `POST /projects/{project}/feature-flags`
async fn create(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let made = async {
        let flags = &scene.state.feature_flags;
        Ok::<_, Refusal>(flags.create_flag(scene.id(), flag(&form)?, &by(&scene)).await?)
    };
    match made.await {
        Ok(_) => Ok(done(&format!("{}/feature-flags", scene.base()), "saved")),
        Err(refusal) => {
            let error = refusal.into_form_error()?;
            list_page(&scene, &Pairs::default(), Form::again(&form), error).await
        }
    }
}

/// `GET /projects/{project}/feature-flags/{key}`: for those who may see analytics.
async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, key)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    scene.business()?;
    let flag = scene.state.feature_flags.find_flag(scene.id(), &key).await?;
    page(&scene, &flag, &pairs, Form::of(&flag), String::new()).await
}

async fn page(
    scene: &Scene,
    flag: &FeatureFlag,
    pairs: &Pairs,
    form: Form,
    error: String,
) -> Result<Response, Refusal> {
    Ok(respond::page(&FlagPage {
        layout: scene.layout(Section::FeatureFlags, pairs).await?,
        base: scene.base(),
        row: Row::of(scene, flag),
        may_manage: scene.may(Permission::ManageFeatureFlags),
        error,
        form,
    }))
}

/// `POST /projects/{project}/feature-flags/{key}`: all but the key.
async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, key)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let flags = &scene.state.feature_flags;
    let before = flags.find_flag(scene.id(), &key).await?;
    let changed = async {
        let new = flag(&form)?;
        let change = FlagChange {
            note: Some(new.note),
            is_active: Some(new.is_active),
            share_percent: Some(new.share_percent),
            conditions: Some(new.conditions),
            payload: Some(new.payload),
        };
        Ok::<_, Refusal>(flags.change_flag(scene.id(), &key, change, &by(&scene)).await?)
    };
    match changed.await {
        Ok(_) => Ok(done(&Row::of(&scene, &before).href, "saved")),
        Err(refusal) => {
            let error = refusal.into_form_error()?;
            let shown = page(&scene, &before, &Pairs::default(), Form::again(&form), error).await?;
            Ok(with_status_of(true, shown))
        }
    }
}

/// `POST /projects/{project}/feature-flags/{key}/delete`
async fn delete(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, key)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    scene.state.feature_flags.delete_flag(scene.id(), &key, &by(&scene)).await?;
    Ok(done(&format!("{}/feature-flags", scene.base()), "gone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_survives_its_form() {
        let form = "key=new-editor&note=For+teams&active=1&share=25&payload=%7B%7D&what1=plan&test1=is&value1=team\
                    &what2=&test2=is&value2=&what3=seats&test3=greater&value3=5&what4=email&test4=not_set&value4=";
        let flag = flag(&Pairs::of_query(form).unwrap()).unwrap();
        assert_eq!((flag.key.as_str(), flag.share_percent, flag.is_active), ("new-editor", 25, true));
        assert_eq!(flag.payload.as_deref(), Some("{}"));
        let sentences: Vec<_> = flag.conditions.iter().map(sentence).collect();
        assert_eq!(sentences, ["plan is team", "seats is greater than 5", "email is not set"]);
        let wrong = super::flag(&Pairs::of_query("key=a&share=many").unwrap());
        assert!(matches!(wrong, Err(Refusal::Invalid(why)) if why.starts_with("share: ")));
    }
}
