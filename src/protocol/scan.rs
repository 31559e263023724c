//! Looking through text eight bytes at a time.

/// How many bytes of JSON text come before the first that a string can't hold as it is: a quote, a
/// backslash or a control character.
pub(crate) fn plain_len(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks();
    for (place, word) in words.iter().enumerate() {
        let ends = ends_in(u64::from_le_bytes(*word));
        if ends != 0 {
            return 8 * place + ends.trailing_zeros() as usize / 8;
        }
    }
    let end = rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'));
    text.len() - rest.len() + end.unwrap_or(rest.len())
}

/// The highest bit of the first byte that ends plain text is set, and none below; those above say
/// nothing.
fn ends_in(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    // A byte that is less borrows, which sets its highest bit where that was not set before. What is
    // borrowed changes later bytes alone, and the first that is found counts.
    let less = |word: u64, than: u8| word.wrapping_sub(EACH * u64::from(than)) & !word;
    let is = |byte: u8| less(word ^ (EACH * u64::from(byte)), 1);
    (less(word, 0x20) | is(b'"') | is(b'\\')) & (EACH * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_plain_text_is_found_wherever_it_is() {
        for length in 0..40 {
            let text = vec![b'x'; length];
            assert_eq!(plain_len(&text), length);
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let ends = byte < 0x20 || byte == b'"' || byte == b'\\';
                    let expected = if ends { at } else { length };
                    let mut text = text.clone();
                    text[at] = byte;
                    assert_eq!(plain_len(&text), expected);
                    text[at..].fill(byte);
                    assert_eq!(plain_len(&text), expected);
                }
            }
        }
    }
}
