//! One line in the local log for an event that reaches neither the server nor the queue.

use sentry::protocol::Event;

/// As much of a message as the line has.
const MESSAGE_CHARS_MAX: usize = 500;

/// Writes the line: through `tracing` if anybody listens, else to standard error.
pub(crate) fn last_resort(event: &Event<'_>, why: &str) {
    let id = event.event_id.simple();
    let (level, message) = (event.level, message(event));
    if tracing::event_enabled!(tracing::Level::ERROR) {
        tracing::error!(event_id = %id, %level, message, why, "a report is lost");
    } else {
        eprintln!("error report {id} is lost ({why}): {level}: {message}");
    }
}

fn message(event: &Event<'_>) -> String {
    let exception = event.exception.values.last();
    let text = match (exception, &event.message, &event.logentry) {
        (Some(exception), _, _) => {
            format!("{}: {}", exception.ty, exception.value.as_deref().unwrap_or_default())
        }
        (None, Some(message), _) => message.clone(),
        (None, None, Some(entry)) => entry.message.clone(),
        (None, None, None) => String::new(),
    };
    text.chars().take(MESSAGE_CHARS_MAX).map(|it| if it.is_control() { ' ' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use sentry::protocol::Exception;

    use super::*;

    #[test]
    fn the_line_names_the_outermost_error_on_one_line() {
        let exception = |kind: &str, value: &str| Exception {
            ty: kind.to_owned(),
            value: Some(value.to_owned()),
            ..Exception::default()
        };
        let event = Event {
            exception: vec![exception("Io", "disk is full"), exception("Save", "cannot save\nthe lesson")]
                .into(),
            ..Event::default()
        };
        assert_eq!(message(&event), "Save: cannot save the lesson");
        let event = Event { message: Some("x".repeat(10_000)), ..Event::default() };
        assert_eq!(message(&event).len(), 500);
    }
}
