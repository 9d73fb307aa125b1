// Text to token ids and back, and training of byte-fallback BPE tokenizers, by Hugging Face's tokenizers.
//
//   ASSIGN_OR_RETURN(auto trainer, TokenizerTrainer::Create({.vocab_size = 2048, .threads = 2}));
//   RETURN_IF_ERROR(trainer.Feed({"첫 문서", "둘째 문서"}));   // as often as wanted
//   ASSIGN_OR_RETURN(Tokenizer tokenizer, trainer.Train());
//   RETURN_IF_ERROR(tokenizer.Save(dir + "/tokenizer.json"));
#ifndef CHERRY_CLIENT_TOKENIZER_TOKENIZER_CC_H_
#define CHERRY_CLIENT_TOKENIZER_TOKENIZER_CC_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "client/tokenizer/tokenizer.h"

namespace cherry::client {

// Bytes [begin, end) of a text.
using ByteRange = CherryRange;

// The ids of several texts, one after the other.
struct EncodedBatch {
  std::vector<int32_t> ids;
  // Where they were asked for: the bytes of its text that each id stands for. The tokens of a character that
  // is spelt in bytes all have the whole character.
  std::vector<ByteRange> ranges;
  std::vector<size_t> ends;  // text i is ids[ends[i - 1] .. ends[i]), with ends[-1] = 0

  size_t size() const { return ends.size(); }
  absl::Span<const int32_t> operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    return absl::MakeConstSpan(ids).subspan(begin, ends[i] - begin);
  }
  absl::Span<const ByteRange> ranges_of(size_t i) const {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    return absl::MakeConstSpan(ranges).subspan(begin, ends[i] - begin);
  }
};

// A text in Unicode's NFC, and for each of its bytes the bytes of the original that its character comes from.
struct NfcText {
  std::string text;
  std::vector<ByteRange> origins;
};
// INVALID_UTF8. Thread-safe.
absl::StatusOr<NfcText> ToNfc(absl::string_view text);

// A conversation as a chat template (Jinja) writes it, like transformers' apply_chat_template.
struct ChatRequest {
  absl::string_view chat_template;
  absl::string_view messages;  // JSON: an array of {"role": ..., "content": ...}.
  absl::string_view begin;     // bos_token
  absl::string_view end;       // eos_token
  bool add_generation_prompt = false;
};
// CHAT_TEMPLATE_FAILED tells what the template says, and the line. Thread-safe.
absl::StatusOr<std::string> RenderChat(const ChatRequest& request);

// A tokenizer of any kind that a tokenizer.json describes. Const functions are thread-safe.
//
// A tokenizer trained here is lossless: Decode(Encode(text)) is `text` for all valid UTF-8. Texts that are
// not valid UTF-8 are INVALID_UTF8, ids outside the vocabulary UNKNOWN_TOKEN (kInvalidArgument).
class Tokenizer {
 public:
  // INVALID_TOKENIZER when it is not a tokenizer.json. Truncation and padding in it are dropped.
  static absl::StatusOr<Tokenizer> FromJson(absl::string_view json);
  static absl::StatusOr<Tokenizer> Load(const std::string& path);

  // The same tokenizer gives the same bytes, on any machine.
  absl::StatusOr<std::string> ToJson() const;
  absl::Status Save(const std::string& path) const;

  // No special token is added, and none is read out of the text: "</s>" in it is text (see ParseSpecials).
  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text) const;

  // With what the tokenizer's post-processor puts around a text.
  absl::StatusOr<std::vector<int32_t>> EncodeWhole(absl::string_view text) const;

  // What it puts before a text, such as <s>; most put nothing.
  absl::StatusOr<std::vector<int32_t>> Prefix() const;

  // The same ids as Encode gives text by text, on up to `threads` threads; with `ranges` also their bytes,
  // which takes longer.
  absl::StatusOr<EncodedBatch> EncodeBatch(absl::Span<const absl::string_view> texts, int threads,
                                           bool ranges = false) const;

  // Bytes that are no UTF-8 (a model may produce them) become U+FFFD. `skip_special` leaves special tokens
  // out.
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids, bool skip_special = false) const;

  // One more than the highest id, of special tokens too; some ids below it may be no token.
  int VocabSize() const;
  absl::optional<int32_t> TokenToId(absl::string_view token) const;
  absl::optional<std::string> IdToToken(int32_t id) const;

  // Makes Encode read special tokens where their text stands, as chat templates need. Not thread-safe.
  void ParseSpecials(bool parse);

 private:
  friend class TokenizerTrainer;
  absl::StatusOr<EncodedBatch> EncodeTexts(absl::Span<const absl::string_view> texts, int threads,
                                           bool ranges, bool post_process) const;
  struct Free {
    void operator()(CherryTokenizer* tokenizer) const { cherry_tokenizer_free(tokenizer); }
  };
  explicit Tokenizer(CherryTokenizer* tokenizer) : tokenizer_(tokenizer) {}

  std::unique_ptr<CherryTokenizer, Free> tokenizer_;
};

// The rows of a Parquet file, one after the other. Not thread-safe.
class ParquetRows {
 public:
  // Of `columns` those that the file has: PARQUET_INVALID when it has none of them, or is no Parquet file.
  static absl::StatusOr<ParquetRows> Open(const std::string& path,
                                          absl::Span<const absl::string_view> columns);

  // The next row as a JSON object; nothing after the last. PARQUET_INVALID.
  absl::StatusOr<absl::optional<std::string>> Next();

 private:
  struct Free {
    void operator()(CherryParquetRows* rows) const { cherry_parquet_free(rows); }
  };
  explicit ParquetRows(CherryParquetRows* rows) : rows_(rows) {}

  std::unique_ptr<CherryParquetRows, Free> rows_;
};

// Learns a tokenizer like Llama's: ids 0..2 are <unk>, <s>, </s>, then come the 256 bytes <0x00>..<0xFF>,
// the special tokens asked for, the characters that make up 99.95% of the text (in order of code points; at
// most half of the tokens to be learnt), and what the merges give (in order of learning). Not
// thread-safe; Feed works in parallel inside.
//
// Deterministic: the same texts give the same file, in any order and batches, on any number of threads.
class TokenizerTrainer {
 public:
  struct Options {
    int vocab_size = 0;  // of all tokens; fewer are learnt when the text does not give more
    int threads = 1;
    std::vector<std::string> special_tokens = {};
  };

  // OUT_OF_RANGE: no room beside the special and byte tokens. INVALID_SPECIAL_TOKEN: it is there twice, or
  // could be taken for text.
  static absl::StatusOr<TokenizerTrainer> Create(const Options& options);

  // Counts the words of some texts; keeps the counts, not the texts. At most 2 GiB in all: a sample of a
  // larger corpus gives the same tokens (TOO_MUCH_TEXT).
  absl::Status Feed(absl::Span<const absl::string_view> texts);

  // Learns from all that was fed. The trainer forgets it.
  absl::StatusOr<Tokenizer> Train();

 private:
  struct Free {
    void operator()(CherryTokenizerTrainer* trainer) const { cherry_tokenizer_trainer_free(trainer); }
  };
  explicit TokenizerTrainer(CherryTokenizerTrainer* trainer) : trainer_(trainer) {}

  std::unique_ptr<CherryTokenizerTrainer, Free> trainer_;
  size_t fed_bytes_ = 0;
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_TOKENIZER_TOKENIZER_CC_H_
