//! Reads the JSON form of Micheline with a stack of its own instead of recursion.

use super::micheline::{Micheline, MichelineError, Node, is_annotation};
use super::primitives::Primitive;

/// Reads one expression; nothing may follow it.
pub(super) fn parse(text: &str) -> Result<Micheline, MichelineError> {
    let mut parser = Parser {
        text,
        at: 0,
        nodes: Vec::new(),
        open: Vec::new(),
    };
    parser.value()?;
    while let Some(open) = parser.open.pop() {
        parser.resume(open)?;
    }
    parser.space();
    if parser.at < text.len() {
        return Err(parser.error("something follows the expression"));
    }
    Ok(Micheline {
        nodes: parser.nodes,
    })
}

/// A container that is still being read.
enum Open {
    /// A sequence: index of its node, items so far.
    Sequence(usize, usize),
    /// An object: index of its node, what was read of it.
    Object(usize, Fields),
    /// The arguments of the object below: items so far.
    Arguments(usize),
}

#[derive(Default)]
struct Fields {
    leaf: Option<Node>,
    prim: Option<Primitive>,
    args: Option<usize>,
    annots: Option<Vec<String>>,
    begun: bool,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    nodes: Vec<Node>,
    open: Vec<Open>,
}

impl<'a> Parser<'a> {
    fn error(&self, problem: impl Into<String>) -> MichelineError {
        MichelineError {
            problem: problem.into(),
            at: self.at,
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.at = self.text.len().saturating_sub(trimmed.len());
    }

    /// Steps over `symbol` when it comes next.
    fn take(&mut self, symbol: char) -> bool {
        self.space();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at = self.at.saturating_add(symbol.len_utf8());
        }
        found
    }

    fn expect(&mut self, symbol: char) -> Result<(), MichelineError> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.error(format!("expected {symbol:?}")))
        }
    }

    /// A leaf of JSON that cannot nest, read by the JSON library from the rest of the text.
    fn plain<T: serde::de::Deserialize<'a>>(&mut self, what: &str) -> Result<T, MichelineError> {
        self.space();
        let mut stream = serde_json::Deserializer::from_str(self.rest()).into_iter::<T>();
        let value = stream.next().and_then(Result::ok);
        let used = stream.byte_offset();
        let value = value.ok_or_else(|| self.error(format!("expected {what}")))?;
        self.at = self.at.saturating_add(used);
        Ok(value)
    }

    fn string(&mut self) -> Result<String, MichelineError> {
        self.plain("a string")
    }

    /// Starts a value: a sequence or an object stays open, to be resumed.
    fn value(&mut self) -> Result<(), MichelineError> {
        let index = self.nodes.len();
        if self.take('[') {
            self.nodes.push(Node::Seq { items: 0 });
            self.open.push(Open::Sequence(index, 0));
        } else if self.take('{') {
            self.nodes.push(Node::Seq { items: 0 });
            self.open.push(Open::Object(index, Fields::default()));
        } else {
            return Err(self.error("expected '[' or '{'"));
        }
        Ok(())
    }

    fn resume(&mut self, open: Open) -> Result<(), MichelineError> {
        match open {
            Open::Sequence(index, count) => {
                if self.item(count)? {
                    self.open
                        .push(Open::Sequence(index, count.saturating_add(1)));
                    return self.value();
                }
                if let Some(node) = self.nodes.get_mut(index) {
                    *node = Node::Seq { items: count };
                }
                Ok(())
            }
            Open::Arguments(count) => {
                if self.item(count)? {
                    self.open.push(Open::Arguments(count.saturating_add(1)));
                    return self.value();
                }
                if let Some(Open::Object(_, fields)) = self.open.last_mut() {
                    fields.args = Some(count);
                }
                Ok(())
            }
            Open::Object(index, fields) => self.object(index, fields),
        }
    }

    /// Whether another item follows in an array that has `count` so far.
    fn item(&mut self, count: usize) -> Result<bool, MichelineError> {
        if self.take(']') {
            return Ok(false);
        }
        if count > 0 {
            self.expect(',')?;
        }
        Ok(true)
    }

    fn object(&mut self, index: usize, mut fields: Fields) -> Result<(), MichelineError> {
        while !self.take('}') {
            if fields.begun {
                self.expect(',')?;
            }
            fields.begun = true;
            let key = self.string()?;
            self.expect(':')?;
            match key.as_str() {
                "prim" if fields.prim.is_none() => {
                    let name = self.string()?;
                    let prim = Primitive::of_name(&name);
                    fields.prim = Some(
                        prim.ok_or_else(|| self.error(format!("unknown primitive {name:?}")))?,
                    );
                }
                "annots" if fields.annots.is_none() => fields.annots = Some(self.annotations()?),
                "args" if fields.args.is_none() => {
                    self.expect('[')?;
                    self.open.push(Open::Object(index, fields));
                    self.open.push(Open::Arguments(0));
                    return Ok(());
                }
                "int" | "string" | "bytes" if fields.leaf.is_none() => {
                    fields.leaf = Some(self.leaf(&key)?);
                }
                _ => return Err(self.error(format!("unexpected field {key:?}"))),
            }
        }
        let node = match fields {
            Fields {
                leaf: Some(leaf),
                prim: None,
                args: None,
                annots: None,
                ..
            } => leaf,
            Fields {
                leaf: None,
                prim: Some(prim),
                args,
                annots,
                ..
            } => Node::Prim {
                prim,
                args: args.unwrap_or(0),
                annots: annots.unwrap_or_default(),
            },
            _ => return Err(self.error("expected one of int, string, bytes, or prim")),
        };
        if let Some(place) = self.nodes.get_mut(index) {
            *place = node;
        }
        Ok(())
    }

    fn leaf(&mut self, key: &str) -> Result<Node, MichelineError> {
        match key {
            "int" => {
                let text = self.string()?;
                let value = text.parse().map_err(|e| self.error(format!("{e}")))?;
                Ok(Node::Int(value))
            }
            "bytes" => {
                let text = self.string()?;
                let bytes = hex::decode(&text).map_err(|e| self.error(format!("{e}")))?;
                Ok(Node::Bytes(bytes))
            }
            _ => {
                self.space();
                if self.rest().starts_with('{') {
                    let damaged: InvalidUtf8 = self.plain("invalid_utf8_string")?;
                    return Ok(Node::String(damaged.invalid_utf8_string));
                }
                Ok(Node::String(self.string()?.into_bytes()))
            }
        }
    }

    fn annotations(&mut self) -> Result<Vec<String>, MichelineError> {
        let annots: Vec<String> = self.plain("a list of annotations")?;
        match annots.iter().find(|annot| !is_annotation(annot)) {
            Some(bad) => Err(self.error(format!("malformed annotation {bad:?}"))),
            None => Ok(annots),
        }
    }
}

/// How the node writes text that is not UTF-8.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct InvalidUtf8 {
    invalid_utf8_string: Vec<u8>,
}
