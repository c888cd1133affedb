//! What a frame says about its source map: where it came from, or why there is none and what to do.

use crate::views::payload::Node;
use crate::wording::shorten;

const TEXT_CHARS_MAX: usize = 300;

/// Where a mapped frame is in the generated code, and which map led from there.
pub(crate) fn generated_place(mapped: &Node<'_>, raw: &Node<'_>) -> Option<String> {
    let map = mapped.get("data")?.text_of("sourcemap")?;
    let file = raw.text_of("abs_path").or_else(|| raw.text_of("filename"))?;
    let number = |key: &str| raw.get(key).and_then(|number| number.as_u64());
    let mut place = shorten(&file, TEXT_CHARS_MAX);
    for number in [number("lineno"), number("colno")].into_iter().flatten() {
        place.push_str(&format!(":{number}"));
    }
    Some(format!("{place}, by {}", shorten(&map, TEXT_CHARS_MAX)))
}

/// Why a frame could not be mapped, in sentences.
pub(crate) fn why_unmapped(frame: &Node<'_>) -> Option<String> {
    let unmapped = frame.get("data")?.get("unmapped")?;
    let text = |key: &str| shorten(&unmapped.text_of(key).unwrap_or_default(), TEXT_CHARS_MAX);
    Some(match unmapped.text_of("why")?.as_str() {
        "no_map" => format!(
            "No source map was uploaded for debug id {}. Upload the maps of this very build; this event is then mapped \
             as well.",
            text("debug_id")
        ),
        "no_file" => format!(
            "Release {} has uploads, but no {} among them. Upload with the --url-prefix under which the scripts are \
             served, or inject debug ids.",
            text("release"),
            text("file")
        ),
        "no_reference" => format!(
            "{} was uploaded without a reference to its map. Build with source maps and upload the maps too.",
            text("file")
        ),
        "no_map_file" => format!(
            "The script refers to the map {}, which was not uploaded for release {}.",
            text("file"),
            text("release")
        ),
        "damaged_map" => {
            let detail = text("detail");
            let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
            format!("The map {} cannot be read{detail}. Build and upload it again.", text("map"))
        }
        "no_such_place" => format!(
            "The map {} knows nothing of this place: it is code of the bundler itself, or the map is of another build.",
            text("map")
        ),
        "no_column" => {
            "The SDK sent no column, without which a place in generated code is not known.".to_owned()
        }
        _ => "The frame could not be mapped.".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::views::payload::Marks;

    fn why(data: &Value) -> Option<String> {
        let frame = json!({ "data": data });
        why_unmapped(&Node::root(&frame, &Marks::default()))
    }

    #[test]
    fn every_reason_is_a_sentence_that_says_what_to_do() {
        for (unmapped, sentence) in [
            (
                json!({"why": "no_map", "debug_id": "9c4c"}),
                "No source map was uploaded for debug id 9c4c. Upload the maps of this very build; this event is then mapped as well.",
            ),
            (
                json!({"why": "no_file", "file": "~/a.js", "release": "r"}),
                "Release r has uploads, but no ~/a.js among them. Upload with the --url-prefix under which the scripts are served, or inject debug ids.",
            ),
            (
                json!({"why": "no_reference", "file": "~/a.js"}),
                "~/a.js was uploaded without a reference to its map. Build with source maps and upload the maps too.",
            ),
            (
                json!({"why": "no_map_file", "file": "~/a.map", "release": "r"}),
                "The script refers to the map ~/a.map, which was not uploaded for release r.",
            ),
            (
                json!({"why": "damaged_map", "map": "~/a.map", "detail": "damaged mappings at byte 5"}),
                "The map ~/a.map cannot be read (damaged mappings at byte 5). Build and upload it again.",
            ),
            (
                json!({"why": "no_such_place", "map": "~/a.map"}),
                "The map ~/a.map knows nothing of this place: it is code of the bundler itself, or the map is of another build.",
            ),
            (
                json!({"why": "no_column"}),
                "The SDK sent no column, without which a place in generated code is not known.",
            ),
            (json!({"why": "of the future"}), "The frame could not be mapped."),
        ] {
            assert_eq!(why(&json!({"unmapped": unmapped})).as_deref(), Some(sentence));
        }
        assert_eq!(why(&json!({"sourcemap": "~/a.map"})), None);
        assert_eq!(why(&json!("text")), None);
    }

    #[test]
    fn a_mapped_frame_names_its_place_in_the_generated_code() {
        let mapped = json!({"data": {"sourcemap": "~/app.js.map"}});
        let raw = json!({"filename": "/srv/app.js", "lineno": 3, "colno": 524});
        let marks = Marks::default();
        let place = generated_place(&Node::root(&mapped, &marks), &Node::root(&raw, &marks));
        assert_eq!(place.as_deref(), Some("/srv/app.js:3:524, by ~/app.js.map"));
        assert_eq!(generated_place(&Node::root(&raw, &marks), &Node::root(&raw, &marks)), None);
    }
}
