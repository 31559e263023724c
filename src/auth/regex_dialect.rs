//! Regular expressions as Go's RE2 reads them (protocol section 4).
//!
//! The engine reads almost the same language. Where it would read something else, or reads what
//! RE2 does not know, the expression is refused rather than guessed at:
//!
//! | written | Go | the engine | here |
//! | --- | --- | --- | --- |
//! | `\d` `\w` `\s` and their negations | ASCII | Unicode | rewritten as ASCII classes |
//! | `\b` `\B` | ASCII | Unicode | rewritten as ASCII assertions |
//! | `[a&&b]` `[a--b]` `[a~~b]` | literal characters | set operations | refused |
//! | `[a[b]]` | `[a[b]` and a `]` | a nested class | refused |
//! | `a**` `a*+` `a{2}{3}` | an error, or other things elsewhere | nested repetition | refused |
//! | `a{,3}` | literal characters | zero to three | refused |
//! | `\<` `\>` `\b{start}` … | literal characters | word boundaries | refused |
//! | flags `x` `u` `R` | an error | other modes | refused |
//! | `\u1234` `\U…` `\u{…}` | an error | a character | refused |
//! | `\p{name=value}` | an error | a property | refused |
//! | `\Q…\E` `\123` `\C` `\1` `(?=…)` | various | errors | refused |
//!
//! Everything else means the same in both: `.`, negated classes and literals match whole
//! characters, `^` and `$` the text's ends unless `m` is set, `i` folds as Unicode's simple case
//! folding does.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem, ClassUnicodeKind, Flag,
    FlagsItemKind, HexLiteralKind, Literal, LiteralKind, Repetition, Span, Visitor, visit,
};

/// Characters of an expression.
const MAX_LENGTH: usize = 1024;
/// How deep groups and classes may nest; the parser recurses.
const MAX_NESTING: u32 = 50;
/// Bytes of the compiled program; a class such as `\pL` takes about 60,000.
const MAX_PROGRAM: usize = 256 << 10;
/// Bytes of the cache with which one thread matches.
const MAX_CACHE: usize = 64 << 10;

/// Compiles an expression; the error says what was wrong.
pub(super) fn compile(source: &str) -> Result<Regex, String> {
    if crate::protocol::names::longer_than(source, MAX_LENGTH) {
        return Err(format!("it has more than {MAX_LENGTH} characters"));
    }
    let ast = ParserBuilder::new()
        .nest_limit(MAX_NESTING)
        .build()
        .parse(source)
        .map_err(|error| error.kind().to_string())?;
    let rewriter = Rewriter { source, edits: Vec::new() };
    let edits = visit(&ast, rewriter)?;
    // Matching bytes rather than text is what lets `\B` stay ASCII; as everything else is in
    // Unicode mode, only whole characters match all the same.
    RegexBuilder::new(&apply(source, edits))
        .size_limit(MAX_PROGRAM)
        .dfa_size_limit(MAX_CACHE)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
            other => other.to_string(),
        })
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
        let operator = repetition.op.span;
        let written = &self.source[operator.start.offset..operator.end.offset];
        if written.starts_with("{,") || written.contains(' ') {
            return Err(format!("{written:?} is read differently by different engines"));
        }
        Ok(())
    }
}

fn literal(literal: &Literal) -> Result<(), String> {
    let known = match &literal.kind {
        LiteralKind::HexFixed(kind) | LiteralKind::HexBrace(kind) => *kind == HexLiteralKind::X,
        LiteralKind::Octal => false,
        _ => true,
    };
    if known { Ok(()) } else { Err(format!("the escape of {:?} is not RE2's", literal.c)) }
}

fn unicode_class(kind: &ClassUnicodeKind) -> Result<(), String> {
    match kind {
        ClassUnicodeKind::OneLetter(_) | ClassUnicodeKind::Named(_) => Ok(()),
        ClassUnicodeKind::NamedValue { .. } => {
            Err("Unicode classes are written \\p{Name}, without a value".to_owned())
        }
    }
}

impl Visitor for Rewriter<'_> {
    type Output = Vec<Edit>;
    type Err = String;

    fn finish(self) -> Result<Vec<Edit>, String> {
        Ok(self.edits)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::ClassPerl(class) => self.perl(class),
            Ast::ClassUnicode(class) => unicode_class(&class.kind)?,
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
            Ast::ClassBracketed(class) => {
                if let ClassSet::BinaryOp(_) = class.kind {
                    return Err("a class can't have set operations".to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Perl(class) => self.perl(class),
            ClassSetItem::Unicode(class) => unicode_class(&class.kind)?,
            ClassSetItem::Literal(one) => literal(one)?,
            ClassSetItem::Range(range) => {
                literal(&range.start)?;
                literal(&range.end)?;
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
