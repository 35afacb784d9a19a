//! What is known of the definitions of a book before any of them is looked at closely.

use ffcm::net::Definition;
use ffcm::net::partial::{Selector, is_constructor};
use ffcm::spec::word::{Class, Term};

use super::{CONSTRUCTORS_MAX, TREES_MAX};
use crate::ir::Tree;

/// Whether a tree of constructors matches its argument: that meets a pattern which offers a definition first.
pub(super) fn is_match(definition: &Definition) -> bool {
    let ports = |term: Term| definition.nodes.get(term.offset() as usize);
    let Some([pattern, _]) = ports(definition.root) else {
        return false;
    };
    pattern.class() == Class::Con
        && ports(*pattern).is_some_and(|[first, _]| first.class() == Class::Ref)
}

/// Definitions that are small trees of constructors and stand as data somewhere: as what a definition answers in the end,
/// or as an argument of a call. Those that only stand as arms of a switch, or among the cases of a match, are code, unless
/// they look like one of the constructors that give `trees`.
pub(super) fn constructors(definitions: &[Definition], trees: &[Tree]) -> Vec<u32> {
    let mut data = vec![false; definitions.len()];
    let mut mark = |term: Term| {
        if term.class() == Class::Ref {
            data[term.offset() as usize] = true;
        }
    };
    for definition in definitions {
        let mut last = definition.root;
        while last.class() == Class::Con {
            last = definition.nodes[last.offset() as usize][1];
        }
        mark(last);
        let calls = definition.redexes.iter().filter_map(|&(a, b)| {
            let (a, b) = if a.class() < b.class() {
                (a, b)
            } else {
                (b, a)
            };
            (a.class() == Class::Ref).then_some(b)
        });
        let mut trees: Vec<Term> = calls.collect();
        while let Some(tree) = trees.pop() {
            mark(tree);
            if tree.class() == Class::Con {
                trees.extend(definition.nodes[tree.offset() as usize]);
            }
        }
    }
    let given: Vec<Choice> = trees.iter().filter_map(chosen).collect();
    let belongs = |definition: &Definition| {
        let fits = |own: Choice| {
            let mut given = given.iter();
            given.any(|one| one.arms == own.arms && one.at != own.at)
        };
        nullary(definition).is_some_and(fits)
    };
    (0..definitions.len())
        .filter(|&i| is_constructor(&definitions[i]) && (data[i] || belongs(&definitions[i])))
        .map(|i| i as u32)
        .take(CONSTRUCTORS_MAX)
        .collect()
}

/// What lambda-encoded data a constructor makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// How many arms there are.
    pub(super) arms: usize,
    /// Which of them it chooses.
    pub(super) at: usize,
    /// How many arguments that is given.
    pub(super) fields: usize,
}

/// What a constructor without arguments chooses, if the definition is one.
pub(super) fn nullary(definition: &Definition) -> Option<Choice> {
    Selector::of(definition).map(|selector| Choice {
        arms: selector.arguments.into(),
        at: selector.chosen.into(),
        fields: 0,
    })
}

/// What the constructor chooses that gives a tree.
pub(super) fn chosen(tree: &Tree) -> Option<Choice> {
    let (mut last, mut arms, mut found) = (tree, 0, None);
    while let Tree::Pair(ports) = last {
        if ports[0] != Tree::Eraser {
            found = found.or(Some(arms));
        }
        (last, arms) = (&ports[1], arms + 1);
    }
    let (at, fields) = (found?, tree.holes());
    Some(Choice { arms, at, fields })
}

/// How many arguments a definition takes, by the look of it.
pub(super) fn parameters(definition: &Definition) -> usize {
    let (mut last, mut count) = (definition.root, 0);
    while last.class() == Class::Con
        && let Some([_, rest]) = definition.nodes.get(last.offset() as usize)
    {
        (last, count) = (*rest, count + 1);
    }
    count
}

/// What constructors are given all their arguments: definitions that begin with parameters, used once each, and go on with a
/// tree that offers its holes to one of the arms of a match. It ends with what the arm answers.
pub(super) fn trees(definitions: &[Definition]) -> Vec<Tree> {
    let mut trees: Vec<Tree> = Vec::new();
    for definition in definitions.iter().filter(|one| is_constructor(one)) {
        if let Some(tree) = tree(definition)
            && !trees.contains(&tree)
            && trees.len() < TREES_MAX
        {
            trees.push(tree);
        }
    }
    trees
}

fn tree(definition: &Definition) -> Option<Tree> {
    let ports = |term: Term| definition.nodes.get(term.offset() as usize).copied();
    let mut body = definition.root;
    let mut parameters = Vec::new();
    while body.class() == Class::Con
        && let Some([first, rest]) = ports(body)
        && first.class() == Class::Var
    {
        parameters.push(first);
        body = rest;
    }
    let (mut last, mut answers) = (body, false);
    while last.class() == Class::Con {
        [_, last] = ports(last)?;
        answers = last.class() == Class::Var && !parameters.contains(&last);
    }
    let mut wires = Vec::new();
    let tree = part(definition, body, &parameters, &mut wires)?;
    (answers && tree.is_whole() && tree.holes() > 0 && tree.holes() == parameters.len())
        .then_some(tree)
}

/// A part of a tree; none if there are other atoms than erasers in it.
fn part(
    definition: &Definition,
    term: Term,
    parameters: &[Term],
    wires: &mut Vec<Term>,
) -> Option<Tree> {
    match term.class() {
        Class::Con => {
            let [first, second] = *definition.nodes.get(term.offset() as usize)?;
            let first = part(definition, first, parameters, wires)?;
            let second = part(definition, second, parameters, wires)?;
            Some(Tree::Pair(Box::new([first, second])))
        }
        Class::Era => Some(Tree::Eraser),
        Class::Var if parameters.contains(&term) => Some(Tree::Hole),
        Class::Var => {
            let known = wires.iter().position(|&wire| wire == term);
            let wire = known.unwrap_or_else(|| {
                wires.push(term);
                wires.len() - 1
            });
            u8::try_from(wire).ok().map(Tree::Wire)
        }
        _ => None,
    }
}

