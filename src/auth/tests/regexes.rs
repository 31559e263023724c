//! Regular expressions as RE2 reads them.

use crate::auth::regex::Regex;

fn compile(source: &str) -> Result<Regex, String> {
    Regex::new(source)
}

fn matches(source: &str, text: &str) -> bool {
    compile(source).unwrap_or_else(|problem| panic!("{source}: {problem}")).is_match(text)
}

#[test]
fn section_4_classes_and_boundaries_are_ascii() {
    for (source, yes, no) in [
        (r"^\d$", "5", "٥"),
        (r"^\D$", "٥", "5"),
        (r"^\w+$", "aZ_9", "ä"),
        (r"^\W$", "ä", "a"),
        (r"^\s$", "\t", "\u{a0}"),
        (r"^\S$", "\u{b}", " "),
        (r"^[\d.]+$", "1.5", "٥"),
        (r"^[^\d.]+$", "a٥", "1"),
        (r"^[\Dx]$", "ä", "5"),
        (r"\bb", "äb", "ab"),
        (r"a\B", "ab", "aä"),
        // Between whole characters only.
        (r"\B", "ää", "aäb"),
        (r"^(?i)\w$", "\u{212a}", "ä"),
        (r"^[[:alpha:]]$", "a", "ä"),
        (r"^[[:^alpha:]]$", "ä", "a"),
        (r"^\pL$", "ä", "1"),
        (r"^\p{Greek}$", "α", "a"),
        (r"^\PL$", "1", "ä"),
    ] {
        assert!(matches(source, yes), "{source} {yes}");
        assert!(!matches(source, no), "{source} {no}");
    }
}

#[test]
fn section_4_characters_are_whole_and_expressions_unanchored() {
    assert!(matches("^.$", "ä") && matches("^[^a]$", "😀") && matches("^(?s:.)$", "\n"));
    assert!(!matches("^.$", "\n") && !matches("^..$", "ä"));
    assert!(matches("b", "abc") && !matches("^b", "abc"));
    assert!(matches("^a$", "a") && !matches("^a$", "a\n") && matches("(?m)^b$", "a\nb"));
    assert!(matches("(?i)ä", "Ä") && matches("(?i)k", "\u{212a}"));
    assert!(matches(r"\x{e4}", "ä") && matches(r"\x41", "A") && matches(r"\.\*\-\/", ".*-/"));
    assert!(matches("(?P<n>a)(?<m>b)|(?:c)", "ab") && matches("(?U)a+", "aa"));
    assert!(matches("^a{2,3}$", "aaa") && matches("^(a{2}){2}$", "aaaa") && matches("[]a]", "]"));
    assert!(matches("^a{0,1000}$", "aa") && matches("^[]-]+$", "]-") && matches("^[-a-]$", "-"));
    assert!(matches(r"^\p{Yi}$", "\u{a000}") && matches(r"^\p{Old_Italic}$", "\u{10300}"));
    // Flags hold to the end of their group, also behind a bar.
    assert!(matches("^(?:a(?i)b|c)$", "C") && !matches("^(?:(?i)a|c)d$", "CD"));
}

#[test]
fn section_4_what_engines_read_differently_is_refused() {
    for source in [
        "[a&&b]",
        "[a--b]",
        "[a~~b]",
        "[a[b]]",
        "[a[:foo:]]",
        "a**",
        "a*+",
        "a??*",
        "a{2}{3}",
        "a{,3}",
        "a{02}",
        "a{2,03}",
        "a{2, 3}",
        "a{2\t}",
        "a{1001}",
        "a{1,1001}",
        "[--/]",
        "[^--/]",
        "[]-a]",
        "[^]-a]",
        r"\pC",
        r"\p{C}",
        r"\p{Cn}",
        r"\p{greek}",
        r"\p{Grek_}",
        r"\p{Alphabetic}",
        r"\p{Letter}",
        r"\<a",
        r"a\>",
        r"\b{start}a",
        r"\b{end-half}",
        "(?x)a b",
        "(?u)a",
        "(?-u)a",
        "(?R)a",
        "(?x:a)",
        r"\u00e4",
        r"\U000000e4",
        r"\u{e4}",
        r"\p{sc=Greek}",
        r"[\p{gc=L}]",
        r"\Qa.b\E",
        r"\123",
        r"\1",
        r"\C",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?>a)",
        "a{",
        "(",
        ")",
        "[",
        "*",
        r"\",
        r"[\u00e4]",
        "(?#c)a",
    ] {
        assert!(compile(source).is_err(), "{source}");
    }
}

#[test]
fn section_4_expressions_have_bounds() {
    assert!(compile(&"a".repeat(1024)).is_ok());
    assert!(compile(&"a".repeat(1025)).unwrap_err().contains("1024"));
    assert!(compile("(a{1000}){1000}").unwrap_err().contains("large"));
    assert!(compile("(((a{0,1000}){0,1000}){0,1000}){0,1000}").is_err());
    assert!(compile(&("(".repeat(200) + &")".repeat(200))).is_err());
    // An exponential case for engines that go back: linear here.
    assert!(!matches("^(a|a)*$", &("a".repeat(5_000) + "b")));
}
