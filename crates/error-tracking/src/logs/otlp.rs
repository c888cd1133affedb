//! Log records of OpenTelemetry, in the JSON encoding of OTLP/HTTP.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding> and `logs.proto`.

use belvedere_storage::Timestamp;
use serde_json::{Map, Value};

use super::filter::parse_trace;
use super::item::{LogArrival, RECORDS_MAX, Raw, ReadRecord, finish};
use super::model::LogLevel;

/// How deep a value may be nested.
const DEPTH_MAX: usize = 5;

/// The most attributes of a resource or record that are looked at.
const ATTRIBUTES_MAX: usize = 200;

/// Reads a request; how many records beyond the limit were left out.
///
/// # Errors
/// Why it is no request.
pub(super) fn read_request(body: &[u8], arrival: LogArrival<'_>) -> Result<(Vec<ReadRecord>, u64), String> {
    let request: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let resources = list(&request, "resourceLogs").ok_or("resourceLogs is missing")?;
    let mut raws = Vec::new();
    let mut lost = 0;
    for resource in resources {
        let of_resource = attributes_of(resource.get("resource"));
        for scope in list(resource, "scopeLogs").unwrap_or_default() {
            let logger = scope.get("scope").and_then(|scope| scope.get("name")?.as_str());
            for record in list(scope, "logRecords").unwrap_or_default() {
                if raws.len() == RECORDS_MAX {
                    lost += 1;
                    continue;
                }
                raws.push(read_record(record, &of_resource, logger));
            }
        }
    }
    Ok((finish(raws, arrival), lost))
}

fn list<'a>(value: &'a Value, key: &str) -> Option<&'a [Value]> {
    value.get(key)?.as_array().map(Vec::as_slice)
}

fn read_record(record: &Value, of_resource: &Map<String, Value>, logger: Option<&str>) -> Raw {
    let mut attributes = of_resource.clone();
    if let Some(logger) = logger.filter(|logger| !logger.is_empty()) {
        attributes.insert("otel.scope.name".to_owned(), logger.into());
    }
    attributes.extend(attributes_of(Some(record)));
    if let Some(span) = record.get("spanId").and_then(Value::as_str).filter(|span| !span.is_empty()) {
        attributes.insert("span_id".to_owned(), span.into());
    }
    let severity = record.get("severityNumber").and_then(Value::as_u64).and_then(LogLevel::of_severity);
    let word = record.get("severityText").and_then(Value::as_str).and_then(LogLevel::parse);
    let body = record.get("body").map(|body| plain(body, 0)).unwrap_or_default();
    Raw {
        at: nanos(record.get("timeUnixNano")).or_else(|| nanos(record.get("observedTimeUnixNano"))),
        level: severity.or(word).unwrap_or_default(),
        trace: record.get("traceId").and_then(Value::as_str).and_then(parse_trace),
        body: match body {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        },
        attributes,
    }
}

/// Nanoseconds since 1970 as a number or as digits; 0 means unknown.
fn nanos(value: Option<&Value>) -> Option<Timestamp> {
    let nanos = match value? {
        Value::String(digits) => digits.parse::<u64>().ok()?,
        other => other.as_u64()?,
    };
    (nanos > 0).then(|| Timestamp::from_micros(i64::try_from(nanos / 1_000).unwrap_or(i64::MAX)))
}

fn attributes_of(holder: Option<&Value>) -> Map<String, Value> {
    let pairs = holder.and_then(|holder| list(holder, "attributes")).unwrap_or_default();
    let pair = |pair: &Value| Some((pair.get("key")?.as_str()?.to_owned(), plain(pair.get("value")?, 0)));
    pairs.iter().take(ATTRIBUTES_MAX).filter_map(pair).collect()
}

/// An AnyValue as plain JSON.
fn plain(value: &Value, depth: usize) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|any| any.iter().next()) else { return Value::Null };
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    match (kind.as_str(), value) {
        // 64-bit integers are written as digits.
        ("intValue", Value::String(digits)) => digits.parse::<i64>().map_or(Value::Null, Value::from),
        ("arrayValue", array) => {
            let values = list(array, "values").unwrap_or_default();
            values.iter().take(ATTRIBUTES_MAX).map(|value| plain(value, depth + 1)).collect()
        }
        ("kvlistValue", list_of) => {
            let pairs = list(list_of, "values").unwrap_or_default();
            let pair = |pair: &Value| {
                Some((pair.get("key")?.as_str()?.to_owned(), plain(pair.get("value")?, depth + 1)))
            };
            Value::Object(pairs.iter().take(ATTRIBUTES_MAX).filter_map(pair).collect())
        }
        ("stringValue" | "boolValue" | "intValue" | "doubleValue" | "bytesValue", value) => value.clone(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use belvedere_kernel::{ProjectId, Removal, ScrubRules};

    use super::*;

    struct Rules;

    impl ScrubRules for Rules {
        fn scrub(&self, _: ProjectId, _: &mut Value) -> Vec<Removal> {
            Vec::new()
        }
    }

    fn read(body: &str) -> Result<(Vec<ReadRecord>, u64), String> {
        let received_at = "2026-11-23T12:30:00Z".parse().unwrap();
        let arrival = LogArrival { project: ProjectId(1), received_at, sent_at: None, rules: &Rules };
        read_request(body.as_bytes(), arrival)
    }

    #[test]
    fn records_come_with_their_resource_and_scope() {
        let (records, lost) = read(
            r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},
            {"key":"service.version","value":{"stringValue":"7.2.0"}},{"key":"deployment.environment.name","value":{"stringValue":"staging"}}]},
            "scopeLogs":[{"scope":{"name":"shop.orders"},"logRecords":[{"timeUnixNano":"1795436788986522700","severityNumber":17,
            "severityText":"ERROR","body":{"stringValue":"voucher rejected"},"traceId":"80F65FC60F924D95B3291E97E1A13F61","spanId":"00f067aa0ba902b7",
            "attributes":[{"key":"tries","value":{"intValue":"3"}},{"key":"tags","value":{"arrayValue":{"values":[{"boolValue":true}]}}}]},{}]}]}]}"#,
        )
        .unwrap();
        assert_eq!((records.len(), lost), (2, 0));
        let record = &records[0];
        assert_eq!((record.body.as_str(), record.level), ("voucher rejected", LogLevel::Error));
        assert_eq!(record.at.to_string(), "2026-11-23T12:26:28.986522Z");
        assert_eq!(record.release.as_deref(), Some("7.2.0"));
        assert_eq!(record.environment.as_deref(), Some("staging"));
        assert_eq!(record.logger.as_deref(), Some("shop.orders"));
        let attributes = Value::Object(record.attributes.clone()).to_string();
        assert_eq!(
            attributes,
            r#"{"service.name":"shop","span_id":"00f067aa0ba902b7","tags":"[true]","tries":3}"#
        );
        assert_eq!(record.trace.map(|trace| trace[15]), Some(0x61));
        assert_eq!(
            (records[1].level, records[1].at.to_string()),
            (LogLevel::Info, "2026-11-23T12:30:00Z".to_owned())
        );
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert_eq!(read("{}").err(), Some("resourceLogs is missing".to_owned()));
        assert!(read("x").is_err());
    }
}
