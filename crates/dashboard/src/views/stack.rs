//! Stack traces: exceptions and threads, newest call first, frames outside the app folded away.

use crate::views::mapping;
use crate::views::payload::{Field, Node};
use crate::wording::{counted, shorten};

const TRACES_MAX: usize = 20;
const FRAMES_MAX: usize = 250;
const CONTEXT_LINES_MAX: usize = 20;
const LINE_CHARS_MAX: usize = 400;

/// An exception or a thread with its frames.
#[derive(Debug, PartialEq, Default)]
pub(crate) struct Trace {
    /// How it relates to the one above: `Caused by`, `While handling`, `In group`; empty for the first.
    pub(crate) relation: &'static str,
    /// `TypeError`, or `Thread main`.
    pub(crate) heading: String,
    pub(crate) value: String,
    /// What the SDK says about how it was caught.
    pub(crate) marks: Vec<TraceMark>,
    pub(crate) groups: Vec<FrameGroup>,
    /// `most recent call first, 5 of 14 frames in app`.
    pub(crate) summary: String,
}

/// A short word about a trace, and whether it is bad news.
#[derive(Debug, PartialEq)]
pub(crate) struct TraceMark {
    pub(crate) text: String,
    pub(crate) is_bad: bool,
}

/// Frames as they are shown: one by itself, or a run outside the app folded into one line.
#[derive(Debug, PartialEq)]
pub(crate) enum FrameGroup {
    One(Frame),
    Folded { label: String, frames: Vec<Frame> },
}

/// One call.
#[derive(Debug, PartialEq, Default)]
pub(crate) struct Frame {
    pub(crate) function: String,
    /// `src/lesson/runner.ts:121:31`.
    pub(crate) location: String,
    /// The whole path, where it says more than the location.
    pub(crate) path: Option<String>,
    pub(crate) is_in_app: bool,
    pub(crate) is_open: bool,
    pub(crate) lines: Vec<SourceLine>,
    pub(crate) variables: Vec<Field>,
    /// Why the frame shows generated code, and what to do about it.
    pub(crate) unmapped: Option<String>,
    /// Where in the generated code it is: `/assets/main.js:1:5120, by ~/assets/main.js.map`.
    pub(crate) generated: Option<String>,
    package: Option<String>,
}

/// A line of source around the call.
#[derive(Debug, PartialEq)]
pub(crate) struct SourceLine {
    pub(crate) number: Option<u64>,
    pub(crate) text: String,
    pub(crate) is_hit: bool,
}

impl Frame {
    pub(crate) fn has_body(&self) -> bool {
        !self.lines.is_empty()
            || !self.variables.is_empty()
            || self.unmapped.is_some()
            || self.generated.is_some()
    }
}

/// The event's exceptions, the outermost first; without any, its threads or its bare stack trace.
pub(crate) fn traces(event: &Node<'_>) -> Vec<Trace> {
    let mut traces = exceptions(event);
    if traces.iter().all(|trace| trace.groups.is_empty()) {
        traces.extend(threads(event));
    }
    if traces.iter().all(|trace| trace.groups.is_empty())
        && let Some(stack) = event.get("stacktrace")
    {
        let mut trace = Trace { ..Trace::default() };
        fill_frames(&mut trace, &stack, event.get("raw_stacktrace").as_ref());
        traces.push(trace);
    }
    traces.truncate(TRACES_MAX);
    traces
}

fn exceptions(event: &Node<'_>) -> Vec<Trace> {
    let values = event.get("exception").map(|exception| exception.list()).unwrap_or_default();
    let groups: Vec<u64> = values.iter().filter_map(group_id).collect();
    let newest_first = values.iter().rev().enumerate().take(TRACES_MAX);
    newest_first
        .map(|(index, value)| {
            let parent = value.get("mechanism").and_then(|m| m.get("parent_id")).and_then(|id| id.as_u64());
            let source = value.get("mechanism").and_then(|mechanism| mechanism.text_of("source"));
            let relation = match (index, source.as_deref()) {
                (0, _) => "",
                (_, Some("__context__")) => "While handling",
                (_, Some("__cause__" | "cause")) => "Caused by",
                _ if parent.is_some_and(|parent| groups.contains(&parent)) => "In group",
                _ => "Caused by",
            };
            let mut trace = Trace {
                relation,
                heading: exception_name(value),
                value: value.text_of("value").unwrap_or_default(),
                marks: mechanism_marks(value),
                ..Trace::default()
            };
            if let Some(stack) = value.get("stacktrace") {
                fill_frames(&mut trace, &stack, value.get("raw_stacktrace").as_ref());
            }
            trace
        })
        .collect()
}

