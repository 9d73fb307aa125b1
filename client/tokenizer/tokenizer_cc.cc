#include "client/tokenizer/tokenizer_cc.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/status.h"

namespace cherry::client {
namespace {

CherryText ToC(absl::string_view text) { return {text.data(), text.size()}; }

std::vector<CherryText> ToC(absl::Span<const absl::string_view> texts) {
  std::vector<CherryText> out;
  out.reserve(texts.size());
  for (absl::string_view text : texts) {
    out.push_back(ToC(text));
  }
  return out;
}

// Takes what the crate returned.
std::string Take(CherryText text) {
  std::string out(text.data == nullptr ? "" : text.data, text.size);
  cherry_tokenizer_free_text(text);
  return out;
}

std::vector<ByteRange> Take(CherryRanges ranges) {
  std::vector<ByteRange> out(ranges.data, ranges.data + ranges.size);
  cherry_tokenizer_free_ranges(ranges);
  return out;
}

// What the caller did wrong, for a function of the crate that has just one such reason.
struct Blame {
  const char* reason;
  const char* field;
  const char* remedy;
};

// `message` is the crate's; taken.
absl::Status ToStatus(int code, CherryText message, const Blame& blame) {
  if (code == CHERRY_TOKENIZER_OK) {
    return absl::OkStatus();
  }
  const std::string text = Take(message);
  if (code == CHERRY_TOKENIZER_INTERNAL) {
    return Error(absl::StatusCode::kInternal, "TOKENIZER_FAILED", blame.field, text,
                 "report this with the text and the tokenizer.json that caused it");
  }
  return InvalidField(blame.reason, blame.field, text, blame.remedy);
}

constexpr Blame kText = {"INVALID_UTF8", "text", "convert the text to UTF-8, for instance with iconv"};
constexpr Blame kChat = {"CHAT_TEMPLATE_FAILED", "messages",
                         "give the roles and the order of turns that the template asks for"};
constexpr Blame kParquet = {"PARQUET_INVALID", "INPUT",
                            "name the column that holds the text with --text-field"};
constexpr Blame kIds = {"UNKNOWN_TOKEN", "ids", "use the tokenizer that made these ids"};
constexpr Blame kJson = {"INVALID_TOKENIZER", "tokenizer",
                         "give a tokenizer.json as Hugging Face's tokenizers writes it"};

size_t Threads(int threads) { return static_cast<size_t>(std::max(threads, 1)); }

}  // namespace

absl::StatusOr<NfcText> ToNfc(absl::string_view text) {
  CherryText out{};
  CherryRanges origins{};
  CherryText message{};
  RETURN_IF_ERROR(ToStatus(cherry_tokenizer_nfc(ToC(text), &out, &origins, &message), message, kText));
  return NfcText{Take(out), Take(origins)};
}

absl::StatusOr<std::string> RenderChat(const ChatRequest& request) {
  CherryText out{};
  CherryText message{};
  RETURN_IF_ERROR(
      ToStatus(cherry_tokenizer_chat(ToC(request.chat_template), ToC(request.messages), ToC(request.begin),
                                     ToC(request.end), request.add_generation_prompt, &out, &message),
               message, kChat));
  return Take(out);
}

absl::StatusOr<Tokenizer> Tokenizer::FromJson(absl::string_view json) {
  CherryTokenizer* tokenizer = nullptr;
  CherryText message{};
  RETURN_IF_ERROR(ToStatus(cherry_tokenizer_from_json(ToC(json), &tokenizer, &message), message, kJson));
  return Tokenizer(tokenizer);
}

absl::StatusOr<Tokenizer> Tokenizer::Load(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string json, ReadFile(path));
  absl::StatusOr<Tokenizer> tokenizer = FromJson(json);
  if (!tokenizer.ok()) {
    return Annotate(tokenizer.status(), path);
  }
  return tokenizer;
}

absl::StatusOr<std::string> Tokenizer::ToJson() const {
  CherryText json{};
  CherryText message{};
  RETURN_IF_ERROR(ToStatus(cherry_tokenizer_to_json(tokenizer_.get(), &json, &message), message, kJson));
  return Take(json);
}

