//! Errors of both kinds that Rust has, as events.

use std::error::Error;

use sentry::protocol::{Event, Stacktrace};

/// Errors of a chain beyond which the innermost are left out.
const CHAIN_MAX: usize = 50;
/// What functions of a stack that only captured it begin with.
const OWN_FUNCTIONS: [&str; 4] =
    ["belvedere_error_client::", "sentry", "<belvedere_error_client::", "std::backtrace"];

/// Marks errors that implement [`std::error::Error`].
#[derive(Debug)]
pub enum StandardError {}

/// Marks errors that only give access to one, such as `anyhow::Error` and boxed errors.
#[derive(Debug)]
pub enum ErrorLike {}

/// What can be captured as an error: every [`std::error::Error`], `dyn Error`, `anyhow::Error` and boxed errors. `Kind`
/// is always inferred.
pub trait Reportable<Kind> {
    /// The event of the error: its chain of sources, innermost first.
    fn event(&self) -> Event<'static>;
}

impl<E: Error + ?Sized> Reportable<StandardError> for E {
    fn event(&self) -> Event<'static> {
        let mut event = sentry::event_from_error(self);
        let surplus = event.exception.values.len().saturating_sub(CHAIN_MAX);
        event.exception.values.drain(..surplus);
        event
    }
}

impl<E: AsRef<dyn Error + Send + Sync + 'static> + ?Sized> Reportable<ErrorLike> for E {
    fn event(&self) -> Event<'static> {
        Reportable::<StandardError>::event(self.as_ref())
    }
}

/// Gives the outermost error the stack of its capture.
pub(crate) fn attach_stack(event: &mut Event<'static>) {
    if event.exception.values.iter().any(|exception| exception.stacktrace.is_some()) {
        return;
    }
    if let Some(outermost) = event.exception.values.last_mut() {
        outermost.stacktrace = sentry::integrations::backtrace::current_stacktrace().map(without_own_frames);
    }
}

/// Leaves out the newest frames, which are the capture itself.
fn without_own_frames(mut stack: Stacktrace) -> Stacktrace {
    let is_own = |function: &str| OWN_FUNCTIONS.iter().any(|own| function.starts_with(own));
    while stack.frames.len() > 1
        && stack.frames.last().and_then(|frame| frame.function.as_deref()).is_some_and(is_own)
    {
        stack.frames.pop();
    }
    stack
}

#[cfg(test)]
mod tests {
    use sentry::protocol::Frame;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the lesson")]
    struct Open(#[source] std::num::ParseIntError);

    fn chain(event: &Event<'_>) -> Vec<(String, String)> {
        let exceptions = event.exception.values.iter();
        exceptions.map(|it| (it.ty.clone(), it.value.clone().unwrap_or_default())).collect()
    }

    fn pair(kind: &str, value: &str) -> (String, String) {
        (kind.to_owned(), value.to_owned())
    }

    /// As the callers do: the kind is inferred.
    fn event_of<K>(error: &(impl Reportable<K> + ?Sized)) -> Event<'static> {
        error.event()
    }

    #[test]
    fn the_whole_chain_is_in_the_event_innermost_first() {
        let error = Open("x".parse::<u8>().unwrap_err());
        let expected =
            [pair("ParseIntError", "invalid digit found in string"), pair("Open", "cannot open the lesson")];
        assert_eq!(chain(&event_of(&error)), expected);
        let dynamic: &dyn Error = &error;
        assert_eq!(chain(&event_of(dynamic)), expected);
    }

    #[test]
    fn errors_of_anyhow_and_boxed_ones_are_reported_alike() {
        let error = anyhow::Error::from(Open("x".parse::<u8>().unwrap_err())).context("while starting");
        let values: Vec<_> = chain(&event_of(&error)).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, ["invalid digit found in string", "cannot open the lesson", "while starting"]);
        let boxed: Box<dyn Error + Send + Sync> = "nothing is well".into();
        assert_eq!(chain(&event_of(&boxed)), [pair("Error", "nothing is well")]);
    }

    #[test]
    fn a_chain_without_end_is_cut_at_its_inner_end() {
        #[derive(Debug)]
        struct Link(u32, Option<Box<Link>>);
        impl std::fmt::Display for Link {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
        impl Error for Link {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                self.1.as_deref().map(|it| it as _)
            }
        }
        let error = (0..500).fold(Link(0, None), |inner, number| Link(number, Some(Box::new(inner))));
        let values = chain(&event_of(&error));
        assert_eq!(values.len(), CHAIN_MAX);
        assert_eq!(values[CHAIN_MAX - 1].1, "499");
    }

    #[test]
    fn frames_of_the_capture_itself_are_left_out() {
        let frames =
            ["main", "lessons::open", "belvedere_error_client::client::capture_error", "sentry_backtrace::x"];
        let frame = |name: &str| Frame { function: Some(name.to_owned()), ..Frame::default() };
        let stack = Stacktrace { frames: frames.map(frame).into(), ..Stacktrace::default() };
        let left: Vec<_> =
            without_own_frames(stack).frames.into_iter().filter_map(|it| it.function).collect();
        assert_eq!(left, ["main", "lessons::open"]);
    }
}
