//! The `tag` option: a Go template over what Docker tells log drivers of a container.

use crate::containers::Record;
use gotmpl::{MissingKey, Template, Value};
use serde_json::json;

const NAME: &str = "log-tag";

/// The tag that `text` makes; an empty text makes none.
pub fn tag(record: &Record, text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    let bad = |e: gotmpl::TemplateError| {
        let text = e.to_string();
        match text.strip_prefix("map has no entry for key: ") {
            Some(key) => format!(
                "template: {NAME}:1:2: executing {NAME:?} at <.{key}>: can't evaluate field {key} in type *logger.Info"
            ),
            None if text.starts_with("template: ") => text,
            None => format!("template: {NAME}:1: {text}"),
        }
    };
    let template = Template::new(NAME)
        .missing_key(MissingKey::Error)
        .func("lower", |args: &[Value]| text_of(args, str::to_lowercase))
        .func("upper", |args: &[Value]| text_of(args, str::to_uppercase))
        .parse(text)
        .map_err(bad)?;
    let data = gotmpl::to_value(&words(record)).map_err(|e| e.to_string())?;
    template.execute_to_string(&data).map_err(bad)
}

fn text_of(args: &[Value], change: impl Fn(&str) -> String) -> gotmpl::Result<Value> {
    let text = args.first().map(ToString::to_string).unwrap_or_default();
    Ok(Value::String(change(&text).into()))
}

/// Docker's methods and fields of the same names.
fn words(record: &Record) -> serde_json::Value {
    let short = |id: &str| {
        id.trim_start_matches("sha256:")
            .chars()
            .take(12)
            .collect::<String>()
    };
    let command = std::iter::once(&record.path)
        .chain(&record.args)
        .cloned()
        .collect::<Vec<_>>();
    json!({
        "ID": short(&record.id),
        "FullID": record.id,
        "Name": record.name,
        "ImageID": short(&record.image_id),
        "ImageFullID": record.image_id,
        "ImageName": record.config.image,
        "DaemonName": "docker",
        "Hostname": record.config.hostname,
        "Command": command.join(" "),
        "ContainerID": record.id,
        "ContainerName": format!("/{}", record.name),
        "ContainerImageID": record.image_id,
        "ContainerImageName": record.config.image,
        "ContainerEntrypoint": record.path,
        "ContainerArgs": record.args,
        "ContainerEnv": record.config.env.0,
        "ContainerLabels": record.config.labels.clone().into_map(),
        "Config": record.host.log_config.config.clone().into_map(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_words() {
        let mut record = Record {
            id: "0123456789abcdef0123".into(),
            name: "web".into(),
            image_id: "sha256:fedcba9876543210".into(),
            ..Record::default()
        };
        record.config.image = "img:1".into();
        for (text, want) in [
            ("", ""),
            ("plain", "plain"),
            ("{{.ID}}", "0123456789ab"),
            ("{{.Name}}/{{.FullID}}", "web/0123456789abcdef0123"),
            (
                "{{.ImageName}} {{.ImageID}} {{.ImageFullID}}",
                "img:1 fedcba987654 sha256:fedcba9876543210",
            ),
            ("{{.DaemonName}}{{upper .Name}}", "dockerWEB"),
        ] {
            assert_eq!(tag(&record, text), Ok(want.to_string()), "{text}");
        }
        let unknown = tag(&record, "{{.Nope}}").unwrap_err();
        assert!(
            unknown.contains("can't evaluate field Nope in type *logger.Info"),
            "{unknown}"
        );
        assert!(tag(&record, "{{").unwrap_err().contains("template: log-tag"));
    }
}