/// The id of an exception that stands for several.
fn group_id(exception: &Node<'_>) -> Option<u64> {
    let mechanism = exception.get("mechanism")?;
    let is_group = mechanism.get("is_exception_group").and_then(|flag| flag.as_bool()).unwrap_or(false);
    if is_group { mechanism.get("exception_id").and_then(|id| id.as_u64()) } else { None }
}

fn exception_name(value: &Node<'_>) -> String {
    let is_synthetic = value
        .get("mechanism")
        .and_then(|m| m.get("synthetic"))
        .and_then(|flag| flag.as_bool())
        .unwrap_or(false);
    match (value.text_of("type"), value.text_of("module")) {
        (None, _) => if is_synthetic { "Message" } else { "Exception" }.to_owned(),
        (Some(name), Some(module)) if !name.contains('.') && module != "builtins" => {
            format!("{module}.{name}")
        }
        (Some(name), _) => name,
    }
}

fn mechanism_marks(value: &Node<'_>) -> Vec<TraceMark> {
    let Some(mechanism) = value.get("mechanism") else { return Vec::new() };
    let kind = mechanism.text_of("type").unwrap_or_default();
    if kind == "chained" {
        // SDKs say of every member of a chain what holds for its head.
        return Vec::new();
    }
    let mut marks = Vec::new();
    match mechanism.get("handled").and_then(|flag| flag.as_bool()) {
        Some(true) => marks.push(TraceMark { text: "handled".to_owned(), is_bad: false }),
        Some(false) => marks.push(TraceMark { text: "not handled".to_owned(), is_bad: true }),
        None => {}
    }
    if !matches!(kind.as_str(), "" | "generic") {
        marks.push(TraceMark { text: format!("caught by {}", shorten(&kind, 60)), is_bad: false });
    }
    marks
}

fn threads(event: &Node<'_>) -> Vec<Trace> {
    let threads = event.get("threads").map(|threads| threads.list()).unwrap_or_default();
    let is = |thread: &Node<'_>, key: &str| thread.get(key).and_then(|flag| flag.as_bool()).unwrap_or(false);
    let mut traces: Vec<(bool, Trace)> = threads
        .iter()
        .filter_map(|thread| {
            let stack = thread.get("stacktrace")?;
            let name = thread.text_of("name").or_else(|| thread.text_of("id")).unwrap_or_default();
            let is_first = is(thread, "crashed") || is(thread, "current");
            let mut trace =
                Trace { heading: format!("Thread {name}").trim_end().to_owned(), ..Trace::default() };
            if is(thread, "crashed") {
                trace.marks.push(TraceMark { text: "crashed".to_owned(), is_bad: true });
            }
            fill_frames(&mut trace, &stack, thread.get("raw_stacktrace").as_ref());
            Some((is_first, trace))
        })
        .collect();
    if let [(_, only)] = traces.as_mut_slice()
        && only.marks.is_empty()
    {
        // Nothing to tell it from.
        only.heading.clear();
    }
    traces.sort_by_key(|(is_first, _)| !is_first);
    traces.into_iter().map(|(_, trace)| trace).collect()
}

