//! Regular expressions as Go's RE2 reads them (protocol section 4).
//!
//! The engine reads almost the same language. Where it would read something else, or reads what
//! RE2 does not know, the expression is refused rather than guessed at:
//!
//! | written | Go | the engine | here |
//! | --- | --- | --- | --- |
//! | `\d` `\w` `\s` and their negations | ASCII | Unicode | rewritten as ASCII classes |
//! | `\b` `\B` | ASCII | Unicode | rewritten as ASCII assertions |
//! | `[a&&b]` `[a--b]` `[a~~b]` | literal characters and ranges | set operations | refused |
//! | `[--/]` `[]-a]` | a range | literal characters | refused |
//! | `[a[b]]` | `[a[b]` and a `]` | a nested class | refused |
//! | `a**` `a*+` `a{2}{3}` | an error, or other things elsewhere | nested repetition | refused |
//! | `a{,3}` `a{02}` `a{2, 3}` | literal characters | a repetition | refused |
//! | `a{1001}` | an error | a repetition | refused |
//! | `\<` `\>` `\b{start}` … | literal characters | word boundaries | refused |
//! | flags `x` `u` `R` | an error | other modes | refused |
//! | `\u1234` `\U…` `\u{…}` | an error | a character | refused |
//! | `\p{name=value}` `\p{Alphabetic}` `\p{greek}` | an error | a property | refused |
//! | `\pC` | without unassigned characters | with them | refused |
//! | `\Q…\E` `\123` `\C` `\1` `(?=…)` | various | errors | refused |
//!
//! Everything else means the same in both: `.`, negated classes and literals match whole
//! characters, `^` and `$` the text's ends unless `m` is set, `i` folds as Unicode's simple case
//! folding does.

use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem,
    ClassUnicode, ClassUnicodeKind, Flag, FlagsItemKind, HexLiteralKind, Literal, LiteralKind,
    Repetition, Span, Visitor, visit,
};

/// Characters of an expression.
const MAX_LENGTH: usize = 1024;
/// How deep groups and classes may nest; the parser recurses.
const MAX_NESTING: u32 = 50;
/// The greatest number in a repetition, as in RE2.
const MAX_REPEAT: u32 = 1000;

/// An expression in the engine's language.
pub(super) struct Translated {
    pub(super) pattern: String,
    /// How many of its classes may take long to compile.
    pub(super) large_classes: usize,
}

/// Reads an expression; the error says what is wrong with it.
pub(super) fn translate(source: &str) -> Result<Translated, String> {
    if crate::protocol::names::longer_than(source, MAX_LENGTH) {
        return Err(format!("it has more than {MAX_LENGTH} characters"));
    }
    let ast = ParserBuilder::new()
        .nest_limit(MAX_NESTING)
        .build()
        .parse(source)
        .map_err(|error| error.kind().to_string())?;
    let rewriter = Rewriter { source, edits: Vec::new(), large_classes: 0 };
    visit(&ast, rewriter)
}

/// Text to be put in the place of a span.
struct Edit {
    span: Span,
    text: &'static str,
}

fn apply(source: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.span.start.offset);
    let mut out = String::with_capacity(source.len() + 16 * edits.len());
    let mut done = 0;
    for edit in edits {
        out.push_str(&source[done..edit.span.start.offset]);
        out.push_str(edit.text);
        done = edit.span.end.offset;
    }
    out.push_str(&source[done..]);
    out
}

/// Refuses what is ambiguous, and collects what has to be said differently.
struct Rewriter<'s> {
    source: &'s str,
    edits: Vec<Edit>,
    large_classes: usize,
}

