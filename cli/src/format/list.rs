//! Lists as docker prints them: a table with a header, `--format` over rows, `-q` for ids alone.

use super::render;
use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value as Json};

/// A column of the default table: its header and the row's field it shows.
pub struct Column(pub &'static str, pub &'static str);

/// Rows are flat objects with the fields that `--format` knows.
pub struct Listing<'a> {
    pub columns: &'a [Column],
    /// What `-q` prints.
    pub id: &'static str,
    pub rows: Vec<Json>,
}

impl Listing<'_> {
    pub fn format_arg() -> Arg {
        Arg::new("format")
            .long("format")
            .value_name("string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template")
    }

    /// `--format`, `-q`, `--no-trunc`, `-f`: what every list takes.
    pub fn args(command: Command) -> Command {
        command
            .arg(Listing::format_arg())
            .arg(
                Arg::new("quiet")
                    .short('q')
                    .long("quiet")
                    .action(ArgAction::SetTrue)
                    .help("Only display IDs"),
            )
            .arg(
                Arg::new("no-trunc")
                    .long("no-trunc")
                    .action(ArgAction::SetTrue)
                    .help("Don't truncate output"),
            )
            .arg(
                Arg::new("filter")
                    .short('f')
                    .long("filter")
                    .action(ArgAction::Append)
                    .value_name("filter")
                    .help("Filter output based on conditions provided"),
            )
    }

    pub fn print(&self, matches: &ArgMatches) -> Result<()> {
        if matches.get_flag("quiet") {
            for row in &self.rows {
                println!("{}", row[self.id].as_str().unwrap_or_default());
            }
            return Ok(());
        }
        self.print_as(
            matches
                .get_one::<String>("format")
                .map_or("table", String::as_str),
        )
    }

    pub fn print_as(&self, format: &str) -> Result<()> {
        match format.strip_prefix("table") {
            Some(template) => self.table(template.trim()),
            None => {
                let format = format.replace("\\t", "\t").replace("\\n", "\n");
                // A row as a whole is JSON that may stand in a page, as Go writes it.
                let whole = matches!(format.as_str(), "json" | "{{json .}}");
                for row in &self.rows {
                    let text = render(&format, &sorted(row))?;
                    println!("{}", if whole { escaped(&text) } else { text });
                }
                Ok(())
            }
        }
    }

    fn table(&self, template: &str) -> Result<()> {
        let chosen = if template.is_empty() {
            self.columns
                .iter()
                .map(|c| format!("{{{{.{}}}}}", c.1))
                .collect::<Vec<_>>()
                .join("\t")
        } else {
            template.replace("\\t", "\t")
        };
        // The header is the template over the headers themselves.
        let header: Map<String, Json> = match self.rows.first() {
            Some(Json::Object(row)) => row
                .keys()
                .map(|k| (k.clone(), Json::from(self.header(k))))
                .collect(),
            _ => self
                .columns
                .iter()
                .map(|c| (c.1.to_owned(), Json::from(c.0)))
                .collect(),
        };
        let mut lines = vec![render(&chosen, &Json::Object(header))?];
        for row in &self.rows {
            lines.push(render(&chosen, row)?);
        }
        print!("{}", align(&lines));
        Ok(())
    }

    fn header(&self, field: &str) -> String {
        self.columns
            .iter()
            .find(|c| c.1 == field)
            .map_or_else(|| spaced_upper(field), |c| c.0.to_owned())
    }
}

/// A row's members by name, as docker prints them.
fn sorted(row: &Json) -> Json {
    let mut members: Vec<_> = row.as_object().into_iter().flatten().collect();
    members.sort_by(|a, b| a.0.cmp(b.0));
    Json::Object(members.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect())
}

fn escaped(json: &str) -> String {
    json.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
}

/// `CreatedAt` → `CREATED AT`.
fn spaced_upper(field: &str) -> String {
    let mut out = String::new();
    let mut before_lower = false;
    for c in field.chars() {
        if c.is_uppercase() && before_lower {
            out.push(' ');
        }
        before_lower = c.is_lowercase();
        out.extend(c.to_uppercase());
    }
    out
}

/// Tab-separated cells, each column as wide as its widest cell plus three spaces and no narrower than ten, as docker
/// aligns them.
fn align(lines: &[String]) -> String {
    align_to(10, lines)
}

/// The same with another least width.
pub fn align_to(least: usize, lines: &[String]) -> String {
    let cells: Vec<Vec<&str>> = lines.iter().map(|l| l.split('\t').collect()).collect();
    let mut widths = Vec::new();
    for row in &cells {
        for (i, cell) in row.iter().enumerate() {
            if widths.len() <= i {
                widths.push(least);
            }
            widths[i] = widths[i].max(cell.chars().count() + 3);
        }
    }
    let mut out = String::new();
    for row in &cells {
        for (i, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if i + 1 < row.len() {
                out.extend(std::iter::repeat_n(' ', widths[i] - cell.chars().count()));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_with_three_spaces() {
        let lines = ["NAME\tX".to_owned(), "long name\ty".to_owned()];
        assert_eq!(align(&lines), "NAME        X\nlong name   y\n");
        assert_eq!(align(&["A\tB".to_owned()]), "A         B\n");
        assert_eq!(escaped("{\"a\":\"<b>&\"}"), "{\"a\":\"\\u003cb\\u003e\\u0026\"}");
        assert_eq!(spaced_upper("CreatedAt"), "CREATED AT");
        assert_eq!(spaced_upper("ID"), "ID");
    }
}