/// `raw` is the stack trace as it came, before its frames were mapped.
fn fill_frames(trace: &mut Trace, stack: &Node<'_>, raw: Option<&Node<'_>>) {
    let list = stack.get("frames").map(|frames| frames.list()).unwrap_or_default();
    let raw = raw.and_then(|raw| raw.get("frames")).map(|frames| frames.list()).unwrap_or_default();
    let total = list.len();
    let mut frames: Vec<Frame> = list.iter().rev().take(FRAMES_MAX).map(read_frame).collect();
    if raw.len() == total {
        for ((frame, mapped), raw) in frames.iter_mut().zip(list.iter().rev()).zip(raw.iter().rev()) {
            frame.generated = mapping::generated_place(mapped, raw);
        }
    }
    let in_app = frames.iter().filter(|frame| frame.is_in_app).count();
    if in_app == 0
        && let Some(newest) = frames.first_mut()
    {
        // Nothing is the app's own: the place where it broke is the best that there is.
        newest.is_open = true;
    }
    trace.summary = match total {
        0 => String::new(),
        1 => "one frame".to_owned(),
        _ if total > FRAMES_MAX => format!(
            "most recent call first, the newest {FRAMES_MAX} of {}",
            counted(total, "frame", "frames")
        ),
        _ => format!("most recent call first, {in_app} of {} in app", counted(total, "frame", "frames")),
    };
    trace.groups = fold(frames);
}

/// Runs of two or more closed frames outside the app become one line each.
pub(crate) fn fold(frames: Vec<Frame>) -> Vec<FrameGroup> {
    let mut groups = Vec::new();
    let mut run: Vec<Frame> = Vec::new();
    for frame in frames {
        if frame.is_in_app || frame.is_open {
            close_run(&mut run, &mut groups);
            groups.push(FrameGroup::One(frame));
        } else {
            run.push(frame);
        }
    }
    close_run(&mut run, &mut groups);
    groups
}

fn close_run(run: &mut Vec<Frame>, groups: &mut Vec<FrameGroup>) {
    match run.len() {
        0 => {}
        1 => groups.extend(run.drain(..).map(FrameGroup::One)),
        count => {
            let mut packages: Vec<&str> = run.iter().filter_map(|frame| frame.package.as_deref()).collect();
            packages.dedup();
            let places = match packages.as_slice() {
                [] => "outside the app".to_owned(),
                [one] => format!("in {one}"),
                [first, second] => format!("in {first} and {second}"),
                [first, second, rest @ ..] => format!("in {first}, {second} and {} more", rest.len()),
            };
            let label = format!("{} {places}", counted(count, "frame", "frames"));
            groups.push(FrameGroup::Folded { label, frames: std::mem::take(run) });
        }
    }
}

fn read_frame(frame: &Node<'_>) -> Frame {
    let module = frame.text_of("module");
    let filename = frame.text_of("filename");
    let absolute = frame.text_of("abs_path");
    let line = frame.get("lineno").and_then(|line| line.as_u64());
    let file = filename
        .clone()
        .or_else(|| module.clone())
        .or_else(|| absolute.clone())
        .or_else(|| frame.text_of("package"));
    let mut location = file.as_deref().map(without_origin).unwrap_or_default();
    if let Some(line) = line.filter(|_| !location.is_empty()) {
        location.push_str(&format!(":{line}"));
        if let Some(column) = frame.get("colno").and_then(|column| column.as_u64()) {
            location.push_str(&format!(":{column}"));
        }
    }
    if location.is_empty() {
        location = frame.text_of("instruction_addr").unwrap_or_default();
    }
    let is_in_app = frame.get("in_app").and_then(|flag| flag.as_bool()).unwrap_or(false);
    let lines = source_lines(frame, line);
    Frame {
        function: function_name(frame),
        path: absolute.filter(|path| Some(path) != filename.as_ref() && !path.is_empty()),
        package: package_of(frame.text_of("package").as_deref(), module.as_deref(), filename.as_deref()),
        is_open: is_in_app && !lines.is_empty(),
        variables: frame.get("vars").map(|variables| variables.fields()).unwrap_or_default(),
        unmapped: mapping::why_unmapped(frame),
        generated: None,
        location,
        is_in_app,
        lines,
    }
}

/// JavaScript's SDK writes `?` for a function without a name.
fn function_name(frame: &Node<'_>) -> String {
    let name = frame.text_of("function").filter(|name| name != "?");
    name.map_or_else(|| "(anonymous)".to_owned(), |name| shorten(&name, 300))
}

