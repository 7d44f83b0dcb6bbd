//! Words of clients made wrong, for the parsers that only the engine has: they answer, and never panic.

use crate::containers::{Keys, Record, duration_ns};
use crate::{images, logging, units};
use shoal_api_types::image::ImageConfig;
use shoal_tests_mutate::mutations;

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

#[test]
fn changes_of_a_commit() {
    let seeds = [
        "ENV A=b C=\"d e\"",
        "CMD [\"sh\", \"-c\", \"x\"]",
        "ENTRYPOINT exec top -b",
        "EXPOSE 80/tcp 8000-8010",
        "HEALTHCHECK --interval=5s --timeout=1m --retries=3 CMD curl -f http://x",
        "HEALTHCHECK NONE",
        "LABEL a=b 'c d'=\"e \\\n f\"",
        "USER app:extra",
        "VOLUME [\"/a\", \"/b\"]",
        "WORKDIR rel/ative",
        "ONBUILD RUN x",
        "STOPSIGNAL SIGKILL",
        "SHELL [\"sh\"]",
        "RUN no",
    ];
    mutations(&seeds, 6000, |input| {
        let mut config = ImageConfig::default();
        let _ = images::changes::apply(&mut config, &[text(input), "ENV X=y".into()]);
    });
}

#[test]
fn keys_signals_and_durations() {
    mutations(
        &["ctrl-p,ctrl-q", "a", "ctrl-[,ctrl-\\", "ctrl-@,x,y"],
        4000,
        |input| {
            let words = text(input);
            Keys::given(&words);
            if let Some(mut keys) = Keys::parse(&words) {
                let mut out = Vec::new();
                let whole = keys.feed(input, &mut out);
                assert!(whole || out.len() <= input.len(), "more comes out than was typed");
            }
        },
    );
    mutations(&["SIGKILL", "15", "RTMIN+3", "SIGRTMAX-1", "0"], 3000, |input| {
        assert!(units::signal(&text(input)).is_none_or(|n| (1..=64).contains(&n)));
    });
    mutations(&["1h30m", "500ms", "2.5h", "10us"], 3000, |input| {
        let _ = duration_ns(&text(input));
    });
}

#[test]
fn options_of_logs() {
    let record = Record::default();
    mutations(
        &[
            "{{.Name}}/{{.ID}}",
            "x{{.ImageName | lower}}",
            "{{index .ExtraAttributes nil \"a\"}}",
        ],
        2000,
        |input| {
            let _ = logging::tag(&record, &text(input));
        },
    );
    let pairs = [
        "max-size=10m",
        "max-file=3",
        "mode=non-blocking",
        "max-buffer-size=4k",
        "env-regex=^A",
        "cache-disabled=x",
    ];
    mutations(&pairs, 3000, |input| {
        let words = text(input);
        let Some((key, value)) = words.split_once('=') else {
            return;
        };
        for driver in ["json-file", "local", "syslog", "gelf", "fluentd", "journald"] {
            let options = [(key.to_owned(), value.to_owned())].into_iter().collect();
            let _ = logging::check(driver, &options);
        }
    });
}
