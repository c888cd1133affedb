//! What the description of the API (OpenAPI) says of the record store.

use utoipa::Modify;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, Required, ResponseBuilder};

/// Adds the paths of the record store, which are those of the specification.
pub(crate) struct RecordStorePaths;

/// The name of the security scheme.
const SCHEME: &str = "xapi_key";

impl Modify for RecordStorePaths {
    fn modify(&self, openapi: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Basic);
        let scheme = scheme.description(Some("a key of a project's record store, and its secret")).build();
        openapi.components.get_or_insert_default().add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
        for it in OPERATIONS {
            openapi.paths.add_path_operation(it.path, vec![it.method.clone()], it.operation());
        }
    }
}

/// A parameter or header of a request: its name, what it is, and in which form.
struct Said(&'static str, &'static str, Form);

#[derive(Clone, Copy)]
enum Form {
    Text,
    Header,
    Boolean,
    Number,
    Instant,
}

/// One method of one resource.
struct Described {
    method: HttpMethod,
    path: &'static str,
    summary: &'static str,
    required: &'static [&'static Said],
    optional: &'static [&'static Said],
    /// Types of the body, if there is one.
    body: &'static [&'static str],
    /// Types of the content, and what it is; or that there is none.
    answer: Answer,
    /// Statuses of refusals, beside those that every call can have.
    refusals: &'static [u16],
}

