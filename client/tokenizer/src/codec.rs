//! Text to token ids and back, with a tokenizer of any kind that tokenizer.json can describe.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokenizers::tokenizer::normalizer::Range as OffsetRange;
use tokenizers::{NormalizedString, Tokenizer};

use crate::{Failure, Outcome, Range};

/// The tokens of a text and, where they were asked for, the bytes of the text that each stands for.
#[derive(Default)]
pub struct Encoded {
    pub ids: Vec<i32>,
    pub ranges: Vec<Range>,
}

/// What encode is asked for.
pub struct How {
    pub threads: usize,
    pub ranges: bool,
    /// Adds what the post-processor puts around a text.
    pub post_process: bool,
}

pub struct Codec {
    tokenizer: Tokenizer,
    size: usize,
    /// Starting threads costs more than encoding a small batch, so pools are kept, by size.
    pools: Mutex<HashMap<usize, Arc<ThreadPool>>>,
}

pub fn new_pool(threads: usize) -> Outcome<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .thread_name(|i| format!("tokenizer-{i}"))
        .build()
        .map_err(|error| Failure::Internal(format!("cannot start {threads} threads: {error}")))
}

fn check_size(text: &str) -> Outcome<()> {
    match u32::try_from(text.len()) {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::Invalid(format!("a text of {} bytes: 4 GiB is the limit", text.len()))),
    }
}

/// The text in NFC, and for each of its bytes the bytes of `text` that its character comes from.
pub fn to_nfc(text: &str) -> Outcome<(String, Vec<Range>)> {
    check_size(text)?;
    let mut normalized = NormalizedString::from(text);
    normalized.nfc();
    let range = |byte| {
        let original = normalized.convert_offsets(OffsetRange::Normalized(byte..byte + 1));
        original.map(|range| Range::of(&(range.start, range.end)))
    };
    let ranges: Option<Vec<Range>> = (0..normalized.get().len()).map(range).collect();
    match ranges {
        Some(ranges) => Ok((normalized.get().to_string(), ranges)),
        None => Err(Failure::Internal("NFC of a text does not map back to it".to_string())),
    }
}

impl Codec {
    pub fn new(mut tokenizer: Tokenizer) -> Codec {
        // "</s>" in a document is five characters of text, not the end of the document.
        tokenizer.set_encode_special_tokens(true);
        let highest = tokenizer.get_vocab(true).values().max().copied();
        let size = highest.map_or(0, |id| id as usize + 1);
        Codec { tokenizer, size, pools: Mutex::new(HashMap::new()) }
    }

    pub fn from_json(json: &[u8]) -> Outcome<Codec> {
        let mut tokenizer = Tokenizer::from_bytes(json)
            .map_err(|error| Failure::Invalid(format!("not a tokenizer.json: {error}")))?;
        // Some files carry the lengths of the model they were trained for; token files need every token.
        tokenizer
            .with_truncation(None)
            .map_err(|error| Failure::Internal(error.to_string()))?
            .with_padding(None);
        Ok(Codec::new(tokenizer))
    }

    pub fn to_json(&self) -> Outcome<String> {
        self.tokenizer.to_string(true).map_err(|error| Failure::Internal(error.to_string()))
    }

    pub fn parse_specials(&mut self, parse: bool) {
        self.tokenizer.set_encode_special_tokens(!parse);
    }

    pub fn encode(&self, texts: &[&str], how: &How) -> Outcome<Vec<Encoded>> {
        if texts.len() < 2 || how.threads < 2 {
            return texts.iter().map(|text| self.encode_one(text, how)).collect();
        }
        let pool = self.pool(how.threads)?;
        pool.install(|| texts.par_iter().map(|text| self.encode_one(text, how)).collect())
    }

    pub fn decode(&self, ids: &[i32], skip_special: bool) -> Outcome<String> {
        // The library leaves out ids it does not know: a damaged file would look like a shorter text.
        if let Some(id) = ids.iter().find(|id| self.id_to_token(**id).is_none()) {
            let size = self.vocab_size();
            return Err(Failure::Invalid(format!("token id {id} is not in the vocabulary of {size}")));
        }
        let ids: Vec<u32> = ids.iter().map(|id| *id as u32).collect();
        self.tokenizer
            .decode(&ids, skip_special)
            .map_err(|error| Failure::Invalid(format!("cannot decode: {error}")))
    }

    /// One more than the highest id: between them some may stand for nothing.
    pub fn vocab_size(&self) -> usize {
        self.size
    }

    pub fn token_to_id(&self, token: &str) -> Option<i32> {
        self.tokenizer.token_to_id(token).map(|id| id as i32)
    }

    pub fn id_to_token(&self, id: i32) -> Option<String> {
        u32::try_from(id).ok().and_then(|id| self.tokenizer.id_to_token(id))
    }

    fn encode_one(&self, text: &str, how: &How) -> Outcome<Encoded> {
        // The fast way keeps no account of where a token comes from.
        let encoding = if how.ranges {
            check_size(text)?;
            self.tokenizer.encode(text, how.post_process)
        } else {
            self.tokenizer.encode_fast(text, how.post_process)
        };
        let encoding = encoding.map_err(|error| Failure::Invalid(format!("cannot encode: {error}")))?;
        let ids = encoding.get_ids().iter().map(|id| *id as i32).collect();
        let ranges = if how.ranges { encoding.get_offsets().iter().map(Range::of).collect() } else { Vec::new() };
        Ok(Encoded { ids, ranges })
    }

    fn pool(&self, threads: usize) -> Outcome<Arc<ThreadPool>> {
        let mut pools = self.pools.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(pool) = pools.get(&threads) {
            return Ok(pool.clone());
        }
        let pool = Arc::new(new_pool(threads)?);
        pools.insert(threads, pool.clone());
        Ok(pool)
    }
}
