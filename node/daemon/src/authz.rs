//! Authorization plugins (Docker's protocol `authz`): each is asked about each call and each answer, in their order. One
//! that says no, fails or does not answer ends the call: there is no way around a plugin that is configured.

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use shoal_api_backend::{Call, CallAnswer, Error, Gatekeeper, Result};
use shoal_node_drivers_plugins::{Call as PluginCall, Plugins};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate};

const INTERFACE: &str = "authz";
const REQUEST: &str = "AuthZPlugin.AuthZReq";
const ANSWER: &str = "AuthZPlugin.AuthZRes";
/// A plugin that has not decided by then has failed.
const PATIENCE: PluginCall = PluginCall {
    limit: Duration::from_secs(30),
    again: false,
};

/// The chain. Which plugins are in it may change at a reload.
#[derive(Clone)]
pub struct Authorization {
    plugins: Plugins,
    names: Arc<RwLock<Vec<String>>>,
}

/// Docker's `authorization.Request`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Question<'a> {
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(rename = "UserAuthNMethod", skip_serializing_if = "str::is_empty")]
    user_method: &'static str,
    request_method: &'a str,
    request_uri: &'a str,
    /// base64, as Go encodes bytes.
    #[serde(skip_serializing_if = "String::is_empty")]
    request_body: String,
    request_headers: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    request_peer_certificates: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_status_code: Option<u16>,
    #[serde(skip_serializing_if = "String::is_empty")]
    response_body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_headers: Option<&'a BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Verdict {
    allow: bool,
    msg: String,
    err: String,
}

impl Authorization {
    pub fn new(plugins: Plugins, names: Vec<String>) -> Self {
        let new = Self {
            plugins,
            names: Arc::default(),
        };
        new.set(names);
        new
    }

    /// From now on these are asked, each once.
    pub fn set(&self, names: Vec<String>) {
        let mut each: Vec<String> = Vec::with_capacity(names.len());
        for name in names {
            if !each.contains(&name) {
                each.push(name);
            }
        }
        *self.names.write() = each;
    }

    /// Whether every plugin is there: a daemon that could only refuse does not start.
    pub async fn check(&self) -> anyhow::Result<()> {
        let names = self.names.read().clone();
        for name in names {
            if let Err(error) = self.plugins.get(&name, INTERFACE).await {
                anyhow::bail!("error validating authorization plugin: {error}");
            }
        }
        Ok(())
    }

    async fn ask(&self, method: &str, question: &Question<'_>) -> Result<()> {
        let names = self.names.read().clone();
        for name in names {
            let failed = |reason: String| Error::system(format!("plugin {name} failed with error: {reason}"));
            let plugin = self
                .plugins
                .get(&name, INTERFACE)
                .await
                .map_err(|e| failed(e.to_string()))?;
            let verdict: Verdict = plugin
                .call(method, question, PATIENCE)
                .await
                .map_err(|e| failed(e.to_string()))?;
            if !verdict.err.is_empty() {
                return Err(failed(verdict.err));
            }
            if !verdict.allow {
                return Err(Error::forbidden(format!(
                    "authorization denied by plugin {name}: {}",
                    verdict.msg
                )));
            }
        }
        Ok(())
    }
}

fn question(call: &Call) -> Question<'_> {
    let user = call
        .certificates
        .first()
        .map(|der| common_name(der))
        .unwrap_or_default();
    let body = call.body.as_ref().map(|bytes| BASE64_STANDARD.encode(bytes));
    Question {
        user,
        user_method: if call.certificates.is_empty() { "" } else { "TLS" },
        request_method: &call.method,
        request_uri: &call.uri,
        request_body: body.unwrap_or_default(),
        request_headers: &call.headers,
        request_peer_certificates: call.certificates.iter().map(|der| pem(der)).collect(),
        response_status_code: None,
        response_body: String::new(),
        response_headers: None,
    }
}

fn common_name(der: &[u8]) -> String {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return String::new();
    };
    let mut names = certificate.subject().iter_common_name();
    let name = names.next().and_then(|name| name.as_str().ok());
    name.unwrap_or_default().to_owned()
}

/// As Go marshals it: the text of the PEM file.
fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for at in (0..text.len()).step_by(64) {
        out.push_str(&text[at..text.len().min(at + 64)]);
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

#[async_trait]
impl Gatekeeper for Authorization {
    fn is_there(&self) -> bool {
        !self.names.read().is_empty()
    }

    async fn may_call(&self, call: &Call) -> Result<()> {
        self.ask(REQUEST, &question(call)).await
    }

    async fn may_answer(&self, call: &Call, answer: &CallAnswer) -> Result<()> {
        let body = answer.body.as_ref().map(|bytes| BASE64_STANDARD.encode(bytes));
        let question = Question {
            response_status_code: Some(answer.status),
            response_body: body.unwrap_or_default(),
            response_headers: Some(&answer.headers),
            ..question(call)
        };
        self.ask(ANSWER, &question).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_look_as_dockers() {
        let call = Call {
            method: "POST".into(),
            uri: "/v1.44/containers/create?name=x".into(),
            headers: [("Content-Type".to_owned(), "application/json".to_owned())].into(),
            body: Some("{}".into()),
            certificates: Vec::new(),
        };
        let asked = serde_json::to_value(question(&call)).unwrap();
        let expected = serde_json::json!({
            "RequestMethod": "POST", "RequestUri": "/v1.44/containers/create?name=x", "RequestBody": "e30=",
            "RequestHeaders": {"Content-Type": "application/json"}
        });
        assert_eq!(asked, expected);
        assert!(pem(&[0; 100]).lines().nth(1).is_some_and(|line| line.len() == 64));
    }
}
