//! Names of compiled functions: C, C++, Rust, Objective-C, Swift.

use super::Version;

/// What GCC and LLVM append to the parts and copies of a function.
const PARTS: [&str; 9] =
    ["isra", "constprop", "part", "cold", "llvm", "lto_priv", "resume", "destroy", "cleanup"];

/// What may stand behind the parameters.
const QUALIFIERS: [&str; 8] =
    [" const", " volatile", " noexcept", " &", " &&", " throws", " async", " [clone"];

/// The qualified name alone, without return type, parameters, type arguments, closure numbers and symbol hashes; empty
/// if it is an address.
pub(super) fn function_name(function: &str, version: Version) -> String {
    if version == Version::One {
        return without_return_type(&qualified_name(function, version)).to_owned();
    }
    let function = function.split(" [clone").next().unwrap_or(function).trim();
    if is_address(function) {
        return String::new();
    }
    if let Some(method) = objective_c_method(function) {
        return method;
    }
    if function.starts_with("_ZN") || function.starts_with("_R") {
        return without_mangled_hash(function);
    }
    let function = without_parts(without_version(function));
    let function = swift_function(function);
    let function = implementation_of(&function.replace("[abi:cxx11]", ""));
    let name = qualified_name(&function, version);
    let name = without_qualifiers(name.trim());
    match name.find("operator ") {
        Some(at) => {
            let start = name[..at].rfind(' ').map_or(0, |space| space + 1);
            name[start..].to_owned()
        }
        None => without_return_type(name).to_owned(),
    }
}

/// Whether it is an address or a name that a tool made of one.
fn is_address(function: &str) -> bool {
    let is_hexadecimal = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for prefix in ["0x", "0X", "sub_", "FUN_", "loc_", "fun_"] {
        if function.strip_prefix(prefix).is_some_and(|digits| is_hexadecimal(digits) && digits.len() >= 3) {
            return true;
        }
    }
    function.starts_with("___lldb_unnamed_symbol")
        || function.len() >= 8
            && is_hexadecimal(function)
            && function.bytes().any(|byte| byte.is_ascii_digit())
}

/// `-[Cart(Private) payWith:]` and the blocks in it, `__31-[Cart payWith:]_block_invoke_2`, become `-[Cart payWith:]`.
fn objective_c_method(function: &str) -> Option<String> {
    let start = function.find("-[").or_else(|| function.find("+["))?;
    let is_start = start == 0 || function.starts_with("__") || function[..start].ends_with(' ');
    let end = start + function[start..].find(']')?;
    let method = &function[start..=end];
    let (class, selector) = method.split_once(' ').filter(|_| is_start)?;
    let class = class.split('(').next().unwrap_or(class);
    Some(format!("{class} {selector}"))
}

