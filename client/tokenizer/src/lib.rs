//! Hugging Face's tokenizers behind the C interface of tokenizer.h, where the contract stands.
//!
//! This file is the boundary: it turns pointers into slices, and errors and panics into statuses.
//! `train` and `codec` are safe Rust.

mod chat;
mod codec;
mod parquet_rows;
mod train;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::slice;

use codec::{Codec, How};
use parquet_rows::Rows;
use train::{Options, Trainer};

/// What went wrong, as tokenizer.h numbers it.
#[derive(Debug)]
pub enum Failure {
    Invalid(String),
    Internal(String),
}

pub type Outcome<T> = Result<T, Failure>;

const OK: i32 = 0;
const INVALID: i32 = 1;
const INTERNAL: i32 = 2;

/// Bytes that the caller reads, or that were made here and are given back to `cherry_tokenizer_free_text`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    data: *const u8,
    size: usize,
}

/// Token ids made here, given back to `cherry_tokenizer_free_ids`.
#[repr(C)]
pub struct Ids {
    data: *mut i32,
    size: usize,
}

/// Bytes [begin, end) of a text.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Range {
    begin: u32,
    end: u32,
}

/// Ranges made here, given back to `cherry_tokenizer_free_ranges`.
#[repr(C)]
pub struct Ranges {
    data: *mut Range,
    size: usize,
}

impl Range {
    /// Of a text that is no larger than 4 GiB.
    pub fn of(range: &(usize, usize)) -> Range {
        Range { begin: range.0 as u32, end: range.1 as u32 }
    }
}

impl Ranges {
    fn owned(ranges: Vec<Range>) -> Ranges {
        let ranges = ranges.into_boxed_slice();
        let size = ranges.len();
        Ranges { data: Box::into_raw(ranges) as *mut Range, size }
    }
}

impl Text {
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.size == 0 {
            return &[];
        }
        slice::from_raw_parts(self.data, self.size)
    }

    unsafe fn str<'a>(self, what: &str) -> Outcome<&'a str> {
        std::str::from_utf8(self.bytes()).map_err(|error| {
            Failure::Invalid(format!("{what} is not valid UTF-8 at byte {}", error.valid_up_to()))
        })
    }

    fn owned(text: String) -> Text {
        let bytes = text.into_bytes().into_boxed_slice();
        let size = bytes.len();
        Text { data: Box::into_raw(bytes) as *const u8, size }
    }
}

impl Ids {
    fn owned(ids: Vec<i32>) -> Ids {
        let ids = ids.into_boxed_slice();
        let size = ids.len();
        Ids { data: Box::into_raw(ids) as *mut i32, size }
    }
}

unsafe fn array<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 {
        return &[];
    }
    slice::from_raw_parts(data, size)
}

unsafe fn strs<'a>(texts: *const Text, count: usize) -> Outcome<Vec<&'a str>> {
    array(texts, count).iter().enumerate().map(|(i, text)| text.str(&format!("text {i}"))).collect()
}

