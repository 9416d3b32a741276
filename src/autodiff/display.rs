//! A tape as text and as a graph, and its first value that is not finite.
use crate::autodiff::tape::{Node, Tape};
use crate::kernels::scalar::Scalar;
use std::fmt;

impl<T: Scalar> Tape<T> {
    /// The first node in recording order with a value that is not finite, as text: where a NaN
    /// originates, not where it is noticed.
    pub fn first_non_finite(&self) -> Option<String> {
        let nodes = self.nodes();
        let label =
            |id: usize| format!("node {id} `{}` {:?}", nodes[id].op.name, nodes[id].value.shape());
        let bad =
            |node: &Node<T>| node.value.iter().copied().enumerate().find(|x| !x.1.is_finite());
        let (id, (at, x)) = nodes.iter().enumerate().find_map(|(id, n)| Some((id, bad(n)?)))?;
        let parents: Vec<_> = nodes[id].parents.iter().map(|&p| label(p)).collect();
        let of = if parents.is_empty() { "" } else { " of " };
        Some(format!("{}{of}{} holds {x} at {at}", label(id), parents.join(", ")))
    }

    /// The tape as a graph in Graphviz's DOT language.
    pub fn dot(&self) -> String {
        let mut text = String::from("digraph tape {\n  node [shape=box];\n");
        for (id, node) in self.nodes().iter().enumerate() {
            text += &format!("  {id} [label=\"{} {:?}\"];\n", node.op.name, node.value.shape());
            text.extend(node.parents.iter().map(|p| format!("  {p} -> {id};\n")));
        }
        text + "}\n"
    }
}

/// One node per line: index, name, shape and the indices of its inputs.
impl<T: Scalar> fmt::Display for Tape<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in self.nodes().iter().enumerate() {
            write!(f, "{id} {} {:?}", node.op.name, node.value.shape())?;
            for (k, parent) in node.parents.iter().enumerate() {
                write!(f, "{}{parent}", if k == 0 { " of " } else { " " })?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
