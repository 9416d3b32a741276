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

    /// The tape as a graph in Graphviz's DOT language. `groups` divides the nodes, in recording
    /// order: the name of each group, and the number of nodes up to its end. Each has a colour and
    /// a node with its name; leaves and constants are ellipses.
    ///
    /// ```
    /// use bhn::autodiff::{Tape, Tensor};
    /// let tape = Tape::<f64>::default();
    /// let x = tape.named_constant("x", Tensor::ones(&[2][..]));
    /// let y = x * x;
    /// let network = tape.len();
    /// y.sum();
    /// let dot = tape.dot(&[("network", network), ("loss", tape.len())]);
    /// assert!(dot.contains("label=\"x [2]\", shape=ellipse"));
    /// assert!(dot.contains("label=\"loss\""));
    /// ```
    pub fn dot(&self, groups: &[(&str, usize)]) -> String {
        let nodes = self.nodes();
        let mut text = String::from("digraph tape {\n  node [style=filled];\n");
        let mut start = 0;
        for (k, &(group, end)) in groups.iter().enumerate() {
            let colour = COLOURS[k % COLOURS.len()];
            let node = |id: String, label: String, shape| {
                format!("    {id} [label=\"{label}\", shape={shape}, fillcolor=\"{colour}\"];\n")
            };
            text += &format!("  subgraph cluster_{k} {{\n");
            text += &node(format!("group_{k}"), group.into(), "record");
            for (id, y) in nodes.iter().enumerate().take(end).skip(start) {
                let shape = if y.parents.is_empty() { "ellipse" } else { "box" };
                text +=
                    &node(id.to_string(), format!("{} {:?}", y.op.name, y.value.shape()), shape);
            }
            text += "  }\n";
            start = end;
        }
        for (id, node) in nodes.iter().enumerate() {
            text.extend(node.parents.iter().map(|p| format!("  {p} -> {id};\n")));
        }
        text + "}\n"
    }
}

/// Light colours that differ for the colour-blind too.
const COLOURS: [&str; 4] = ["#cfe3f7", "#fde3b8", "#cdeedd", "#f3d3e6"];

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
