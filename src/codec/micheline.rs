//! Micheline expressions: the values and types that contracts exchange with rollups.
//!
//! An expression is kept as the flat list of its nodes in prefix order, so that nothing here
//! recurses: a message nested thousands of levels deep, which anybody may send, costs no stack.
//! Promises: binary and JSON forms of the node, both ways, in the canonical spelling.
//! Refuses to know: what an expression means. Source: `src/lib_micheline/micheline_encoding.ml`.

use serde_json::{Map, Value, json};

use super::micheline_json;
use super::primitives::Primitive;
use super::{DecodeError, Integer, Reader, Writer};

/// Longest annotation, in bytes.
const MAX_ANNOTATION: usize = 255;

/// One node; its children follow it in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Int(Integer),
    /// Any bytes: Michelson text is ASCII, but Micheline does not insist.
    String(Vec<u8>),
    Bytes(Vec<u8>),
    Seq {
        items: usize,
    },
    Prim {
        prim: Primitive,
        args: usize,
        annots: Vec<String>,
    },
}

impl Node {
    const fn children(&self) -> usize {
        match self {
            Self::Seq { items } => *items,
            Self::Prim { args, .. } => *args,
            _ => 0,
        }
    }
}

/// A Micheline expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Micheline {
    /// All nodes in prefix order; never empty.
    pub(super) nodes: Vec<Node>,
}

impl Micheline {
    /// The value `Unit`, which a call without parameters carries.
    #[must_use]
    pub fn unit() -> Self {
        Self::prim(Primitive::UNIT, [])
    }

    /// An integer.
    #[must_use]
    pub fn int(value: impl Into<Integer>) -> Self {
        let nodes = vec![Node::Int(value.into())];
        Self { nodes }
    }

    /// A text.
    #[must_use]
    pub fn string(text: &str) -> Self {
        let nodes = vec![Node::String(text.into())];
        Self { nodes }
    }

    /// Raw bytes.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        let nodes = vec![Node::Bytes(bytes.into())];
        Self { nodes }
    }

    /// A sequence.
    #[must_use]
    pub fn seq(items: impl IntoIterator<Item = Self>) -> Self {
        Self::with_children(items, |items| Node::Seq { items })
    }

    /// A primitive applied to arguments, without annotations.
    #[must_use]
    pub fn prim(prim: Primitive, args: impl IntoIterator<Item = Self>) -> Self {
        Self::with_children(args, |args| Node::Prim {
            prim,
            args,
            annots: Vec::new(),
        })
    }

    fn with_children(
        children: impl IntoIterator<Item = Self>,
        head: impl FnOnce(usize) -> Node,
    ) -> Self {
        let (mut count, mut nodes) = (0_usize, Vec::new());
        for child in children {
            count = count.saturating_add(1);
            nodes.extend(child.nodes);
        }
        nodes.insert(0, head(count));
        Self { nodes }
    }

    /// Whether it is the plain value `Unit`.
    #[must_use]
    pub fn is_unit(&self) -> bool {
        *self == Self::unit()
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`DecodeError`] when short, of an unknown tag or primitive, or with a malformed annotation.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        BinaryReader::default().run(reader)
    }

    /// Appends the binary form.
    pub fn write(&self, writer: &mut Writer) {
        let sizes = self.sizes();
        let mut open: Vec<(usize, &Node)> = Vec::new();
        for (node, (_, inner)) in self.nodes.iter().zip(&sizes) {
            write_head(node, *inner, writer);
            open.push((node.children(), node));
            // Annotations come after the last argument.
            while let Some((0, node)) = open.last() {
                write_tail(node, writer);
                open.pop();
                if let Some((left, _)) = open.last_mut() {
                    *left = left.saturating_sub(1);
                }
            }
        }
    }

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.into_bytes()
    }

    /// Per node: length of its binary form, and of its children together.
    fn sizes(&self) -> Vec<(usize, usize)> {
        let mut done: Vec<usize> = Vec::new();
        let mut sizes = Vec::with_capacity(self.nodes.len());
        for node in self.nodes.iter().rev() {
            let first = done.len().saturating_sub(node.children());
            let inner = done.drain(first..).fold(0_usize, usize::saturating_add);
            let whole = node_size(node, inner);
            done.push(whole);
            sizes.push((whole, inner));
        }
        sizes.reverse();
        sizes
    }

    /// The node's JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut done: Vec<Value> = Vec::new();
        for node in self.nodes.iter().rev() {
            let first = done.len().saturating_sub(node.children());
            let children = done.drain(first..).rev().collect();
            done.push(node_json(node, children));
        }
        done.pop().unwrap_or(Value::Null)
    }

    /// Reads the JSON form from a parsed value.
    ///
    /// # Errors
    /// [`MichelineError`] when it is not an expression.
    pub fn from_json(json: &Value) -> Result<Self, MichelineError> {
        Self::from_json_text(&json.to_string())
    }

    /// Reads the JSON form from its text, however deep it is nested.
    ///
    /// # Errors
    /// [`MichelineError`] when it is not an expression.
    pub fn from_json_text(text: &str) -> Result<Self, MichelineError> {
        micheline_json::parse(text)
    }
}