enum Answer {
    Content(&'static [&'static str], &'static str),
    Nothing(&'static str),
    StatementIds,
}

const VERSION: Said = Said("X-Experience-API-Version", "2.0.0, or 1.0.0 to 1.0.3", Form::Header);
const IF_MATCH: Said = Said("If-Match", "entity tags, one of which the document must have", Form::Header);
const IF_NONE_MATCH: Said = Said(
    "If-None-Match",
    "entity tags that the document must not have; * if there must be none",
    Form::Header,
);
const LANGUAGE: Said = Said("Accept-Language", "which languages format=canonical prefers", Form::Header);
const STATEMENT_ID: Said = Said("statementId", "the UUID of a statement", Form::Text);
const VOIDED_ID: Said = Said("voidedStatementId", "the UUID of a voided statement", Form::Text);
const AGENT: Said = Said("agent", "an agent or identified group, as JSON", Form::Text);
const VERB: Said = Said("verb", "the IRI of a verb", Form::Text);
const ACTIVITY: Said = Said("activity", "the IRI of an activity", Form::Text);
const ACTIVITY_ID: Said = Said("activityId", "the IRI of an activity", Form::Text);
const REGISTRATION: Said = Said("registration", "a UUID", Form::Text);
const RELATED_AGENTS: Said =
    Said("related_agents", "whether the agent may stand anywhere in a statement", Form::Boolean);
const RELATED_ACTIVITIES: Said =
    Said("related_activities", "whether the activity may stand anywhere in a statement", Form::Boolean);
const SINCE: Said = Said("since", "only what was stored after this instant", Form::Instant);
const UNTIL: Said = Said("until", "only what was stored at or before this instant", Form::Instant);
const LIMIT: Said =
    Said("limit", "how many statements; 0 and too many mean the most that are given", Form::Number);
const FORMAT: Said = Said("format", "exact, ids or canonical", Form::Text);
const ATTACHMENTS: Said = Said("attachments", "whether attached files come along", Form::Boolean);
const ASCENDING: Said = Said("ascending", "whether the oldest come first", Form::Boolean);
const MORE: Said = Said("more", "the place where a list goes on, as its `more` has it", Form::Text);
const STATE_ID: Said = Said("stateId", "the id of a state", Form::Text);
const PROFILE_ID: Said = Said("profileId", "the id of a profile", Form::Text);
const METHOD: Said = Said(
    "method",
    "1.0.x alone: the method that is meant; all else stands in a form (alternate request syntax)",
    Form::Text,
);

const JSON: &str = "application/json";
const MIXED: &str = "multipart/mixed";
const FORM: &str = "application/x-www-form-urlencoded";
const ANY: &str = "*/*";
const DONE: Answer = Answer::Nothing("It is stored");
const GONE: Answer = Answer::Nothing("It is gone");

const OPERATIONS: &[Described] = &[
    Described {
        method: HttpMethod::Get,
        path: "/xapi/about",
        summary: "The versions that are spoken",
        required: &[],
        optional: &[&VERSION],
        body: &[],
        answer: Answer::Content(&[JSON], "The versions"),
        refusals: &[],
    },
    Described {
        method: HttpMethod::Get,
        path: "/xapi/statements",
        summary: "One statement, or a list of those that fit",
        required: &[&VERSION],
        optional: &[
            &STATEMENT_ID,
            &VOIDED_ID,
            &AGENT,
            &VERB,
            &ACTIVITY,
            &REGISTRATION,
            &RELATED_AGENTS,
            &RELATED_ACTIVITIES,
            &SINCE,
            &UNTIL,
            &LIMIT,
            &FORMAT,
            &ATTACHMENTS,
            &ASCENDING,
            &MORE,
            &LANGUAGE,
        ],
        body: &[],
        answer: Answer::Content(&[JSON, MIXED], "The statement, or a StatementResult"),
        refusals: &[404],
    },
    Described {
        method: HttpMethod::Put,
        path: "/xapi/statements",
        summary: "Store one statement under its id",
        required: &[&VERSION, &STATEMENT_ID],
        optional: &[],
        body: &[JSON, MIXED],
        answer: DONE,
        refusals: &[409, 413],
    },
    Described {
        method: HttpMethod::Post,
        path: "/xapi/statements",
        summary: "Store a statement, or an array of them",
        required: &[&VERSION],
        optional: &[&METHOD],
        body: &[JSON, MIXED, FORM],
        answer: Answer::StatementIds,
        refusals: &[409, 413],
    },
    Described {
        method: HttpMethod::Get,
        path: "/xapi/activities",
        summary: "An activity with all that is known of it",
        required: &[&VERSION, &ACTIVITY_ID],
        optional: &[],
        body: &[],
        answer: Answer::Content(&[JSON], "The activity"),
        refusals: &[],
    },
    alternate("/xapi/activities"),
    Described {
        method: HttpMethod::Get,
        path: "/xapi/agents",
        summary: "Everything that is known of an agent, as a Person",
        required: &[&VERSION, &AGENT],
        optional: &[],
        body: &[],
        answer: Answer::Content(&[JSON], "The person"),
        refusals: &[],
    },
    alternate("/xapi/agents"),
    read("/xapi/activities/state", &[&VERSION, &ACTIVITY_ID, &AGENT], &[&STATE_ID, &REGISTRATION, &SINCE]),
    put(
        "/xapi/activities/state",
        &[&VERSION, &ACTIVITY_ID, &AGENT, &STATE_ID],
        &[&REGISTRATION, &IF_MATCH, &IF_NONE_MATCH],
    ),
    post(
        "/xapi/activities/state",
        &[&VERSION, &ACTIVITY_ID, &AGENT, &STATE_ID],
        &[&REGISTRATION, &IF_MATCH, &IF_NONE_MATCH, &METHOD],
    ),
    delete(
        "/xapi/activities/state",
        &[&VERSION, &ACTIVITY_ID, &AGENT],
        &[&STATE_ID, &REGISTRATION, &IF_MATCH, &IF_NONE_MATCH],
    ),
    read("/xapi/activities/profile", &[&VERSION, &ACTIVITY_ID], &[&PROFILE_ID, &SINCE]),
    put("/xapi/activities/profile", &[&VERSION, &ACTIVITY_ID, &PROFILE_ID], &[&IF_MATCH, &IF_NONE_MATCH]),
    post(
        "/xapi/activities/profile",
        &[&VERSION, &ACTIVITY_ID, &PROFILE_ID],
        &[&IF_MATCH, &IF_NONE_MATCH, &METHOD],
    ),
    delete("/xapi/activities/profile", &[&VERSION, &ACTIVITY_ID, &PROFILE_ID], &[&IF_MATCH, &IF_NONE_MATCH]),
    read("/xapi/agents/profile", &[&VERSION, &AGENT], &[&PROFILE_ID, &SINCE]),
    put("/xapi/agents/profile", &[&VERSION, &AGENT, &PROFILE_ID], &[&IF_MATCH, &IF_NONE_MATCH]),
    post("/xapi/agents/profile", &[&VERSION, &AGENT, &PROFILE_ID], &[&IF_MATCH, &IF_NONE_MATCH, &METHOD]),
    delete("/xapi/agents/profile", &[&VERSION, &AGENT, &PROFILE_ID], &[&IF_MATCH, &IF_NONE_MATCH]),
];

const fn alternate(path: &'static str) -> Described {
    Described {
        method: HttpMethod::Post,
        path,
        summary: "The same as a form (alternate request syntax of 1.0.x)",
        required: &[&METHOD],
        optional: &[],
        body: &[FORM],
        answer: Answer::Content(&[JSON], "The answer to the request that is meant"),
        refusals: &[405],
    }
}

const fn read(
    path: &'static str,
    required: &'static [&'static Said],
    optional: &'static [&'static Said],
) -> Described {
    Described {
        method: HttpMethod::Get,
        path,
        summary: "A document; without an id, the ids of all of them",
        required,
        optional,
        body: &[],
        answer: Answer::Content(&[ANY], "The document with its ETag and Last-Modified, or an array of ids"),
        refusals: &[404],
    }
}

