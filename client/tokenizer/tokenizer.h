/* The C interface of the Rust crate beside it. C++ uses tokenizer_cc.h instead.
 *
 * Every function that returns int returns one of the codes below; when it is not CHERRY_TOKENIZER_OK,
 * *message holds the reason, which the caller frees. Out parameters are set only on success. Panics never
 * leave the crate: they come back as CHERRY_TOKENIZER_INTERNAL. Functions on a const tokenizer may run at
 * the same time; all others need it to themselves. Texts are UTF-8, not terminated by 0. */
#ifndef CHERRY_CLIENT_TOKENIZER_TOKENIZER_H_
#define CHERRY_CLIENT_TOKENIZER_TOKENIZER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CHERRY_TOKENIZER_OK = 0, CHERRY_TOKENIZER_INVALID = 1, CHERRY_TOKENIZER_INTERNAL = 2 };

typedef struct CherryTokenizer CherryTokenizer;
typedef struct CherryTokenizerTrainer CherryTokenizerTrainer;
typedef struct CherryParquetRows CherryParquetRows;

/* Passed in: owned by the caller. Returned: freed with cherry_tokenizer_free_text. */
typedef struct {
  const char* data;
  size_t size;
} CherryText;

/* Returned, freed with cherry_tokenizer_free_ids. */
typedef struct {
  int32_t* data;
  size_t size;
} CherryIds;

/* Bytes [begin, end) of a text. */
typedef struct {
  uint32_t begin;
  uint32_t end;
} CherryRange;

/* Returned, freed with cherry_tokenizer_free_ranges. */
typedef struct {
  CherryRange* data;
  size_t size;
} CherryRanges;

/* A trainer for `vocab_size` tokens in all, with `special_count` special tokens beside <unk>, <s>, </s>. */
int cherry_tokenizer_trainer_new(size_t vocab_size, size_t threads, const CherryText* specials,
                                 size_t special_count, CherryTokenizerTrainer** out, CherryText* message);
/* Counts `count` texts; at most 2^31 - 1 bytes in all. After an error the trainer is as before. */
int cherry_tokenizer_trainer_feed(CherryTokenizerTrainer* trainer, const CherryText* texts, size_t count,
                                  CherryText* message);
/* Learns from all texts fed so far and forgets them. */
int cherry_tokenizer_trainer_finish(CherryTokenizerTrainer* trainer, CherryTokenizer** out,
                                    CherryText* message);
void cherry_tokenizer_trainer_free(CherryTokenizerTrainer* trainer);

/* Any tokenizer.json. Its truncation and padding are dropped. */
int cherry_tokenizer_from_json(CherryText json, CherryTokenizer** out, CherryText* message);
int cherry_tokenizer_to_json(const CherryTokenizer* tokenizer, CherryText* out, CherryText* message);
void cherry_tokenizer_free(CherryTokenizer* tokenizer);

/* Whether encode reads "</s>" in a text as the special token. At first it does not. */
void cherry_tokenizer_parse_specials(CherryTokenizer* tokenizer, bool parse);

/* Encodes `count` texts on up to `threads` threads: their ids one after the other in *ids, and the number of
 * ids of each in lengths[0..count). Where `ranges` is not NULL, also the bytes of its text that each id
 * stands for, in whole characters; no text may have more than 4 GiB then. `post_process` adds what the
 * tokenizer puts around a text, such as <s>. */
int cherry_tokenizer_encode(const CherryTokenizer* tokenizer, const CherryText* texts, size_t count,
                            size_t threads, bool post_process, CherryIds* ids, CherryRanges* ranges,
                            size_t* lengths, CherryText* message);
int cherry_tokenizer_decode(const CherryTokenizer* tokenizer, const int32_t* ids, size_t count,
                            bool skip_special, CherryText* out, CherryText* message);

/* The text in Unicode's NFC, and for each byte of *out the bytes of `text` that its character comes from. */
int cherry_tokenizer_nfc(CherryText text, CherryText* out, CherryRanges* ranges, CherryText* message);

/* A conversation as a Jinja template writes it; `messages` is a JSON array of {"role", "content"}. */
int cherry_tokenizer_chat(CherryText chat_template, CherryText messages, CherryText begin, CherryText end,
                          bool add_generation_prompt, CherryText* out, CherryText* message);

/* The rows of a Parquet file, as JSON objects of those of `columns` that it has; it must have one of them. */
int cherry_parquet_open(CherryText path, const CherryText* columns, size_t count, CherryParquetRows** out,
                        CherryText* message);
/* data is NULL after the last row. */
int cherry_parquet_next(CherryParquetRows* rows, CherryText* out, CherryText* message);
void cherry_parquet_free(CherryParquetRows* rows);

/* One more than the highest id. */
size_t cherry_tokenizer_vocab_size(const CherryTokenizer* tokenizer);
/* -1 when there is no such token. */
int32_t cherry_tokenizer_token_to_id(const CherryTokenizer* tokenizer, CherryText token);
/* data is NULL when there is no such id. */
CherryText cherry_tokenizer_id_to_token(const CherryTokenizer* tokenizer, int32_t id);

void cherry_tokenizer_free_text(CherryText text);
void cherry_tokenizer_free_ids(CherryIds ids);
void cherry_tokenizer_free_ranges(CherryRanges ranges);

#ifdef __cplusplus
}
#endif

#endif /* CHERRY_CLIENT_TOKENIZER_TOKENIZER_H_ */
