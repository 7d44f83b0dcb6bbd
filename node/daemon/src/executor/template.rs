//! Go templates in a service's environment, host name and mounts: `{{.Task.Slot}}`, `{{.Node.Hostname}}`, …

use shoal_raft_objects::Task;

/// The names that a template may use, for one task.
pub struct Context(gotmpl::Value);

impl Context {
    pub fn of(task: &Task, hostname: &str) -> Result<Context, String> {
        let data = serde_json::json!({
            "Service": {"ID": task.service_id.as_str(), "Name": task.service.name, "Labels": task.service.labels},
            "Node": {"ID": task.node_id.as_str(), "Hostname": hostname, "Platform": {"OS": "linux", "Architecture": std::env::consts::ARCH}},
            "Task": {"ID": task.id.as_str(), "Name": task.name(), "Slot": if task.slot == 0 { task.node_id.to_string() } else { task.slot.to_string() }},
        });
        gotmpl::to_value(&data).map(Context).map_err(|e| e.to_string())
    }

    /// Expands `text`; one without braces is left as it is.
    pub fn expand(&self, text: &str) -> Result<String, String> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        gotmpl::execute(text, &self.0).map_err(|e| format!("expanding template {text:?}: {e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_fields() {
        let task = Task {
            id: "t".into(),
            node_id: "n".into(),
            slot: 3,
            ..Task::default()
        };
        let context = Context::of(&task, "box").unwrap();
        assert_eq!(
            context.expand("a-{{.Task.Slot}}-{{.Node.Hostname}}").unwrap(),
            "a-3-box"
        );
        assert_eq!(context.expand("plain").unwrap(), "plain");
        assert!(context.expand("{{.Task").is_err());
    }
}