impl serde::Serialize for Micheline {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

/// Goes through the raw JSON text, which the parser skips without recursion.
impl<'de> serde::Deserialize<'de> for Micheline {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
        Self::from_json_text(raw.get()).map_err(serde::de::Error::custom)
    }
}

/// A JSON text is not a Micheline expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a micheline expression: {problem} at character {at}")]
pub struct MichelineError {
    /// What is wrong.
    pub problem: String,
    /// Where, in bytes from the start of the text.
    pub at: usize,
}

/// Whether `text` is an annotation that the protocol accepts.
pub(super) fn is_annotation(text: &str) -> bool {
    let body = text.as_bytes().split_first();
    text.len() <= MAX_ANNOTATION
        && body.is_some_and(|(mark, rest)| {
            b"@:$&%!?".contains(mark)
                && rest
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_.%@".contains(byte))
        })
}

fn annotations_len(annots: &[String]) -> usize {
    let text: usize = annots.iter().map(String::len).sum();
    text.saturating_add(annots.len().saturating_sub(1))
}

fn node_size(node: &Node, inner: usize) -> usize {
    let fixed = match node {
        Node::Int(value) => value.encoded_len().saturating_add(1),
        Node::String(bytes) | Node::Bytes(bytes) => bytes.len().saturating_add(5),
        Node::Seq { .. } => 5,
        Node::Prim {
            args: 0..=2,
            annots,
            ..
        } if annots.is_empty() => 2,
        Node::Prim {
            args: 0..=2,
            annots,
            ..
        } => annotations_len(annots).saturating_add(6),
        Node::Prim { annots, .. } => annotations_len(annots).saturating_add(10),
    };
    fixed.saturating_add(inner)
}

fn write_head(node: &Node, inner: usize, writer: &mut Writer) {
    let length = u32::try_from(inner).unwrap_or(u32::MAX);
    match node {
        Node::Int(value) => value.write(writer.u8(0)),
        Node::String(bytes) => {
            writer.u8(1).dynamic(bytes);
        }
        Node::Bytes(bytes) => {
            writer.u8(10).dynamic(bytes);
        }
        Node::Seq { .. } => {
            writer.u8(2).u32(length);
        }
        Node::Prim { prim, args, annots } => {
            let tag = match (args, annots.is_empty()) {
                (0, true) => 3,
                (0, false) => 4,
                (1, true) => 5,
                (1, false) => 6,
                (2, true) => 7,
                (2, false) => 8,
                _ => 9,
            };
            writer.u8(tag).u8(prim.tag());
            if tag == 9 {
                writer.u32(length);
            }
        }
    }
}

fn write_tail(node: &Node, writer: &mut Writer) {
    if let Node::Prim { args, annots, .. } = node
        && (*args > 2 || !annots.is_empty())
    {
        writer.dynamic(annots.join(" ").as_bytes());
    }
}

fn node_json(node: &Node, children: Vec<Value>) -> Value {
    match node {
        Node::Int(value) => json!({ "int": value.to_string() }),
        Node::String(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => json!({ "string": text }),
            Err(_) => json!({ "string": { "invalid_utf8_string": bytes } }),
        },
        Node::Bytes(bytes) => json!({ "bytes": hex::encode(bytes) }),
        Node::Seq { .. } => Value::Array(children),
        Node::Prim { prim, annots, .. } => {
            let mut fields = Map::new();
            fields.insert("prim".into(), prim.name().into());
            if !children.is_empty() {
                fields.insert("args".into(), children.into());
            }
            if !annots.is_empty() {
                fields.insert("annots".into(), annots.clone().into());
            }
            Value::Object(fields)
        }
    }
}

