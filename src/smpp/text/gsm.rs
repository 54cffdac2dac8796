//! The GSM 7-bit default alphabet and its extension table (3GPP 23.038 section 6.2.1), one septet per octet as SMPP
//! carries it.

/// Announces a character of the extension table.
const ESCAPE: u8 = 0x1B;

/// Characters by septet.
#[rustfmt::skip]
const ALPHABET: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì',
    'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å',
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ',
    'Σ', 'Θ', 'Ξ', '\x1B', 'Æ', 'æ', 'ß', 'É',
    ' ', '!', '"', '#', '¤', '%', '&', '\'',
    '(', ')', '*', '+', ',', '-', '.', '/',
    '0', '1', '2', '3', '4', '5', '6', '7',
    '8', '9', ':', ';', '<', '=', '>', '?',
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G',
    'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O',
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W',
    'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§',
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g',
    'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w',
    'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// Characters after an escape: septet and character.
const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\x0C'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// The alphabet's characters that are printable ASCII, '?' for the others.
const AS_ASCII: [&[u8; 32]; 4] = [
    b"@?$??????????????_??????????????",
    b" !\"#?%&'()*+,-./0123456789:;<=>?",
    b"?ABCDEFGHIJKLMNOPQRSTUVWXYZ?????",
    b"?abcdefghijklmnopqrstuvwxyz?????",
];

/// A septet's character if it is printable ASCII, else '?'.
#[inline]
fn ascii_of(septet: u8) -> u8 {
    let row = AS_ASCII.get(usize::from(septet >> 5));
    row.and_then(|row| row.get(usize::from(septet & 0x1F))).copied().unwrap_or(b'?')
}

/// A character as printable ASCII, else '?'.
fn printable(character: char) -> u8 {
    u8::try_from(character).ok().filter(|octet| matches!(octet, b' '..=b'~')).unwrap_or(b'?')
}

/// The characters of unpacked septets in printable ASCII, '?' for what is not in it. Escapes are read as in [`decode`].
pub(in crate::smpp) fn as_ascii(septets: impl Iterator<Item = u8>) -> impl Iterator<Item = u8> {
    let mut septets = septets.map(|octet| octet & 0x7F);
    std::iter::from_fn(move || {
        let septet = septets.next()?;
        if septet != ESCAPE {
            return Some(ascii_of(septet));
        }
        let Some(code) = septets.next() else { return Some(b' ') };
        let extension = EXTENSION.iter().find(|&&(extension, _)| extension == code);
        Some(match extension {
            Some(&(_, character)) => printable(character),
            None if code == ESCAPE => b' ',
            None => ascii_of(code),
        })
    })
}

/// Text of unpacked septets. An unknown code after an escape is shown as the default alphabet's character, a lone escape
/// as a blank; the top bit of an octet is ignored.
pub fn decode(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut escaped = false;
    for &octet in septets {
        let septet = octet & 0x7F;
        let extension =
            EXTENSION.iter().find(|&&(code, _)| escaped && code == septet).map(|&(_, character)| character);
        if septet == ESCAPE && !escaped {
            escaped = true;
            continue;
        }
        let plain = ALPHABET.get(usize::from(septet)).copied().filter(|_| septet != ESCAPE).unwrap_or(' ');
        text.push(extension.unwrap_or(plain));
        escaped = false;
    }
    if escaped {
        text.push(' ');
    }
    text
}

/// The unpacked septets of a text; `None` when a character is not in the alphabet. Small c-cedilla goes where older
/// tables have it, on the code of the capital.
pub fn encode(text: &str) -> Option<Vec<u8>> {
    let mut septets = Vec::with_capacity(text.len());
    for character in text.chars() {
        match (septet_of(character), extension_of(character)) {
            (Some(septet), _) => septets.push(septet),
            (None, Some(code)) => septets.extend([ESCAPE, code]),
            (None, None) => return None,
        }
    }
    Some(septets)
}

fn septet_of(character: char) -> Option<u8> {
    let wanted = if character == 'ç' { 'Ç' } else { character };
    let found = ALPHABET.iter().position(|&candidate| candidate == wanted)?;
    u8::try_from(found).ok().filter(|&septet| septet != ESCAPE)
}

fn extension_of(character: char) -> Option<u8> {
    EXTENSION.iter().find(|&&(_, candidate)| candidate == character).map(|&(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_codes_that_other_tables_have_wrong() {
        assert_eq!(decode(&[0x00, 0x02, 0x09, 0x11, 0x24, 0x5F, 0x60]), "@$Ç_¤§¿");
        assert_eq!(encode("@$Ç_¤§¿ç"), Some(vec![0x00, 0x02, 0x09, 0x11, 0x24, 0x5F, 0x60, 0x09]));
        assert_eq!(decode(&[0x1B, 0x65, 0x1B, 0x14]), "€^");
        assert_eq!(encode("`"), None);
        assert_eq!(encode("\x1B"), None);
    }

    #[test]
    fn odd_escapes_do_not_lose_text() {
        assert_eq!(decode(&[0x1B, b'a', b'b']), "ab");
        assert_eq!(decode(&[0x1B, 0x1B, b'a']), " a");
        assert_eq!(decode(&[b'a', 0x1B]), "a ");
    }

    #[test]
    fn every_character_round_trips_and_stands_once() {
        let all: String =
            ALPHABET.iter().chain(EXTENSION.iter().map(|(_, c)| c)).filter(|&&c| c != '\x1B').collect();
        assert_eq!(all.chars().count(), 127 + 10);
        assert_eq!(decode(&encode(&all).expect("the alphabet itself")), all);
        assert!(all.chars().enumerate().all(|(i, c)| all.chars().skip(i + 1).all(|other| other != c)));
    }

    proptest! {
        #[test]
        fn as_ascii_is_the_text_with_question_marks(septets in prop::collection::vec(any::<u8>(), 0..60)) {
            let ascii: Vec<u8> = as_ascii(septets.iter().copied()).collect();
            let printable = |c: char| if (' '..='~').contains(&c) { c as u8 } else { b'?' };
            prop_assert_eq!(ascii, decode(&septets).chars().map(printable).collect::<Vec<u8>>());
        }

        #[test]
        fn decoded_text_encodes_again(septets in prop::collection::vec(any::<u8>(), 0..100)) {
            let text = decode(&septets);
            let again = encode(&text).expect("only characters of the alphabet");
            prop_assert_eq!(decode(&again), text);
        }
    }
}