/// Which definitions lead to themselves: Tarjan's strongly connected components, without recursion.
pub(super) fn recursive(definitions: &[Definition]) -> Vec<bool> {
    const NONE: u32 = u32::MAX;
    let count = definitions.len();
    let edges: Vec<Vec<u32>> = definitions
        .iter()
        .map(|definition| {
            let references = definition.terms().filter(|t| t.class() == Class::Ref);
            references.map(Term::offset).collect()
        })
        .collect();
    let mut recursive = vec![false; count];
    let (mut order, mut low) = (vec![NONE; count], vec![0; count]);
    let (mut stack, mut on_stack) = (Vec::new(), vec![false; count]);
    let mut next = 0;
    for start in 0..count {
        let mut work = vec![(start, 0)];
        while let Some((at, edge)) = work.pop() {
            if edge == 0 {
                if order[at] != NONE {
                    continue;
                }
                (order[at], low[at]) = (next, next);
                next += 1;
                stack.push(at);
                on_stack[at] = true;
            } else {
                let target = edges[at][edge - 1] as usize;
                if on_stack[target] {
                    low[at] = low[at].min(low[target]);
                }
            }
            if let Some(&target) = edges[at].get(edge) {
                let target = target as usize;
                recursive[at] |= target == at;
                work.push((at, edge + 1));
                if order[target] == NONE {
                    work.push((target, 0));
                }
            } else if low[at] == order[at] {
                let members = stack.iter().rposition(|&member| member == at);
                let members = stack.split_off(members.unwrap_or_default());
                for &member in &members {
                    on_stack[member] = false;
                    recursive[member] |= members.len() > 1;
                }
            }
        }
    }
    recursive
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffcm::net::Book;

    fn names(book: &Book, found: impl Fn(usize) -> bool) -> Vec<&str> {
        let definitions = book.definitions();
        let found = (0..definitions.len()).filter(|&i| found(i));
        found.map(|i| definitions[i].name.as_str()).collect()
    }

    #[test]
    fn definitions_that_lead_to_themselves_are_found() {
        let text = "@main = (@a (@d @e))\n@a = @b\n@b = @c\n@c = (@a @f)\n@d = @d\n@e = @f\n@f = 1";
        let book = Book::parse(text).unwrap();
        let found = recursive(book.definitions());
        assert_eq!(names(&book, |i| found[i]), ["a", "b", "c", "d"]);
    }

    #[test]
    fn constructors_are_told_from_arms() {
        let text = "@main = out & @list ~ (@Two (1 out))
            @None = (n (* n))
            @Two = (* (t t))
            @list = ((@list_none k) k)
            @list_none = (* @None)
            @pick = (?((@pick_one @pick_two) k) k)
            @pick_one = (a (* a))
            @pick_two = (* (a a))";
        let book = Book::parse(text).unwrap();
        let found = constructors(book.definitions(), &trees(book.definitions()));
        let is = |i| found.contains(&(i as u32));
        assert_eq!(names(&book, is), ["None", "Two"]);
        // An arm that is data by the look of it.
        let text = "@main = (@list @both)
            @Nil = (nil (* nil))
            @Cons = (head (tail (* ((head (tail out)) out))))
            @list = (?((@Nil @more) k) k)
            @more = (n out) & @Cons ~ (n (@end out))
            @both = (?((@first @second) k) k)
            @first = (a (* (* a)))
            @second = (* (a a))
            @end = (* (* *))";
        let book = Book::parse(text).unwrap();
        let found = constructors(book.definitions(), &trees(book.definitions()));
        let is = |i| found.contains(&(i as u32));
        assert_eq!(names(&book, is), ["Nil", "end"]);
    }

    #[test]
    fn trees_are_what_constructors_give() {
        let text = "@main = 0
            @Cons = (head (tail (* ((head (tail out)) out))))
            @Nil = (nil (* nil))
            @True = (* (a a))
            @Left = (a ((a out) (* out)))
            @Right = (a (* ((a out) out)))
            @Same = (x (y (* ((x (y out)) out))))
            @arm = (x ((@Nil (x out)) out))
            @id = (x x)
            @const = (x (* x))
            @pair = (x (y ((x (y out)) out)))
            @apply = ((x y) (x y))";
        let book = Book::parse(text).unwrap();
        let found = trees(book.definitions());
        let choices: Vec<Choice> = found.iter().filter_map(chosen).collect();
        let choice = |arms, at, fields| Choice { arms, at, fields };
        assert_eq!(
            choices,
            [
                choice(2, 1, 2),
                choice(2, 0, 1),
                choice(2, 1, 1),
                choice(1, 0, 2)
            ]
        );
        let of = |name| {
            let mut all = book.definitions().iter();
            all.find(|one| one.name == name).unwrap()
        };
        assert_eq!(nullary(of("True")), Some(choice(2, 1, 0)));
        assert_eq!(nullary(of("Cons")), None);
        assert_eq!(parameters(of("const")), 2);
        let found: Vec<String> = found.iter().map(Tree::to_string).collect();
        assert_eq!(
            found,
            [
                "(* ((_ (_ w0)) w0))",
                "((_ w0) (* w0))",
                "(* ((_ w0) w0))",
                "((_ (_ w0)) w0)"
            ]
        );
    }
}