/// A node whose children are still being read.
struct Open {
    node: usize,
    children: usize,
    until: Until,
    /// Whether annotations follow the children.
    annotated: bool,
}

enum Until {
    Count(usize),
    Offset(usize),
}

#[derive(Default)]
struct BinaryReader {
    nodes: Vec<Node>,
    open: Vec<Open>,
}

impl BinaryReader {
    fn run(mut self, reader: &mut Reader<'_>) -> Result<Micheline, DecodeError> {
        loop {
            self.node(reader)?;
            self.close_finished(reader)?;
            if self.open.is_empty() {
                return Ok(Micheline { nodes: self.nodes });
            }
        }
    }

    /// Reads one node up to its children.
    fn node(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let start = reader.clone();
        let node = match reader.u8("micheline tag")? {
            0 => Node::Int(Integer::read(reader)?),
            1 => Node::String(reader.dynamic("micheline string", usize::MAX)?.into()),
            10 => Node::Bytes(reader.dynamic("micheline bytes", usize::MAX)?.into()),
            2 => {
                let until = sized_end(reader)?;
                self.enter(until, false);
                Node::Seq { items: 0 }
            }
            tag @ 3..=9 => {
                let prim = primitive(reader)?;
                let until = match tag {
                    9 => sized_end(reader)?,
                    _ => Until::Count(usize::from((tag - 3) / 2)),
                };
                self.enter(until, matches!(tag, 4 | 6 | 8 | 9));
                Node::Prim {
                    prim,
                    args: 0,
                    annots: Vec::new(),
                }
            }
            tag => return Err(start.invalid("micheline tag", format!("unknown tag {tag}"))),
        };
        self.nodes.push(node);
        Ok(())
    }

    fn enter(&mut self, until: Until, annotated: bool) {
        self.open.push(Open {
            node: self.nodes.len(),
            children: 0,
            until,
            annotated,
        });
    }

    /// Closes every open node whose last child has just been read.
    fn close_finished(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let leaf = !matches!(self.open.last(), Some(open) if open.node.saturating_add(1) == self.nodes.len());
        if leaf {
            self.count_child();
        }
        while let Some(open) = self.open.last() {
            let finished = match open.until {
                Until::Count(count) => open.children == count,
                Until::Offset(end) if reader.offset() > end => {
                    return Err(reader.invalid("micheline sequence", "an item runs over its end"));
                }
                Until::Offset(end) => reader.offset() == end,
            };
            if !finished {
                return Ok(());
            }
            let annotations = if open.annotated {
                annotations(reader)?
            } else {
                Vec::new()
            };
            let (node, children) = (open.node, open.children);
            match self.nodes.get_mut(node) {
                Some(Node::Seq { items }) => *items = children,
                Some(Node::Prim { args, annots, .. }) => {
                    *args = children;
                    *annots = annotations;
                }
                _ => {}
            }
            self.open.pop();
            self.count_child();
        }
        Ok(())
    }

    fn count_child(&mut self) {
        if let Some(parent) = self.open.last_mut() {
            parent.children = parent.children.saturating_add(1);
        }
    }
}

fn primitive(reader: &mut Reader<'_>) -> Result<Primitive, DecodeError> {
    let start = reader.clone();
    let tag = reader.u8("michelson primitive")?;
    Primitive::of_tag(tag)
        .ok_or_else(|| start.invalid("michelson primitive", format!("unknown tag {tag}")))
}

/// Where the bytes announced by a four-byte length end.
fn sized_end(reader: &mut Reader<'_>) -> Result<Until, DecodeError> {
    let length = reader.u32("micheline sequence")? as usize;
    if length > reader.left() {
        reader.clone().raw("micheline sequence", length)?;
    }
    Ok(Until::Offset(reader.offset().saturating_add(length)))
}

fn annotations(reader: &mut Reader<'_>) -> Result<Vec<String>, DecodeError> {
    let start = reader.clone();
    let bytes = reader.dynamic("micheline annotations", usize::MAX)?;
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let texts: Option<Vec<String>> = bytes
        .split(|byte| *byte == b' ')
        .map(|part| {
            std::str::from_utf8(part)
                .ok()
                .filter(|text| is_annotation(text))
        })
        .map(|text| text.map(str::to_owned))
        .collect();
    texts.ok_or_else(|| start.invalid("micheline annotations", "malformed annotation"))
}
