//! Trains a byte-fallback BPE tokenizer.
//!
//! Lossless by construction: there is no normalizer, every byte has a token, and no learnt token can
//! read like a byte's or a special one. Deterministic: the same texts, in any order, on any number of
//! threads, give the same file. The library counts pairs in hash maps but breaks ties by token ids, and
//! the ids of characters are given here in a fixed order.

use std::collections::{HashMap, HashSet};

use ahash::AHashMap;
use compact_str::CompactString;
use rayon::prelude::*;
use rayon::ThreadPool;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence;
use tokenizers::models::bpe::{BpeTrainer, BPE};
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::utils::SysRegex;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use crate::codec::new_pool;
use crate::{Failure, Outcome};

/// Words, digits one by one, and punctuation, each with one space before it; other white space in runs.
/// Without look-around, so that the regular expression runs in linear time. Punctuation apart from
/// letters keeps "<0x41>" and "</s>" from ever becoming one token.
const PIECES: &str = r" ?[\p{L}\p{M}]+| ?\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\s+";

const UNKNOWN: &str = "<unk>";
const FIRST_SPECIALS: [&str; 3] = [UNKNOWN, "<s>", "</s>"];

/// The share of all characters that get tokens of their own; the others are spelt in bytes.
const COVERAGE: f64 = 0.9995;
/// Of the tokens to be learnt, at most this share goes to single characters.
const CHARACTER_SHARE: f64 = 0.5;
/// A pair seen once is no regularity.
const MIN_FREQUENCY: u64 = 2;

pub struct Options {
    pub vocab_size: usize,
    pub threads: usize,
    pub specials: Vec<String>,
}

pub struct Trainer {
    options: Options,
    pool: ThreadPool,
    regex: SysRegex,
    counts: HashMap<CompactString, u64>,
}

impl Trainer {
    pub fn new(options: Options) -> Outcome<Trainer> {
        let regex = SysRegex::new(PIECES).map_err(|error| Failure::Internal(error.to_string()))?;
        let fixed = fixed_tokens(&options.specials);
        if options.vocab_size <= fixed.len() {
            return Err(Failure::Invalid(format!(
                "a vocabulary of {} has no room beside the {} special and byte tokens",
                options.vocab_size,
                fixed.len()
            )));
        }
        let mut seen = HashSet::new();
        for special in &options.specials {
            if FIRST_SPECIALS.contains(&special.as_str()) || !seen.insert(special) {
                return Err(Failure::Invalid(format!("the special token {special:?} is there twice")));
            }
            if regex.find_iter(special).count() < 2 || byte_of(special).is_some() {
                return Err(Failure::Invalid(format!(
                    "the special token {special:?} could be taken for text: write it like <|name|>"
                )));
            }
        }
        let pool = new_pool(options.threads)?;
        Ok(Trainer { options, pool, regex, counts: HashMap::new() })
    }

    /// Counts the pieces of `texts`. The library counts pairs in 31 bits: the caller keeps to as many bytes.
    pub fn feed(&mut self, texts: &[&str]) -> Outcome<()> {
        let regex = &self.regex;
        let counted = self.pool.install(|| {
            texts
                .par_iter()
                .fold(HashMap::new, |mut counts: HashMap<CompactString, u64>, text| {
                    for (start, end) in regex.find_iter(text) {
                        *counts.entry(CompactString::from(&text[start..end])).or_default() += 1;
                    }
                    counts
                })
                .reduce(HashMap::new, add_counts)
        });
        self.counts = add_counts(std::mem::take(&mut self.counts), counted);
        Ok(())
    }