impl Rewriter<'_> {
    fn perl(&mut self, class: &ClassPerl) {
        let text = match (&class.kind, class.negated) {
            (ClassPerlKind::Digit, false) => "[0-9]",
            (ClassPerlKind::Digit, true) => "[^0-9]",
            (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
            (ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
            // Without the vertical tab, which RE2 does not count.
            (ClassPerlKind::Space, false) => r"[\t\n\f\r ]",
            (ClassPerlKind::Space, true) => r"[^\t\n\f\r ]",
        };
        self.edits.push(Edit { span: class.span, text });
    }

    fn repetition(&self, repetition: &Repetition) -> Result<(), String> {
        if matches!(*repetition.ast, Ast::Repetition(_)) {
            return Err("a repetition can't be repeated without a group".to_owned());
        }
        let written = self.text(repetition.op.span);
        match is_repetition(written) {
            true => Ok(()),
            false => Err(format!("{written:?} is read differently by different engines")),
        }
    }

    /// A hyphen after a `]` or `-` that opens a class makes a range in RE2, and none here.
    fn class(&self, class: &ClassBracketed) -> Result<(), String> {
        let inside = self.text(class.span).trim_start_matches('[').trim_start_matches('^');
        if inside.starts_with("--") || (inside.starts_with("]-") && inside != "]-]") {
            return Err("a range can't start with ']' or '-' without a backslash".to_owned());
        }
        match class.kind {
            ClassSet::BinaryOp(_) => Err("a class can't have set operations".to_owned()),
            ClassSet::Item(_) => Ok(()),
        }
    }

    fn unicode_class(&mut self, class: &ClassUnicode) -> Result<(), String> {
        self.large_classes += 1;
        let known = match &class.kind {
            ClassUnicodeKind::OneLetter(letter) => "LMNPSZ".contains(*letter),
            ClassUnicodeKind::Named(name) => CATEGORIES.contains(&&**name) || is_script(name),
            ClassUnicodeKind::NamedValue { .. } => false,
        };
        match known {
            true => Ok(()),
            false => Err(format!("{} is no Unicode class of RE2's", self.text(class.span))),
        }
    }

    fn text(&self, span: Span) -> &str {
        &self.source[span.start.offset..span.end.offset]
    }
}

/// The general categories that both know alike.
const CATEGORIES: [&str; 35] = [
    "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P", "Pc",
    "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs", "Cc",
    "Cf", "Co", "Any",
];

/// Whether a name is a script's as RE2 writes it. The engine takes others too, such as `greek`.
fn is_script(name: &str) -> bool {
    let capitals = name.split('_').all(|word| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(|c| c.is_ascii_alphabetic())
    });
    capitals && regex_syntax::parse(&format!(r"\p{{Script={name}}}")).is_ok()
}

/// `?`, `*`, `+`, or a counted repetition without spaces or leading zeros, perhaps lazy.
fn is_repetition(written: &str) -> bool {
    let number = |text: &str| {
        let plain = text == "0" || !text.starts_with(['0', '+']);
        plain && text.parse::<u32>().is_ok_and(|number| number <= MAX_REPEAT)
    };
    let Some(counted) = written.strip_prefix('{') else { return true };
    let counted = counted.strip_suffix('?').unwrap_or(counted).strip_suffix('}');
    counted.is_some_and(|counted| match counted.split_once(',') {
        None => number(counted),
        Some((least, "")) => number(least),
        Some((least, most)) => number(least) && number(most),
    })
}

fn literal(literal: &Literal) -> Result<(), String> {
    let known = match &literal.kind {
        LiteralKind::HexFixed(kind) | LiteralKind::HexBrace(kind) => *kind == HexLiteralKind::X,
        LiteralKind::Octal => false,
        _ => true,
    };
    if known { Ok(()) } else { Err(format!("the escape of {:?} is not RE2's", literal.c)) }
}

impl Visitor for Rewriter<'_> {
    type Output = Translated;
    type Err = String;

    fn finish(self) -> Result<Translated, String> {
        let pattern = apply(self.source, self.edits);
        Ok(Translated { pattern, large_classes: self.large_classes })
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::ClassPerl(class) => self.perl(class),
            Ast::ClassUnicode(class) => self.unicode_class(class)?,
            Ast::Literal(one) => literal(one)?,
            Ast::Repetition(repetition) => self.repetition(repetition)?,
            Ast::Flags(set) => flags(&set.flags)?,
            Ast::Group(group) => {
                if let Some(set) = group.flags() {
                    flags(set)?;
                }
            }
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::WordBoundary => {
                    self.edits.push(Edit { span: assertion.span, text: r"(?-u:\b)" });
                }
                AssertionKind::NotWordBoundary => {
                    self.edits.push(Edit { span: assertion.span, text: r"(?-u:\B)" });
                }
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText => {}
                _ => return Err("this word boundary is not RE2's; use \\b".to_owned()),
            },
            Ast::ClassBracketed(class) => self.class(class)?,
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Perl(class) => self.perl(class),
            ClassSetItem::Unicode(class) => self.unicode_class(class)?,
            ClassSetItem::Literal(one) => literal(one)?,
            ClassSetItem::Range(range) => {
                literal(&range.start)?;
                literal(&range.end)?;
                if !range.end.c.is_ascii() {
                    self.large_classes += 1;
                }
            }
            ClassSetItem::Bracketed(_) => {
                return Err("a class can't be inside of another".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_binary_op_pre(
        &mut self,
        _: &regex_syntax::ast::ClassSetBinaryOp,
    ) -> Result<(), String> {
        Err("a class can't have set operations".to_owned())
    }
}

fn flags(flags: &regex_syntax::ast::Flags) -> Result<(), String> {
    for item in &flags.items {
        if let FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace) = item.kind
        {
            return Err("the flags are i, m, s and U".to_owned());
        }
    }
    Ok(())
}