/// Runs `work`, and reports its error or panic in `message`: nothing unwinds into C.
unsafe fn guard(message: *mut Text, work: impl FnOnce() -> Outcome<()>) -> i32 {
    let failure = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return OK,
        Ok(Err(failure)) => failure,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Failure::Internal(format!("the tokenizer panicked: {}", text.unwrap_or_default()))
        }
    };
    let (code, text) = match failure {
        Failure::Invalid(text) => (INVALID, text),
        Failure::Internal(text) => (INTERNAL, text),
    };
    *message = Text::owned(text);
    code
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_trainer_new(
    vocab_size: usize,
    threads: usize,
    specials: *const Text,
    special_count: usize,
    out: *mut *mut Trainer,
    message: *mut Text,
) -> i32 {
    guard(message, || {
        let specials = strs(specials, special_count)?.into_iter().map(str::to_string).collect();
        let trainer = Trainer::new(Options { vocab_size, threads, specials })?;
        *out = Box::into_raw(Box::new(trainer));
        Ok(())
    })
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_trainer_feed(
    trainer: *mut Trainer,
    texts: *const Text,
    count: usize,
    message: *mut Text,
) -> i32 {
    guard(message, || (*trainer).feed(&strs(texts, count)?))
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_trainer_finish(
    trainer: *mut Trainer,
    out: *mut *mut Codec,
    message: *mut Text,
) -> i32 {
    guard(message, || {
        *out = Box::into_raw(Box::new(Codec::new((*trainer).finish()?)));
        Ok(())
    })
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_trainer_free(trainer: *mut Trainer) {
    if !trainer.is_null() {
        drop(Box::from_raw(trainer));
    }
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_from_json(
    json: Text,
    out: *mut *mut Codec,
    message: *mut Text,
) -> i32 {
    guard(message, || {
        *out = Box::into_raw(Box::new(Codec::from_json(json.bytes())?));
        Ok(())
    })
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_to_json(
    codec: *const Codec,
    out: *mut Text,
    message: *mut Text,
) -> i32 {
    guard(message, || {
        *out = Text::owned((*codec).to_json()?);
        Ok(())
    })
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_parse_specials(codec: *mut Codec, parse: bool) {
    (*codec).parse_specials(parse);
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_encode(
    codec: *const Codec,
    texts: *const Text,
    count: usize,
    threads: usize,
    post_process: bool,
    ids: *mut Ids,
    ranges: *mut Ranges,
    lengths: *mut usize,
    message: *mut Text,
) -> i32 {
    guard(message, || {
        let how = How { threads, ranges: !ranges.is_null(), post_process };
        let encoded = (*codec).encode(&strs(texts, count)?, &how)?;
        let tokens = encoded.iter().map(|one| one.ids.len()).sum();
        let mut all = Vec::with_capacity(tokens);
        let mut all_ranges = Vec::with_capacity(if ranges.is_null() { 0 } else { tokens });
        for (i, one) in encoded.iter().enumerate() {
            *lengths.add(i) = one.ids.len();
            all.extend_from_slice(&one.ids);
            all_ranges.extend_from_slice(&one.ranges);
        }
        *ids = Ids::owned(all);
        if !ranges.is_null() {
            *ranges = Ranges::owned(all_ranges);
        }
        Ok(())
    })
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_chat(
    template: Text,
    messages: Text,
    begin: Text,
    end: Text,
    add_generation_prompt: bool,
    out: *mut Text,
    message: *mut Text,
) -> i32 {
    guard(message, || {
        let request = chat::Request {
            template: template.str("the chat template")?,
            messages: messages.str("messages")?,
            begin: begin.str("begin")?,
            end: end.str("end")?,
            add_generation_prompt,
        };
        *out = Text::owned(chat::render(&request)?);
        Ok(())
    })
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_nfc(
    text: Text,
    out: *mut Text,
    ranges: *mut Ranges,
    message: *mut Text,
) -> i32 {
    guard(message, || {
        let (normalized, origins) = codec::to_nfc(text.str("text")?)?;
        *out = Text::owned(normalized);
        *ranges = Ranges::owned(origins);
        Ok(())
    })
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_decode(
    codec: *const Codec,
    ids: *const i32,
    count: usize,
    skip_special: bool,
    out: *mut Text,
    message: *mut Text,
) -> i32 {
    guard(message, || {
        *out = Text::owned((*codec).decode(array(ids, count), skip_special)?);
        Ok(())
    })
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_vocab_size(codec: *const Codec) -> usize {
    (*codec).vocab_size()
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_token_to_id(codec: *const Codec, token: Text) -> i32 {
    let id = std::str::from_utf8(token.bytes()).ok().and_then(|token| (*codec).token_to_id(token));
    id.unwrap_or(-1)
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_id_to_token(codec: *const Codec, id: i32) -> Text {
    match (*codec).id_to_token(id) {
        Some(token) => Text::owned(token),
        None => Text { data: std::ptr::null(), size: 0 },
    }
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_free(codec: *mut Codec) {
    if !codec.is_null() {
        drop(Box::from_raw(codec));
    }
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_parquet_open(
    path: Text,
    columns: *const Text,
    count: usize,
    out: *mut *mut Rows,
    message: *mut Text,
) -> i32 {
    guard(message, || {
        *out = Box::into_raw(Box::new(Rows::open(path.str("the path")?, &strs(columns, count)?)?));
        Ok(())
    })
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_parquet_next(rows: *mut Rows, out: *mut Text, message: *mut Text) -> i32 {
    guard(message, || {
        *out = match (*rows).next()? {
            Some(row) => Text::owned(row),
            None => Text { data: std::ptr::null(), size: 0 },
        };
        Ok(())
    })
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_parquet_free(rows: *mut Rows) {
    if !rows.is_null() {
        drop(Box::from_raw(rows));
    }
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_free_text(text: Text) {
    if !text.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(text.data as *mut u8, text.size)));
    }
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_free_ids(ids: Ids) {
    if !ids.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(ids.data, ids.size)));
    }
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn cherry_tokenizer_free_ranges(ranges: Ranges) {
    if !ranges.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(ranges.data, ranges.size)));
    }
}
