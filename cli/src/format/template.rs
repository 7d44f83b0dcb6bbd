//! `--format`: Go templates with the functions that docker adds.

use anyhow::{Result, anyhow};
use gotmpl::{MissingKey, Template, Value};
use serde_json::Value as Json;

/// Renders one object. `json` prints it as JSON, as `--format json` does.
pub fn render(template: &str, data: &Json) -> Result<String> {
    if template == "json" {
        return Ok(serde_json::to_string(data)?);
    }
    let bad = |e: gotmpl::TemplateError| anyhow!("template parsing error: {e}");
    let whole = data.clone();
    let parsed = Template::new("")
        .missing_key(MissingKey::Error)
        .func("json", move |args: &[Value]| {
            let sorted = args.first().map(to_json).unwrap_or(Json::Null);
            // The template's maps are sorted; what the daemon sent keeps its order.
            let shown = find(&whole, &sorted).unwrap_or(&sorted);
            Ok(Value::String(shown.to_string().into()))
        })
        .func("lower", |args: &[Value]| {
            Ok(Value::String(text(args.first()).to_lowercase().into()))
        })
        .func("upper", |args: &[Value]| {
            Ok(Value::String(text(args.first()).to_uppercase().into()))
        })
        .func("title", |args: &[Value]| {
            Ok(Value::String(super::lower_title(&text(args.first())).into()))
        })
        .func("join", |args: &[Value]| {
            let items: Vec<String> = match args.first() {
                Some(Value::List(items)) => items.iter().map(|i| text(Some(i))).collect(),
                _ => Vec::new(),
            };
            Ok(Value::String(items.join(&text(args.get(1))).into()))
        })
        .func("split", |args: &[Value]| {
            let separator = text(args.get(1));
            let parts = text(args.first());
            Ok(Value::List(
                parts
                    .split(&separator)
                    .map(|p| Value::String(p.into()))
                    .collect::<Vec<_>>()
                    .into(),
            ))
        })
        .func("truncate", |args: &[Value]| {
            let length = match args.get(1) {
                Some(Value::Int(n)) => usize::try_from(*n).unwrap_or(0),
                _ => usize::MAX,
            };
            Ok(Value::String(
                text(args.first()).chars().take(length).collect::<String>().into(),
            ))
        })
        .func("pad", |args: &[Value]| {
            let number = |n: usize| match args.get(n) {
                Some(Value::Int(n)) => usize::try_from(*n).unwrap_or(0).min(1000),
                _ => 0,
            };
            let (before, after) = (" ".repeat(number(1)), " ".repeat(number(2)));
            Ok(Value::String(
                format!("{before}{}{after}", text(args.first())).into(),
            ))
        })
        .parse(template)
        .map_err(bad)?;
    let data = gotmpl::to_value(data).map_err(|e| anyhow!("template data: {e}"))?;
    parsed
        .execute_to_string(&data)
        .map_err(|e| anyhow!("template parsing error: {e}"))
}

/// The part of `data` that is equal to `part`, if it is a map in there.
fn find<'a>(data: &'a Json, part: &Json) -> Option<&'a Json> {
    if !part.is_object() && !part.is_array() {
        return None;
    }
    if data == part {
        return Some(data);
    }
    match data {
        Json::Object(members) => members.values().find_map(|m| find(m, part)),
        Json::Array(items) => items.iter().find_map(|i| find(i, part)),
        _ => None,
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(s)) => s.to_string(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(b) => Json::from(*b),
        Value::Int(n) => Json::from(*n),
        Value::Uint(n) => Json::from(*n),
        Value::Float(n) => Json::from(*n),
        Value::String(s) => Json::from(s.to_string()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(map) => Json::Object(map.iter().map(|(k, v)| (k.to_string(), to_json(v))).collect()),
        _ => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use serde_json::json;

    #[test]
    fn templates_as_docker_users_write_them() {
        let data = json!({"Name": "/web", "Labels": {"a.b": "c"}, "State": {"Pid": 7}, "List": ["x", "y"], "None": null, "Order": {"z": 1, "a": 2}});
        for (template, shown) in [
            ("{{.Name}} {{.State.Pid}}", "/web 7"),
            ("{{index .Labels \"a.b\"}}", "c"),
            ("{{json .List}}", "[\"x\",\"y\"]"),
            ("{{range .List}}{{.}};{{end}}", "x;y;"),
            ("{{join .List \",\"}} {{upper .Name}}", "x,y /WEB"),
            ("{{if .None}}a{{else}}b{{end}}", "b"),
            ("{{println .Name}}", "/web\n"),
            ("{{with .State}}{{.Pid}}{{end}} {{title \"ab\"}}", "7 Ab"),
            ("{{.Name | upper | printf \"%q\"}}", "\"/WEB\""),
            ("{{index (split .Name \"e\") 1}} {{pad \"x\" 1 2}}|", "b  x  |"),
            ("{{truncate .Name 3}} {{len .List}}", "/we 2"),
            ("{{range $k, $v := .Labels}}{{$k}}={{$v}}{{end}}", "a.b=c"),
            ("{{json .Order}}", "{\"z\":1,\"a\":2}"),
        ] {
            assert_eq!(render(template, &data).unwrap(), shown, "{template}");
        }
        assert!(render("{{", &data).is_err() && render("{{.Nope}}", &data).is_err());
    }
}
