//! Chat templates: Jinja as Hugging Face's `apply_chat_template` sets it up.

use minijinja::{context, Environment, Error, ErrorKind, Value};

use crate::{Failure, Outcome};

/// Steps that a template may take: those of a long conversation are some ten thousand.
const FUEL: u64 = 50_000_000;

pub struct Request<'a> {
    pub template: &'a str,
    /// JSON: an array of objects with `role` and `content`.
    pub messages: &'a str,
    pub begin: &'a str,
    pub end: &'a str,
    pub add_generation_prompt: bool,
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// As Python's `json.dumps(..., ensure_ascii=False)`: a space after commas and colons, nothing escaped for HTML.
fn to_json(value: Value) -> Result<Value, Error> {
    let value: serde_json::Value = serde_json::to_value(&value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(Value::from(python_json(&value)))
}

fn python_json(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => {
            let items: Vec<String> = items.iter().map(python_json).collect();
            format!("[{}]", items.join(", "))
        }
        serde_json::Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, item)| format!("{}: {}", serde_json::Value::from(key.as_str()), python_json(item)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

pub fn render(request: &Request) -> Outcome<String> {
    let messages: serde_json::Value = serde_json::from_str(request.messages)
        .map_err(|error| Failure::Invalid(format!("the messages are no JSON: {error}")))?;
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_filter("tojson", to_json);
    let told = |error: Error| {
        let detail = error.detail().map(str::to_string).unwrap_or_else(|| error.kind().to_string());
        let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
        Failure::Invalid(format!("the chat template fails: {detail}{line}"))
    };
    environment.add_template("chat", request.template).map_err(told)?;
    let template = environment.get_template("chat").map_err(told)?;
    template
        .render(context! {
            messages => Value::from_serialize(&messages),
            bos_token => request.begin,
            eos_token => request.end,
            add_generation_prompt => request.add_generation_prompt,
        })
        .map_err(told)
}