fn source_lines(frame: &Node<'_>, line: Option<u64>) -> Vec<SourceLine> {
    let context = |key: &str| frame.get(key).map(|lines| lines.lines(LINE_CHARS_MAX)).unwrap_or_default();
    let Some(hit) = frame.get("context_line").and_then(|line| line.text()) else { return Vec::new() };
    let before = context("pre_context");
    let before = &before[before.len().saturating_sub(CONTEXT_LINES_MAX)..];
    let number = |offset: i64| line.and_then(|line| line.checked_add_signed(offset));
    let mut lines: Vec<SourceLine> = before
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let offset = index as i64 - before.len() as i64;
            SourceLine { number: number(offset), text: text.clone(), is_hit: false }
        })
        .collect();
    lines.push(SourceLine { number: line, text: shorten(&hit, LINE_CHARS_MAX), is_hit: true });
    let after = context("post_context").into_iter().take(CONTEXT_LINES_MAX).enumerate();
    lines.extend(after.map(|(index, text)| SourceLine {
        number: number(index as i64 + 1),
        text,
        is_hit: false,
    }));
    lines
}

/// The path of an address without scheme and host, which are the same for every frame; other paths as they are.
fn without_origin(file: &str) -> String {
    let path = ["https://", "http://"]
        .iter()
        .find_map(|scheme| file.strip_prefix(scheme))
        .and_then(|rest| rest.split_once('/'));
    shorten(path.map_or(file, |(_, path)| if path.is_empty() { file } else { path }), 300)
}