    /// Learns the merges and makes the tokenizer; the trainer is empty afterwards.
    pub fn finish(&mut self) -> Outcome<Tokenizer> {
        let counts = std::mem::take(&mut self.counts);
        let fixed = fixed_tokens(&self.options.specials);
        let room = self.options.vocab_size - fixed.len();
        let alphabet = alphabet(&counts, room);
        let words = words_of_alphabet(&counts, &alphabet);
        let trainer = BpeTrainer::builder()
            .vocab_size(self.options.vocab_size)
            .min_frequency(MIN_FREQUENCY)
            .show_progress(false)
            .special_tokens(fixed.iter().map(|token| AddedToken::from(token.clone(), true)).collect())
            .initial_alphabet(alphabet)
            .build();
        let mut model = BPE::builder()
            .unk_token(UNKNOWN.to_string())
            .fuse_unk(true)
            .byte_fallback(true)
            .build()
            .map_err(|error| Failure::Internal(error.to_string()))?;
        self.pool
            .install(|| trainer.do_train(&words, &mut model))
            .map_err(|error| Failure::Internal(error.to_string()))?;
        assemble(model, &self.options.specials)
    }
}

fn assemble(model: BPE, specials: &[String]) -> Outcome<Tokenizer> {
    let mut tokenizer = Tokenizer::new(model);
    let pieces = SplitPattern::Regex(PIECES.to_string());
    let split = Split::new(pieces, SplitDelimiterBehavior::Isolated, false)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    tokenizer.with_pre_tokenizer(Some(split));
    tokenizer.with_decoder(Some(Sequence::new(vec![ByteFallback::new().into(), Fuse::new().into()])));
    let names = FIRST_SPECIALS.iter().map(|name| name.to_string()).chain(specials.iter().cloned());
    tokenizer.add_special_tokens(&names.map(|name| AddedToken::from(name, true)).collect::<Vec<_>>());
    Ok(tokenizer)
}

/// Ids 0, 1, 2; the 256 bytes; the caller's special tokens.
fn fixed_tokens(specials: &[String]) -> Vec<String> {
    let first = FIRST_SPECIALS.iter().map(|name| name.to_string());
    let bytes = (0..=255u8).map(|byte| format!("<0x{byte:02X}>"));
    first.chain(bytes).chain(specials.iter().cloned()).collect()
}

/// The byte that a decoder would read the token as.
fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

fn add_counts(
    left: HashMap<CompactString, u64>,
    right: HashMap<CompactString, u64>,
) -> HashMap<CompactString, u64> {
    let (mut into, from) = if left.len() >= right.len() { (left, right) } else { (right, left) };
    for (word, count) in from {
        *into.entry(word).or_default() += count;
    }
    into
}

/// The most frequent characters, up to COVERAGE of the text and CHARACTER_SHARE of `room`.
fn alphabet(counts: &HashMap<CompactString, u64>, room: usize) -> HashSet<char> {
    let mut frequency: HashMap<char, u64> = HashMap::new();
    for (word, count) in counts {
        for c in word.chars() {
            *frequency.entry(c).or_default() += count;
        }
    }
    let total: u64 = frequency.values().sum();
    let mut characters: Vec<(char, u64)> = frequency.into_iter().collect();
    characters.sort_unstable_by_key(|(c, count)| (std::cmp::Reverse(*count), *c));
    let limit = ((room as f64 * CHARACTER_SHARE) as usize).max(1);
    let wanted = total as f64 * COVERAGE;
    let mut covered = 0;
    let mut alphabet = HashSet::new();
    for (c, count) in characters.into_iter().take(limit) {
        if covered as f64 >= wanted {
            break;
        }
        covered += count;
        alphabet.insert(c);
    }
    alphabet
}

/// The pieces cut at characters that are spelt in bytes, since nothing merges with those.
fn words_of_alphabet(
    counts: &HashMap<CompactString, u64>,
    alphabet: &HashSet<char>,
) -> AHashMap<CompactString, u64> {
    let mut words = AHashMap::new();
    for (word, count) in counts {
        for part in word.split(|c| !alphabet.contains(&c)) {
            if part.chars().nth(1).is_some() {
                *words.entry(CompactString::from(part)).or_default() += count;
            }
        }
    }
    words
}