/// Mangled names that nobody could read: the hash of a build goes out of them.
fn without_mangled_hash(function: &str) -> String {
    // `_ZN5depot6import17h0123456789abcdefE`
    if let Some(at) = function.rfind("17h")
        && function.len() >= at + 20
        && function.as_bytes()[at + 3..at + 19].iter().all(u8::is_ascii_hexdigit)
        && function.as_bytes()[at + 19] == b'E'
    {
        return format!("{}{}", &function[..at], &function[at + 19..]);
    }
    // `_RNvCs4fqI2P2rA04_5depot6import`: the crate's disambiguator stands between `Cs` and `_`.
    let mut name = String::with_capacity(function.len());
    let mut rest = function;
    while let Some(at) = rest.find("Cs").filter(|_| function.starts_with("_R")) {
        let length = rest[at + 2..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        if rest.as_bytes().get(at + 2 + length) != Some(&b'_') {
            break;
        }
        name.push_str(&rest[..=at]);
        rest = &rest[at + 3 + length..];
    }
    name.push_str(rest);
    name
}

/// `memcpy@@GLIBC_2.14` and `pay@plt` become `memcpy` and `pay`.
fn without_version(function: &str) -> &str {
    match function.split_once('@') {
        Some((name, _))
            if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
        {
            name
        }
        _ => function,
    }
}

/// `pay.part.0.cold` becomes `pay`.
fn without_parts(function: &str) -> &str {
    let mut end = function.len();
    for (at, _) in function.match_indices('.') {
        let word = function[at + 1..].split('.').next().unwrap_or_default();
        if PARTS.contains(&word) && at > 0 {
            end = at;
            break;
        }
    }
    &function[..end]
}

/// `closure #1 (Int) -> () in Checkout.pay() -> Bool` becomes `Checkout.pay()`.
fn swift_function(function: &str) -> &str {
    let is_within =
        ["closure #", "implicit closure", "partial apply", "thunk for", "defer #", "specialized closure"]
            .iter()
            .any(|prefix| function.starts_with(prefix));
    let function = match function.rsplit_once(" in ") {
        Some((_, within)) if is_within => within,
        _ => function,
    };
    if function.contains("operator") {
        return function;
    }
    let mut depth = 0_usize;
    let mut before = b' ';
    for (at, byte) in function.bytes().enumerate() {
        match byte {
            b'(' | b'<' | b'[' => depth += 1,
            b'>' if before == b'-' && depth == 0 && at > 1 => return function[..at - 1].trim_end(),
            b'>' if before == b'-' => {}
            b')' | b'>' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = byte;
    }
    function
}

/// `depot::_::<impl serde::Deserialize for depot::Row>::deserialize` becomes `depot::_::depot::Row::deserialize`.
fn implementation_of(function: &str) -> String {
    let Some((before, inner)) = function.split_once("<impl ") else { return function.to_owned() };
    let Some(end) = matching_end(inner) else { return function.to_owned() };
    let of = inner[..end].rsplit(" for ").next().unwrap_or_default();
    format!("{before}{of}{}", &inner[end + 1..])
}

fn without_qualifiers(name: &str) -> &str {
    let mut name = name;
    while let Some(shorter) = QUALIFIERS.into_iter().find_map(|qualifier| name.strip_suffix(qualifier)) {
        name = shorter.trim_end();
    }
    name
}

/// A return type stands before the name.
fn without_return_type(name: &str) -> &str {
    name.rsplit(' ').next().unwrap_or(name)
}

/// Without parameters, type arguments, closure numbers and the hash of a symbol.
fn qualified_name(function: &str, version: Version) -> String {
    let function = match function.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => function,
    };
    // `<Type as Trait>::method`
    if let Some(inner) = function.strip_prefix('<')
        && let Some(end) = matching_end(inner)
        && let Some(method) = inner[end + 1..].strip_prefix("::")
    {
        let kind = inner[..end].split(" as ").next().unwrap_or_default();
        return format!("{}::{}", function_name(kind, version), function_name(method, version));
    }
    let mut name = String::with_capacity(function.len());
    let mut depth = 0_usize;
    let mut before = ' ';
    let mut rest = function;
    while let Some(character) = rest.chars().next() {
        if depth == 0 {
            if let Some(after) = rest.strip_prefix("(anonymous namespace)") {
                name.push_str("(anonymous)");
                rest = after;
                continue;
            }
            if let Some(symbol) = rest
                .strip_prefix("operator")
                .filter(|symbol| !symbol.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
            {
                let length = symbol.find(|c: char| !"<>=()[]+-*/%^&|~!,".contains(c)).unwrap_or(symbol.len());
                let length =
                    if symbol.starts_with("()") { 2 } else { symbol[..length].find('(').unwrap_or(length) };
                name.push_str("operator");
                name.push_str(&symbol[..length]);
                rest = &symbol[length..];
                continue;
            }
        }
        match character {
            '<' | '(' => depth += 1,
            '>' if name.ends_with('-') && depth == 0 => name.push('>'),
            '>' if before == '-' && version >= Version::Two => {}
            '>' | ')' => depth = depth.saturating_sub(1),
            '#' if depth == 0 => {
                let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                rest = &rest[1 + digits..];
                continue;
            }
            _ if depth == 0 => name.push(character),
            _ => {}
        }
        before = character;
        rest = &rest[character.len_utf8()..];
    }
    // Two manglings of one thing.
    let mut name = name.replace("{{closure}}", "{closure}");
    while name.contains("::::") {
        name = name.replace("::::", "::");
    }
    name.trim_end_matches([':', ' ']).trim_end_matches(" const").to_owned()
}

/// Where the bracket closes that was opened before `text`.
fn matching_end(text: &str) -> Option<usize> {
    let mut depth = 1_usize;
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        before = character;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_compiled_functions_lose_what_varies() {
        for (function, name) in [
            (
                "std::panic::catch_unwind::<std::rt::lang_start_internal::{closure#0}, isize>",
                "std::panic::catch_unwind",
            ),
            ("std::panicking::catch_unwind::do_call::<isize, X>", "std::panicking::catch_unwind::do_call"),
            (
                "core::ops::function::FnOnce::call_once::h0123456789abcdef",
                "core::ops::function::FnOnce::call_once",
            ),
            ("<alloc::vec::Vec<T> as core::iter::FromIterator<T>>::from_iter", "alloc::vec::Vec::from_iter"),
            ("depot::import::{{closure}}", "depot::import::{closure}"),
            (
                "depot::_::<impl serde::Deserialize for depot::Row>::deserialize",
                "depot::_::depot::Row::deserialize",
            ),
            ("_ZN5depot6import17h0123456789abcdefE", "_ZN5depot6importE"),
            ("_RNvNtCs4fqI2P2rA04_5depot6import3run", "_RNvNtC5depot6import3run"),
            (
                "void ns::(anonymous namespace)::run<int>(std::vector<int> const&) const",
                "ns::(anonymous)::run",
            ),
            ("bool ns::operator<(A const&, A const&)", "ns::operator<"),
            ("ns::Call::operator()(int)", "ns::Call::operator()"),
            ("ns::Price::operator bool() const", "ns::Price::operator bool"),
            ("operator new(unsigned long)", "operator new"),
            ("ns::name[abi:cxx11](int) const &", "ns::name"),
            ("ns::run(int) [clone .isra.0]", "ns::run"),
            ("pay.part.0.cold", "pay"),
            ("pay.llvm.1234567890", "pay"),
            ("memcpy@@GLIBC_2.14", "memcpy"),
            ("-[ShopCart payWith:]", "-[ShopCart payWith:]"),
            ("+[ShopCart(Private) cartFor:]", "+[ShopCart cartFor:]"),
            ("__31-[ShopCart payWith:]_block_invoke_2", "-[ShopCart payWith:]"),
            ("closure #1 (Swift.Int) -> () in Shop.Checkout.pay() -> ()", "Shop.Checkout.pay"),
            ("static Shop.Checkout.each(f: (Int) -> String) throws -> ()", "Shop.Checkout.each"),
            ("@objc Checkout.pay()", "Checkout.pay"),
            ("specialized Checkout.pay(_:)", "Checkout.pay"),
            ("sub_10ab4f", ""),
            ("0x00007ff4a4709910", ""),
            ("___lldb_unnamed_symbol12$$libshop", ""),
            ("deadbeef", "deadbeef"),
            ("<unknown>", ""),
        ] {
            assert_eq!(function_name(function, Version::Two), name, "{function}");
        }
    }
}