/// The library that a frame outside the app belongs to, for the folded line.
fn package_of(package: Option<&str>, module: Option<&str>, filename: Option<&str>) -> Option<String> {
    let file = filename.unwrap_or_default();
    for mark in ["node_modules/", "site-packages/", "dist-packages/"] {
        if let Some((_, rest)) = file.rsplit_once(mark) {
            let mut steps = rest.split('/');
            let first = steps.next()?;
            let name =
                if first.starts_with('@') { format!("{first}/{}", steps.next()?) } else { first.to_owned() };
            return Some(shorten(name.trim_end_matches(".py"), 60));
        }
    }
    if let Some(module) = module {
        let name = module.split(['.', ':', '/']).find(|part| !part.is_empty())?;
        return Some(shorten(name, 60));
    }
    let library = package?.rsplit(['/', '\\']).next()?;
    Some(shorten(library, 60)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::views::payload::Marks;

    fn read(event: &Value) -> Vec<Trace> {
        traces(&Node::root(event, &Marks::default()))
    }

    fn outline(trace: &Trace) -> Vec<String> {
        let show = |frame: &Frame| {
            format!("{}{} @ {}", if frame.is_open { "+" } else { "" }, frame.function, frame.location)
        };
        trace
            .groups
            .iter()
            .map(|group| match group {
                FrameGroup::One(frame) => show(frame),
                FrameGroup::Folded { label, .. } => format!("[{label}]"),
            })
            .collect()
    }

    #[test]
    fn newest_call_comes_first_and_library_frames_are_folded() {
        let event = json!({"exception": {"values": [{"type": "TypeError", "value": "x is undefined", "stacktrace": {"frames": [
            {"function": "main", "filename": "app/main.py", "lineno": 3, "in_app": true, "context_line": "run()"},
            {"function": "a", "module": "django.core", "filename": "django/core.py", "lineno": 1, "in_app": false},
            {"function": "b", "module": "django.views", "filename": "django/views.py", "lineno": 2, "in_app": false},
            {"function": "c", "filename": "/x/site-packages/celery/app.py", "lineno": 4},
            {"function": "view", "filename": "app/views.py", "lineno": 20, "colno": 5, "in_app": true,
             "pre_context": ["def view():"], "context_line": "    fail()", "post_context": ["    done()"]},
            {"function": "fail", "filename": "lib.py", "lineno": 9, "in_app": false, "context_line": "raise"},
        ]}}]}});
        let traces = read(&event);
        assert_eq!(traces.len(), 1);
        assert_eq!(
            outline(&traces[0]),
            [
                "fail @ lib.py:9",
                "+view @ app/views.py:20:5",
                "[3 frames in celery and django]",
                "+main @ app/main.py:3",
            ]
        );
        assert_eq!(traces[0].summary, "most recent call first, 2 of 6 frames in app");
        let FrameGroup::One(view) = &traces[0].groups[1] else { panic!("the frame is shown by itself") };
        let numbers: Vec<_> = view.lines.iter().map(|line| (line.number, line.is_hit)).collect();
        assert_eq!(numbers, [(Some(19), false), (Some(20), true), (Some(21), false)]);
    }

    #[test]
    fn without_frames_of_the_app_the_newest_one_is_open() {
        let event = json!({"exception": [{"type": "E", "stacktrace": {"frames": [
            {"function": "outer", "in_app": false}, {"function": "mid"}, {"function": "inner", "context_line": "x"}]}}]});
        assert_eq!(outline(&read(&event)[0]), ["+inner @ ", "[2 frames outside the app]"]);
    }

    #[test]
    fn chained_exceptions_say_how_they_belong_together() {
        let event = json!({"exception": {"values": [
            {"type": "KeyError", "value": "'a'", "module": "builtins"},
            {"type": "LoadError", "module": "shop.load", "value": "cannot load", "mechanism": {"type": "chained", "handled": true}},
            {"type": "Failed", "mechanism": {"type": "excepthook", "handled": false}},
        ]}});
        let read = read(&event);
        let names: Vec<_> = read.iter().map(|trace| (trace.relation, trace.heading.as_str())).collect();
        assert_eq!(names, [("", "Failed"), ("Caused by", "shop.load.LoadError"), ("Caused by", "KeyError")]);
        let marks: Vec<_> =
            read.iter().flat_map(|trace| &trace.marks).map(|mark| mark.text.as_str()).collect();
        assert_eq!(marks, ["not handled", "caught by excepthook"]);
    }

    #[test]
    fn members_of_an_exception_group_are_not_called_causes() {
        let event = json!({"exception": {"values": [
            {"type": "D", "mechanism": {"exception_id": 4, "parent_id": 0, "source": "__context__"}},
            {"type": "C", "mechanism": {"exception_id": 3, "parent_id": 0, "source": "__cause__"}},
            {"type": "B", "mechanism": {"exception_id": 2, "parent_id": 0, "source": "exceptions[1]"}},
            {"type": "A", "mechanism": {"exception_id": 1, "parent_id": 0}},
            {"type": "ExceptionGroup", "mechanism": {"exception_id": 0, "is_exception_group": true}},
        ]}});
        let relations: Vec<_> = read(&event).iter().map(|trace| trace.relation).collect();
        assert_eq!(relations, ["", "In group", "In group", "Caused by", "While handling"]);
    }

    #[test]
    fn threads_stand_in_where_no_exception_has_frames_and_the_crashed_one_leads() {
        let event = json!({"threads": {"values": [
            {"id": 1, "name": "worker", "stacktrace": {"frames": [{"function": "wait"}]}},
            {"id": 2, "stacktrace": {"frames": [{"function": "boom"}]}, "crashed": true},
            {"id": 3},
        ]}});
        let headings: Vec<_> = read(&event).into_iter().map(|trace| trace.heading).collect();
        assert_eq!(headings, ["Thread 2", "Thread worker"]);
    }

    #[test]
    fn addresses_lose_their_origin_and_packages_are_named() {
        assert_eq!(without_origin("https://app.example/static/main.js"), "static/main.js");
        assert_eq!(without_origin("https://app.example/"), "https://app.example/");
        assert_eq!(without_origin("src/main.rs"), "src/main.rs");
        let package = |package, module, file| package_of(package, module, file).unwrap_or_default();
        assert_eq!(package(None, None, Some("/a/node_modules/@scope/kit/index.js")), "@scope/kit");
        assert_eq!(package(None, Some("tokio::runtime::task"), Some("/x/task.rs")), "tokio");
        assert_eq!(package(Some("/usr/lib/libc.so.6"), None, None), "libc.so.6");
    }

    #[test]
    fn shapes_that_no_sdk_sends_are_passed_over() {
        for event in [
            json!(null),
            json!({"exception": 7}),
            json!({"exception": {"values": [null, 3, []]}}),
            json!({"threads": [1]}),
            json!({"stacktrace": {"frames": "no"}}),
            json!({"exception": [{"stacktrace": {"frames": [null, 1, {"lineno": -1, "pre_context": 3}]}}]}),
        ] {
            for trace in read(&event) {
                assert!(trace.heading.len() < 100);
            }
        }
    }
}