const fn put(
    path: &'static str,
    required: &'static [&'static Said],
    optional: &'static [&'static Said],
) -> Described {
    Described {
        method: HttpMethod::Put,
        path,
        summary: "Store a document, in place of the one that is there",
        required,
        optional,
        body: &[ANY],
        answer: DONE,
        refusals: &[409, 412, 413],
    }
}

const fn post(
    path: &'static str,
    required: &'static [&'static Said],
    optional: &'static [&'static Said],
) -> Described {
    Described {
        method: HttpMethod::Post,
        path,
        summary: "Add the keys of a JSON document to the one that is there, or store it",
        ..put(path, required, optional)
    }
}

const fn delete(
    path: &'static str,
    required: &'static [&'static Said],
    optional: &'static [&'static Said],
) -> Described {
    Described {
        method: HttpMethod::Delete,
        path,
        summary: "Delete a document; of states, all where none is named",
        body: &[],
        answer: GONE,
        refusals: &[412],
        ..put(path, required, optional)
    }
}

impl Described {
    fn operation(&self) -> OperationBuilder {
        let mut operation = OperationBuilder::new().tag("xapi").summary(Some(self.summary));
        for (said, required) in
            self.required.iter().map(|it| (it, true)).chain(self.optional.iter().map(|it| (it, false)))
        {
            operation = operation.parameter(said.parameter(required));
        }
        if !self.body.is_empty() {
            let mut body = RequestBodyBuilder::new().required(Some(Required::True));
            for kind in self.body {
                body = body.content(*kind, ContentBuilder::new().build());
            }
            operation = operation.request_body(Some(body.build()));
        }
        let content = |description: &str, kinds: &[&str]| {
            let mut response = ResponseBuilder::new().description(description);
            for kind in kinds {
                response = response.content(*kind, ContentBuilder::new().build());
            }
            response.build()
        };
        operation = match self.answer {
            Answer::Content(kinds, description) => operation.response("200", content(description, kinds)),
            Answer::Nothing(description) => operation.response("204", content(description, &[])),
            Answer::StatementIds => operation
                .response("200", content("The ids of the statements, some of which are new", &[JSON]))
                .response("204", content("All of them are there already", &[])),
        };
        let is_open = self.path == "/xapi/about";
        let every: &[u16] = if is_open { &[404] } else { &[400, 401, 403, 429, 503] };
        for status in every.iter().chain(self.refusals) {
            operation = operation.response(status.to_string(), refusal(*status));
        }
        let security =
            if is_open { SecurityRequirement::default() } else { SecurityRequirement::new(SCHEME, [""; 0]) };
        operation.security(security)
    }
}

fn refusal(status: u16) -> utoipa::openapi::Response {
    let description = match status {
        400 => "Something is not as the specification wants it",
        401 => "No working key",
        403 => "The key has no scope for this",
        404 => "There is no such thing, or the store is switched off",
        405 => "The resource does not take the method that is meant",
        409 => "Another one of the same id is there",
        412 => "If-Match or If-None-Match do not hold",
        413 => "More than is taken",
        429 => "The key has reached its limit; Retry-After says when it may come again",
        _ => "Not available at the moment; Retry-After says when to come again",
    };
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", problem).build()
}

impl Said {
    fn parameter(&self, required: bool) -> ParameterBuilder {
        let Self(name, description, form) = *self;
        let (kind, format) = match form {
            Form::Text | Form::Header => (Type::String, None),
            Form::Boolean => (Type::Boolean, None),
            Form::Number => (Type::Integer, None),
            Form::Instant => (Type::String, Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
        };
        let place = if matches!(form, Form::Header) { ParameterIn::Header } else { ParameterIn::Query };
        ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(if required { Required::True } else { Required::False })
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(kind).format(format)))
    }
}