absl::Status Tokenizer::Save(const std::string& path) const {
  ASSIGN_OR_RETURN(const std::string json, ToJson());
  return WriteFileAtomically(path, json);
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(absl::string_view text) const {
  ASSIGN_OR_RETURN(EncodedBatch batch, EncodeBatch(absl::MakeConstSpan(&text, 1), 1));
  return std::move(batch.ids);
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::EncodeWhole(absl::string_view text) const {
  ASSIGN_OR_RETURN(EncodedBatch batch, EncodeTexts(absl::MakeConstSpan(&text, 1), 1, false, true));
  return std::move(batch.ids);
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Prefix() const {
  constexpr absl::string_view kText = "a";
  ASSIGN_OR_RETURN(std::vector<int32_t> whole, EncodeWhole(kText));
  ASSIGN_OR_RETURN(const std::vector<int32_t> text, Encode(kText));
  whole.erase(std::search(whole.begin(), whole.end(), text.begin(), text.end()), whole.end());
  return whole;
}

absl::StatusOr<EncodedBatch> Tokenizer::EncodeBatch(absl::Span<const absl::string_view> texts, int threads,
                                                    bool ranges) const {
  return EncodeTexts(texts, threads, ranges, /*post_process=*/false);
}

absl::StatusOr<EncodedBatch> Tokenizer::EncodeTexts(absl::Span<const absl::string_view> texts, int threads,
                                                    bool ranges, bool post_process) const {
  EncodedBatch batch;
  batch.ends.resize(texts.size());
  const std::vector<CherryText> inputs = ToC(texts);
  CherryIds ids{};
  CherryRanges bytes{};
  CherryText message{};
  const int code =
      cherry_tokenizer_encode(tokenizer_.get(), inputs.data(), inputs.size(), Threads(threads), post_process,
                              &ids, ranges ? &bytes : nullptr, batch.ends.data(), &message);
  RETURN_IF_ERROR(ToStatus(code, message, kText));
  batch.ids.assign(ids.data, ids.data + ids.size);
  cherry_tokenizer_free_ids(ids);
  batch.ranges = Take(bytes);
  for (size_t i = 1; i < batch.ends.size(); ++i) {
    batch.ends[i] += batch.ends[i - 1];  // lengths become ends
  }
  return batch;
}

absl::StatusOr<std::string> Tokenizer::Decode(absl::Span<const int32_t> ids, bool skip_special) const {
  CherryText text{};
  CherryText message{};
  RETURN_IF_ERROR(ToStatus(
      cherry_tokenizer_decode(tokenizer_.get(), ids.data(), ids.size(), skip_special, &text, &message),
      message, kIds));
  return Take(text);
}

int Tokenizer::VocabSize() const { return static_cast<int>(cherry_tokenizer_vocab_size(tokenizer_.get())); }

absl::optional<int32_t> Tokenizer::TokenToId(absl::string_view token) const {
  const int32_t id = cherry_tokenizer_token_to_id(tokenizer_.get(), ToC(token));
  return id < 0 ? absl::nullopt : absl::make_optional(id);
}

absl::optional<std::string> Tokenizer::IdToToken(int32_t id) const {
  const CherryText token = cherry_tokenizer_id_to_token(tokenizer_.get(), id);
  if (token.data == nullptr) {
    return absl::nullopt;
  }
  return Take(token);
}

void Tokenizer::ParseSpecials(bool parse) { cherry_tokenizer_parse_specials(tokenizer_.get(), parse); }

absl::StatusOr<TokenizerTrainer> TokenizerTrainer::Create(const Options& options) {
  // The three special tokens and 256 bytes come first; the crate also checks the special tokens' texts.
  const int fixed = 3 + 256 + static_cast<int>(options.special_tokens.size());
  if (options.vocab_size <= fixed) {
    return InvalidField("OUT_OF_RANGE", "vocab",
                        absl::StrCat("vocab: ", options.vocab_size, " has no room beside the ", fixed,
                                     " special and byte tokens"),
                        absl::StrCat("give at least ", fixed + 1, "; 2048 is little, 32000 is usual"));
  }
  const std::vector<absl::string_view> specials(options.special_tokens.begin(), options.special_tokens.end());
  const std::vector<CherryText> inputs = ToC(specials);
  CherryTokenizerTrainer* trainer = nullptr;
  CherryText message{};
  const int code =
      cherry_tokenizer_trainer_new(static_cast<size_t>(options.vocab_size), Threads(options.threads),
                                   inputs.data(), inputs.size(), &trainer, &message);
  RETURN_IF_ERROR(ToStatus(code, message,
                           {"INVALID_SPECIAL_TOKEN", "special_tokens",
                            "give each special token once, with marks that set it apart from text"}));
  return TokenizerTrainer(trainer);
}

absl::Status TokenizerTrainer::Feed(absl::Span<const absl::string_view> texts) {
  constexpr size_t kMaxBytes = 0x7fffffff;  // the crate counts pairs of characters in 31 bits
  size_t bytes = 0;
  for (absl::string_view text : texts) {
    bytes += text.size();
  }
  if (bytes > kMaxBytes - fed_bytes_) {
    return InvalidField("TOO_MUCH_TEXT", "text",
                        absl::StrCat("more than ", kMaxBytes, " bytes of text to train a tokenizer on"),
                        "train it on a sample");
  }
  const std::vector<CherryText> inputs = ToC(texts);
  CherryText message{};
  RETURN_IF_ERROR(ToStatus(
      cherry_tokenizer_trainer_feed(trainer_.get(), inputs.data(), inputs.size(), &message), message, kText));
  fed_bytes_ += bytes;
  return absl::OkStatus();
}

absl::StatusOr<Tokenizer> TokenizerTrainer::Train() {
  CherryTokenizer* tokenizer = nullptr;
  CherryText message{};
  RETURN_IF_ERROR(
      ToStatus(cherry_tokenizer_trainer_finish(trainer_.get(), &tokenizer, &message), message, kText));
  fed_bytes_ = 0;
  return Tokenizer(tokenizer);
}

absl::StatusOr<ParquetRows> ParquetRows::Open(const std::string& path,
                                              absl::Span<const absl::string_view> columns) {
  CherryParquetRows* rows = nullptr;
  CherryText message{};
  const std::vector<CherryText> names = ToC(columns);
  RETURN_IF_ERROR(ToStatus(cherry_parquet_open(ToC(path), names.data(), names.size(), &rows, &message),
                           message, kParquet));
  return ParquetRows(rows);
}

absl::StatusOr<absl::optional<std::string>> ParquetRows::Next() {
  CherryText row{};
  CherryText message{};
  RETURN_IF_ERROR(ToStatus(cherry_parquet_next(rows_.get(), &row, &message), message, kParquet));
  return row.data == nullptr ? absl::nullopt : absl::make_optional(Take(row));
}

}  // namespace cherry::client
